//! `meshctl version`.

use crate::context::Context;
use crate::exit::Exit;

/// Print the versions of the command line, the control plane and the proxies
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args, _context: &Context) -> anyhow::Result<Exit> {
    anyhow::bail!("`meshctl version` is not built yet")
}
