//! `meshctl proxy-config`.

use crate::context::Context;
use crate::exit::Exit;

/// Show the configuration of a proxy
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args, _context: &Context) -> anyhow::Result<Exit> {
    anyhow::bail!("`meshctl proxy-config` is not built yet")
}
