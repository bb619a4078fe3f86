//! The data plane: sidecar and gateway.

pub mod http1;
pub mod record;

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs `proxy sidecar|router --OPTIONS...` to its end.
pub fn main(_words: Vec<OsString>) -> ExitCode {
    ExitCode::FAILURE
}
