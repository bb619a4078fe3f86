//! `mesh-proxy proxy sidecar|router ...`: the proxy as a program of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    mesh_proxy::main(std::env::args_os().skip(1).collect())
}
