//! `meshctl explain`: why the mesh does what it does.

mod place;
mod request;
mod text;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Exit;

/// Explain what the mesh does with a request, and why
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// What is explained.
#[derive(Debug, Subcommand)]
enum What {
    Request(request::Args),
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    match args.what {
        What::Request(args) => request::run(args, context),
    }
}
