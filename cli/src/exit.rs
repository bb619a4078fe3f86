//! How the process ends: the only place that knows numbers. They are istioctl's, so that scripts carry over.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Success,
    /// Something failed, or something differs where that was the question.
    Failure,
    /// The command line is wrong.
    Usage,
    /// Input cannot be read as what it should be.
    Data,
    /// The analysis found something at or over the threshold.
    Findings,
    /// A limit that was given was passed, and what had been done was taken back.
    LimitPassed,
}

// === impl Exit ===

impl Exit {
    /// The number that other programs see.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 64,
            Self::Data => 65,
            Self::Findings => 79,
            Self::LimitPassed => 80,
        }
    }
}

impl Exit {
    /// How this program ended in another process.
    pub fn of(code: u8) -> Self {
        let all = [
            Self::Success,
            Self::Usage,
            Self::Data,
            Self::Findings,
            Self::LimitPassed,
        ];
        let known = all.into_iter().find(|exit| exit.code() == code);
        known.unwrap_or(Self::Failure)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
