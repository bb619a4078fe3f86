//! `meshctl kube-inject`.

use crate::context::Context;
use crate::exit::Exit;

/// Add the sidecar to workloads in YAML
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args, _context: &Context) -> anyhow::Result<Exit> {
    anyhow::bail!("`meshctl kube-inject` is not built yet")
}
