//! `mesh-proxy proxy sidecar|router ...`: the proxy as a program of its own.

use std::process::ExitCode;

/// Returns memory of short-lived requests to the system sooner, and does not tie it to the thread that asked for it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    mesh_proxy::main(std::env::args_os().skip(1).collect())
}
