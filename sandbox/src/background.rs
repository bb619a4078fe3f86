//! Sandboxes without a terminal: their log, and leaving the session that started them.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;

use crate::state::Paths;

/// Makes the log of a sandbox that is about to be started in the background: to read from, and for the process to write to.
///
/// # Errors
/// When a sandbox of that name runs, or the log cannot be made.
pub fn background_log(root: &Path, name: &str) -> anyhow::Result<(File, File)> {
    let paths = Paths::new(root, name)?;
    // Only to see that nobody holds it; the process takes it for itself.
    drop(paths.hold()?);
    let path = paths.log();
    let opened = File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .and_then(|writer| Ok((File::open(&path)?, writer)));
    opened.with_context(|| format!("failed to make the log {}", path.display()))
}

/// Leaves the session of the terminal, so that neither its end nor its Ctrl-C ends this process.
///
/// # Errors
/// When this process leads a group already.
pub fn begin_background() -> anyhow::Result<()> {
    nix::unistd::setsid()
        .map(|_| ())
        .context("failed to leave the terminal's session")
}
