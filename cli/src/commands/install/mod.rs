//! `meshctl install`.

use crate::context::Context;
use crate::exit::Exit;

/// Install the mesh into a cluster
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args, _context: &Context) -> anyhow::Result<Exit> {
    anyhow::bail!("`meshctl install` is not built yet")
}
