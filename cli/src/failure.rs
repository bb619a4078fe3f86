//! What an error means for the process and for the reader: its exit code, and what to do next.
//!
//! Commands return `anyhow::Error`. What only the place of the failure knows travels inside it, and is taken out once, at the
//! end of the process.

use std::error::Error as StdError;
use std::fmt;

use crate::exit::Exit;

/// An error with what to do about it, and how the process ends by it.
#[derive(Debug)]
struct CommandError {
    exit: Exit,
    hint: Option<String>,
    error: anyhow::Error,
}

/// Nobody reads standard output any more.
#[derive(Debug)]
pub struct ClosedOutput;

/// An error about the command line: exit code 64.
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    marked(Exit::Usage, anyhow::Error::msg(message.into()))
}

/// An error about input: exit code 65.
pub fn data(message: impl Into<String>) -> anyhow::Error {
    marked(Exit::Data, anyhow::Error::msg(message.into()))
}

/// An error that ends the process with a certain exit code.
pub fn marked(exit: Exit, error: anyhow::Error) -> anyhow::Error {
    CommandError {
        exit,
        hint: None,
        error,
    }
    .into()
}

/// Adds what to do next to errors.
pub trait Advice<T> {
    /// Adds a sentence without a final period, printed as `hint: ...` below the error.
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Advice<T> for Result<T, E> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| advise(error.into(), hint))
    }
}

/// Adds what to do next to an error.
pub fn advise(error: anyhow::Error, hint: impl Into<String>) -> anyhow::Error {
    let exit = exit(&error);
    CommandError {
        exit,
        hint: Some(hint.into()),
        error,
    }
    .into()
}

/// How the process ends by an error.
pub fn exit(error: &anyhow::Error) -> Exit {
    let mut chain = error.chain();
    let marked = chain.find_map(|cause| cause.downcast_ref::<CommandError>());
    marked.map_or(Exit::Failure, |advised| advised.exit)
}

/// What to do next, the outermost first.
pub fn hints(error: &anyhow::Error) -> impl Iterator<Item = &str> {
    let advised = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<CommandError>());
    advised.filter_map(|advised| advised.hint.as_deref())
}

/// The error and its causes as one sentence, without causes that the text before them tells already.
pub fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Whether the error is only that nobody reads our output any more, as with `meshctl ... | head`. A connection that breaks
/// is something else.
pub fn is_closed_output(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<ClosedOutput>())
}

// === impl CommandError ===

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl StdError for CommandError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        // The error itself, so that marks inside it are found; its text, being the same, is not told twice.
        Some(self.error.as_ref())
    }
}

// === impl ClosedOutput ===

impl fmt::Display for ClosedOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads standard output any more")
    }
}

impl StdError for ClosedOutput {}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn marks_survive_context_and_advice() {
        let error = Err::<(), _>(data("line 3: not a number")).context("failed to read x.yaml");
        let error = error.hint("write a number").unwrap_err();
        assert_eq!(exit(&error), Exit::Data);
        assert_eq!(hints(&error).collect::<Vec<_>>(), ["write a number"]);
        assert_eq!(
            sentence(&error),
            "failed to read x.yaml: line 3: not a number"
        );
    }

    #[test]
    fn closed_output_is_told_from_broken_connections() {
        let error = anyhow::Error::from(ClosedOutput);
        assert!(is_closed_output(&error.context("failed to write")));
        let error = anyhow::Error::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert!(!is_closed_output(&error));
    }
}
