//! The program: words in, exit code out.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, reload};

use crate::admin::LogLevel;
use crate::args::{self, Command};
use crate::bootstrap::{Bootstrap, Environment};
use crate::file_limit;
use crate::run::run;

/// Exit code for words that cannot be understood.
const USAGE: u8 = 64;

/// Runs `proxy sidecar|router --OPTIONS...` to its end, or `istio-iptables --OPTIONS...`, which prepares the pod for it.
pub fn main(words: Vec<OsString>) -> ExitCode {
    let first = words.first().and_then(|word| word.to_str());
    if first.is_some_and(|name| mesh_intercept::COMMANDS.contains(&name)) {
        return mesh_intercept::main(words);
    }
    let args = match args::parse(words) {
        Ok(Command::Proxy(args)) => args,
        Ok(Command::Help) => return print(&args::help()),
        Ok(Command::Version) => {
            return print(concat!("mesh-proxy ", env!("CARGO_PKG_VERSION"), "\n"));
        }
        Err(error) => return fail(&error.to_string(), USAGE),
    };
    let bootstrap = match Bootstrap::new(&args, Environment::of_process()) {
        Ok(bootstrap) => bootstrap,
        Err(error) => return fail(&error.to_string(), USAGE),
    };
    let log = start_log(&bootstrap);
    file_limit::raise();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(bootstrap, log)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}"), 1),
    }
}

/// Starts the proxy's own log, on standard error. In a process that logs already nothing is started, and the level is not ours.
fn start_log(bootstrap: &Bootstrap) -> LogLevel {
    let level = bootstrap.log_level;
    let (filter, handle) = reload::Layer::new(level);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false);
    let layer = if bootstrap.log_as_json {
        layer.json().boxed()
    } else {
        layer.boxed()
    };
    let started = tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init()
        .is_ok();
    LogLevel {
        current: ArcSwap::new(Arc::new(level)),
        set: Box::new(move |level: LevelFilter| started && handle.reload(level).is_ok()),
    }
}

fn print(text: &str) -> ExitCode {
    // A reader that has gone away has read enough.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn fail(message: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr().lock(), "error: {message}");
    ExitCode::from(code)
}
