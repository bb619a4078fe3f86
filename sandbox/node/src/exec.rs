//! Programs that are run in containers from outside, and the containers' own that somebody attaches to.

use std::io;
use std::pin::Pin;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

use super::images::Images;
use super::runtime::{Launch, Pods, Process, RunningContainer, Streams};
use super::terminal::Terminal;

/// A program's output.
pub type Reader = Pin<Box<dyn AsyncRead + Send>>;

/// A program's input.
pub type Writer = Pin<Box<dyn AsyncWrite + Send>>;

/// A program that runs.
pub struct Program {
    pub input: Option<Writer>,
    pub output: Option<Reader>,
    pub errors: Option<Reader>,
    /// Tells its terminal the size, in columns and rows.
    pub resize: Option<Box<dyn Fn(u16, u16) + Send + Sync>>,
    /// The exit code. Dropping it ends a program that was started for this.
    pub ended: BoxFuture<'static, i32>,
}

/// Runs a program in a container that runs.
///
/// # Errors
/// When the container does not run, or the program cannot be started.
pub async fn exec(
    (pods, images): (&Pods, &Images),
    uid: &str,
    container: &str,
    command: Vec<String>,
    has_terminal: bool,
) -> io::Result<Program> {
    let (Some(handle), Some(known)) = (pods.get(uid), pods.container(uid, container)) else {
        return Err(not_running());
    };
    let RunningContainer {
        image,
        mut environment,
        directory,
        attachment: _,
    } = known;
    let (terminal, streams) = if has_terminal {
        environment
            .entry("TERM".to_owned())
            .or_insert_with(|| "xterm".to_owned());
        let (terminal, side) = Terminal::open()?;
        (Some(terminal), Streams::Terminal(side))
    } else {
        (None, Streams::Pipes)
    };
    let name = command.first().cloned().unwrap_or_default();
    let builtin = images.command(&image, &command);
    let launch = Launch {
        is_builtin: builtin.is_some(),
        words: builtin.unwrap_or(command),
        environment,
        directory,
        streams,
    };
    let process = handle.exec(container, launch).await.map_err(|error| {
        let message = match error.kind() {
            io::ErrorKind::NotFound => {
                format!("exec: {name:?}: executable file not found in $PATH")
            }
            _ => format!("exec: {name:?}: {error}"),
        };
        io::Error::new(error.kind(), message)
    })?;
    program(process, terminal)
}

fn program(mut process: Process, terminal: Option<Terminal>) -> io::Result<Program> {
    let input = process.input().map(|input| Box::pin(input) as Writer);
    let (output, errors) = process.output();
    let ended = async move { process.wait().await.code }.boxed();
    Ok(match terminal {
        Some(terminal) => Program {
            input: Some(terminal.writer()?),
            output: Some(terminal.reader()?),
            errors: None,
            resize: Some(Box::new(move |columns, rows| {
                terminal.resize(columns, rows);
            })),
            ended,
        },
        None => Program {
            input,
            output: output.map(|output| Box::pin(output) as Reader),
            errors: errors.map(|errors| Box::pin(errors) as Reader),
            resize: None,
            ended,
        },
    })
}

/// Attaches to the program of a container that runs.
///
/// # Errors
/// When the container does not run.
pub fn attach(pods: &Pods, uid: &str, container: &str, has_input: bool) -> io::Result<Program> {
    let known = pods.container(uid, container).ok_or_else(not_running)?;
    Ok(known.attachment.attach(has_input))
}

fn not_running() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the container does not run")
}
