//! `meshctl explain`: why the mesh does what it does.

mod code;
mod error;
mod evaluator;
mod place;
mod request;
mod text;

pub use evaluator::{Decided, Evaluator};
pub use request::unknown_workload;
pub use text::knows_endpoints;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Exit;

/// Explain where a request goes and why, what an error in an access log means, or what a finding means
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  meshctl explain request GET http://reviews:9080/ --from deploy/productpage-v1
  meshctl explain error UF    # what a flag, or a line, of an access log means
  meshctl explain IST0101     # what a finding of analyze means
  meshctl explain MESH0001 IST0130 -o json"
)]
pub struct Args {
    /// Codes of findings, such as IST0101, or their names
    #[arg(value_name = "CODE", required = true)]
    codes: Vec<String>,
    #[command(subcommand)]
    what: Option<What>,
}

/// What is explained.
#[derive(Debug, Subcommand)]
enum What {
    Request(request::Args),
    Error(error::Args),
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    match args.what {
        Some(What::Request(args)) => request::run(args, context),
        Some(What::Error(args)) => error::run(&args, context),
        None => code::run(&args.codes, context),
    }
}
