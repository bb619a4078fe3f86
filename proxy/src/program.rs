//! The program: words in, exit code out.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use arc_swap::ArcSwap;
use mesh_ir::ProxyKind;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, reload};

use crate::admin::LogLevel;
use crate::admin_request;
use crate::args::{self, AdminRequest, Args, Command};
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
        Ok(Command::Request(request)) => return ask(request),
        Ok(Command::Help) => return print(args::help()),
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
    match block_on(run(bootstrap, log)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}"), 1),
    }
}

/// Asks the proxy that runs in the same container, which the same environment has told where it listens.
fn ask(request: AdminRequest) -> ExitCode {
    let sidecar = Args::new(ProxyKind::Sidecar);
    let admin = match Bootstrap::new(&sidecar, Environment::of_process()) {
        Ok(bootstrap) => bootstrap.network.admin,
        Err(error) => return fail(&error.to_string(), USAGE),
    };
    match block_on(admin_request::ask(admin, request)) {
        Ok((status, body)) => {
            print(&body);
            match status.is_success() {
                true => ExitCode::SUCCESS,
                false => fail(&format!("the admin interface answered with {status}"), 1),
            }
        }
        Err(error) => fail(&format!("{error:#}"), 1),
    }
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build()?.block_on(work)
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

fn print(text: impl AsRef<[u8]>) -> ExitCode {
    // A reader that has gone away has read enough.
    let _ = std::io::stdout().lock().write_all(text.as_ref());
    ExitCode::SUCCESS
}

fn fail(message: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr().lock(), "error: {message}");
    ExitCode::from(code)
}
