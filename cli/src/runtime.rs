//! The asynchronous runtime, started only by commands that talk to a cluster, so that the others start quickly.

use std::future::Future;

use anyhow::Context as _;

/// Runs a command's asynchronous part to its end.
pub fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("failed to start the asynchronous runtime")?;
    let outcome = runtime.block_on(Box::pin(work));
    // Nothing that is still running may hold up the end of the process.
    runtime.shutdown_background();
    outcome
}
