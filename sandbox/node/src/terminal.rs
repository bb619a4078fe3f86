//! Terminals for programs: the side that a person's terminal is connected to.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::exec::{Reader, Writer};

/// A person's side of a terminal.
#[derive(Clone)]
pub struct Terminal {
    side: Arc<File>,
}

// === impl Terminal ===

impl Terminal {
    /// A new one, and the side that programs use.
    ///
    /// # Errors
    /// When this machine has no more of them.
    pub fn open() -> io::Result<(Self, OwnedFd)> {
        let side = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&side)?;
        unlockpt(&side)?;
        let path = ptsname(&side, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let programs = rustix::fs::open(path, flags, Mode::empty())?;
        let side = Arc::new(File::from(side));
        Ok((Self { side }, programs))
    }

    /// Tells programs how large the terminal is.
    pub fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // What runs there may have ended.
        let _ = tcsetwinsize(self.side.as_fd(), size);
    }

    /// What programs write, until none uses the terminal any more.
    ///
    /// # Errors
    /// When too many files are open.
    pub fn reader(&self) -> io::Result<Reader> {
        Ok(Box::pin(tokio::fs::File::from_std(self.side.try_clone()?)))
    }

    /// What programs read.
    ///
    /// # Errors
    /// When too many files are open.
    pub fn writer(&self) -> io::Result<Writer> {
        Ok(Box::pin(tokio::fs::File::from_std(self.side.try_clone()?)))
    }
}
