//! `meshctl manifest`.

use crate::context::Context;
use crate::exit::Exit;

/// Print the objects of an installation
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args, _context: &Context) -> anyhow::Result<Exit> {
    anyhow::bail!("`meshctl manifest` is not built yet")
}
