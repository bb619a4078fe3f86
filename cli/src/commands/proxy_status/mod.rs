//! `meshctl proxy-status`.

use crate::context::Context;
use crate::exit::Exit;

/// Show which proxies are connected and whether they are up to date
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args, _context: &Context) -> anyhow::Result<Exit> {
    anyhow::bail!("`meshctl proxy-status` is not built yet")
}
