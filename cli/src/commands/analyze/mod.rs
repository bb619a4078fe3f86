//! `meshctl analyze`.

use crate::context::Context;
use crate::exit::Exit;

/// Look for mistakes in files and in the cluster
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args, _context: &Context) -> anyhow::Result<Exit> {
    anyhow::bail!("`meshctl analyze` is not built yet")
}
