//! What is to be started in a container.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

/// A program with its environment.
#[derive(Debug)]
pub struct Launch {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// One of the programs that are built in, by its name.
    pub is_builtin: bool,
    pub environment: BTreeMap<String, String>,
    /// Where it starts, as the container sees it; empty for its root.
    pub directory: String,
    pub streams: Streams,
}

/// Where a program's streams lead.
#[derive(Debug)]
pub enum Streams {
    /// Nothing to read; output and errors are pipes.
    Output,
    /// Input, output and errors are pipes.
    Pipes,
    /// All three are the side of a terminal that programs use.
    Terminal(OwnedFd),
}

impl Launch {
    /// The words after `builtin` that run the program: as it is when it is built in, else under a supervisor; in a session of its own
    /// where it has a terminal.
    pub fn supervised(&self) -> Vec<&str> {
        let mut words = Vec::new();
        if matches!(self.streams, Streams::Terminal(_)) {
            words.push("terminal");
        }
        if !self.is_builtin {
            words.extend(["supervise", "--"]);
        }
        words.extend(self.words.iter().map(String::as_str));
        words
    }

    /// The directory without what could lead out of a container's root.
    pub fn relative_directory(&self) -> PathBuf {
        Path::new(&self.directory)
            .components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .collect()
    }
}
