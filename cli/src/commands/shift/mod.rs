//! `meshctl shift`.

use crate::context::Context;
use crate::exit::Exit;

/// Shift traffic between versions of a service, measured
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args, _context: &Context) -> anyhow::Result<Exit> {
    anyhow::bail!("`meshctl shift` is not built yet")
}
