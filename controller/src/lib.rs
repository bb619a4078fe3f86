//! The control plane: it watches configuration and publishes to each proxy what that proxy must do.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs `discovery --OPTIONS...` to its end.
pub fn main(_words: Vec<OsString>) -> ExitCode {
    ExitCode::FAILURE
}
