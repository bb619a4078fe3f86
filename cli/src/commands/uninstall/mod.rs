//! `meshctl uninstall`.

use crate::context::Context;
use crate::exit::Exit;

/// Remove the mesh from a cluster
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args, _context: &Context) -> anyhow::Result<Exit> {
    anyhow::bail!("`meshctl uninstall` is not built yet")
}
