//! The program around the control plane: words, log, runtime, and what its end means.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing_subscriber::EnvFilter;

use crate::args::Args;
use crate::run::{BadInput, BadUsage, run};

/// What was asked for makes no sense.
const USAGE: u8 = 64;
/// What was given cannot be read.
const BAD_DATA: u8 = 65;

/// Runs `discovery --OPTIONS...` to its end. Exit codes: 0 stopped by a signal, 1 failed, 64 usage, 65 unreadable input.
pub fn main(words: Vec<OsString>) -> ExitCode {
    let program = OsString::from("pilot-discovery");
    let args = match Args::try_parse_from(std::iter::once(program).chain(words)) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            let informs = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            return if informs {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(USAGE)
            };
        }
    };
    if let Err(error) = log(&args.log_level) {
        let error = clap::Error::raw(ErrorKind::ValueValidation, error);
        let _ = error.print();
        return ExitCode::from(USAGE);
    }
    raise_file_limit();
    // Installed once for the process; where a test or another part was quicker, that one is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(args)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(match () {
                () if error.is::<BadUsage>() => USAGE,
                () if error.is::<BadInput>() => BAD_DATA,
                () => 1,
            })
        }
    }
}

/// Every proxy is a socket; the usual soft limit ends at a thousand.
fn raise_file_limit() {
    let limit = getrlimit(Resource::RLIMIT_NOFILE);
    if let Err(error) = limit.and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard)) {
        tracing::warn!(%error, "failed to raise the limit of open files; fewer proxies can connect");
    }
}

/// Sends the log to standard error.
fn log(level: &str) -> Result<(), String> {
    // The client's own words about failures repeat what the watchers say better.
    let all = if level.contains("kube_client") {
        level.to_owned()
    } else {
        [level, "kube_client::client=off"].join(",")
    };
    let filter = all
        .parse::<EnvFilter>()
        .map_err(|error| format!("--log_output_level: {level:?} is no log filter: {error}\n"))?;
    // A second subscriber in one process would be refused; the first one then goes on.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
    Ok(())
}
