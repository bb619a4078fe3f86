//! Built-in programs: what `meshctl builtin PROGRAM ARGS...` runs, as the node starts it for a container.
//!
//! Every one of them ends with the sandbox: its standard input is a pipe that only the sandbox holds, and when that
//! ends, so does the whole process group.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpgrp};

use mesh_node::namespaces::{FIRST_WORD, mount_processes};
use mesh_node::{LowPorts, WATCH_VARIABLE};

/// Watches for the sandbox's end on a thread of its own, and then kills the process group. Does nothing in a process
/// that the node did not start.
pub fn watch_parent() {
    if std::env::var_os(WATCH_VARIABLE).is_none() {
        return;
    }
    let watcher = std::thread::Builder::new().name("lifeline".to_owned());
    let started = watcher.spawn(|| {
        let mut input = std::io::stdin().lock();
        let mut buffer = [0; 64];
        // Nothing is ever written; an interrupted read is repeated, everything else is the end.
        loop {
            match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let _ = killpg(getpgrp(), Signal::SIGKILL);
    });
    if let Err(error) = started {
        tracing::warn!(%error, "failed to watch for the end of the sandbox");
    }
}

/// Runs a command of this machine and ends as it ends. Signals meant for the command reach it directly, since the node
/// signals the whole group; this process only has to stay until the command is done.
pub fn supervise(command: &[OsString]) -> anyhow::Result<ExitCode> {
    watch_parent();
    let Some((program, arguments)) = command.split_first() else {
        anyhow::bail!("no command was given to supervise");
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut child = Command::new(program);
    child.args(arguments);
    if std::env::var_os(WATCH_VARIABLE).is_some() {
        child.env_remove(WATCH_VARIABLE).stdin(Stdio::null());
    }
    runtime.block_on(async {
        // Caught, not ignored: an ignored signal would stay ignored in the command.
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let mut interrupt =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
        let mut child = tokio::process::Command::from(child)
            .spawn()
            .map_err(|error| {
                anyhow::anyhow!("failed to run {}: {error}", program.to_string_lossy())
            })?;
        loop {
            tokio::select! {
                status = child.wait() => return Ok(exit_code(status?)),
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
    })
}

/// Goes on with other words when something could be done before.
fn after(done: anyhow::Result<()>, words: &[OsString]) -> ExitCode {
    match done {
        Ok(()) => main(words.to_vec()),
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Makes this process the leader of a session whose terminal is its standard input.
fn in_session() -> anyhow::Result<()> {
    nix::unistd::setsid().context("failed to make a session")?;
    // The first terminal that the leader of a session opens is the session's.
    std::fs::File::open("/proc/self/fd/0").context("failed to open the terminal")?;
    Ok(())
}

/// The command's exit code, or its signal sent to ourselves so that the node sees the same end.
fn exit_code(status: std::process::ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    if let Some(signal) = status
        .signal()
        .and_then(|number| Signal::try_from(number).ok())
    {
        // Kills this process for the uncaught signals; for the caught ones the code below says it.
        let _ = nix::sys::signal::kill(Pid::this(), signal);
    }
    let code = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Exit code for a wrong command line, as in sysexits.h.
const EX_USAGE: u8 = 64;

/// Runs `builtin PROGRAM ARGS...` (the first word may be left out) to its end.
pub fn main(words: Vec<OsString>) -> ExitCode {
    let words = match words.split_first() {
        Some((first, rest)) if first == "builtin" => rest,
        _ => &words,
    };
    let outcome = match words
        .split_first()
        .map(|(program, rest)| (program.to_str(), rest))
    {
        Some((Some("supervise"), rest)) => {
            supervise(rest.strip_prefix(&[OsString::from("--")]).unwrap_or(rest))
        }
        Some((Some("terminal"), rest)) => return after(in_session(), rest),
        Some((Some(FIRST_WORD), rest)) => {
            let mounted = mount_processes().context("failed to mount /proc");
            return after(mounted, rest);
        }
        Some((Some("probe-namespaces"), rest)) => return crate::world::probe(rest),
        Some((Some("sample"), [name, rest @ ..])) => sample(name, rest),
        Some((Some("pilot-discovery"), rest)) => {
            watch_parent();
            return mesh_controller::main(rest.to_vec());
        }
        Some((Some("pilot-agent"), rest)) => {
            watch_parent();
            return mesh_proxy::main(rest.to_vec());
        }
        Some((program, _)) => {
            complain(&format!("there is no built-in program {program:?}"));
            return ExitCode::from(EX_USAGE);
        }
        None => {
            complain("builtin needs the name of a program");
            return ExitCode::from(EX_USAGE);
        }
    };
    outcome.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

/// Runs a sample program where the node wants it to listen.
fn sample(name: &OsStr, rest: &[OsString]) -> anyhow::Result<ExitCode> {
    watch_parent();
    log_to_stderr();
    let name = name.to_string_lossy();
    let arguments = rest.iter().map(|word| word.to_string_lossy().into_owned());
    let mut config = mesh_samples::Config::from_env()?.with_args(arguments);
    if let Some(port) = mesh_samples::port(&name, &config)? {
        let at = (config.bind, LowPorts::from_env().at_socket(port));
        let listener = std::net::TcpListener::bind(at)
            .with_context(|| format!("failed to listen on {}:{}", at.0, at.1))?;
        config = config.with_listener(listener);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(mesh_samples::run(&name, config))?;
    Ok(ExitCode::SUCCESS)
}

/// Logs to standard error, where the node collects it, by `RUST_LOG` or at `info`.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::io::stderr);
    // A second one in the same process is refused, and the first is as good.
    let _ = subscriber.try_init();
}

fn complain(text: &str) {
    // Nobody to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "error: {text}");
}
