//! Paths that are not simply objects of a kind: parts of pods, tokens, questions about users.
//!
//! Each row is one path. A handler gets the whole [`Call`](super::call::Call), an open connection to take over included.

mod pods;
mod reviews;
mod streams;

use super::call::Extension;

/// All of them. Several rows of one path may know different methods.
pub const EXTENSIONS: &[&[Extension]] = &[pods::ROWS, streams::ROWS, reviews::ROWS];
