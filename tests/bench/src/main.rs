//! Measures what `docs/performance.md` states.
//!
//! ```text
//! mesh-bench proxy           CPU per request beside Envoy and HAProxy, memory idle and per idle connection
//! mesh-bench control-plane   sync and push of N proxies: time, CPU, memory, bytes
//! ```
//!
//! Ratios count, not seconds: the machine's speed changes within minutes, so every case runs in every round, in a shuffled
//! order, and rounds are compared in pairs.

#![expect(clippy::print_stdout, reason = "this program's output is its result")]

mod control_plane;
mod process;
mod proxy;
mod statistics;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// CPU per request beside Envoy and HAProxy, memory idle and per idle connection
    Proxy(proxy::Args),
    /// Sync and push of many proxies: time, CPU, memory, bytes
    ControlPlane(control_plane::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Proxy(args) => proxy::run(&args),
        Command::ControlPlane(args) => control_plane::run(&args),
    }
}
