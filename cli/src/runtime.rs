//! The asynchronous runtime, started only by commands that talk to a cluster, so that the others start quickly.

use std::future::Future;
use std::sync::OnceLock;

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};

/// One for the whole process: clients of a cluster live in it from one part of a command to the next. It is never shut down, so that
/// nothing that is still running holds up the end of the process.
static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Runs a command's asynchronous part to its end.
pub fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = match RUNTIME.get() {
        Some(runtime) => runtime,
        None => {
            let runtime = Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .context("failed to start the asynchronous runtime")?;
            RUNTIME.get_or_init(|| runtime)
        }
    };
    runtime.block_on(Box::pin(work))
}
