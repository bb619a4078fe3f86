//! `meshctl route`: routes held by tests.

mod case;
mod junit;
mod test;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Exit;

/// Test routes and policies
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl route test routes-test.yaml
  meshctl route test routes-test.yaml -f mesh/ -o junit > report.xml")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Test(test::Args),
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    match &args.what {
        What::Test(args) => test::run(args, context),
    }
}
