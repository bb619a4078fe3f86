//! `meshctl sandbox`.

use crate::context::Context;
use crate::exit::Exit;

/// Run a mesh on this machine, without a cluster
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args, _context: &Context) -> anyhow::Result<Exit> {
    anyhow::bail!("`meshctl sandbox` is not built yet")
}
