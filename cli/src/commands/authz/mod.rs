//! `meshctl authz`: who may do what, and why. Nothing is sent: the policies are decided by the functions of the proxy.
//!
//! ```text
//! files, cluster --> Snapshot --> the filters in front of the port --evaluate with a trace--> verdict, each rule that was tried
//! ```

mod can_i;
mod list;
mod question;

use clap::{CommandFactory, Subcommand};

use crate::context::Context;
use crate::exit::Exit;

/// Tell who may do what, by which policy
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl authz can-i --from shop/front GET http://reviews.shop:9080/reviews/0
  meshctl authz can-i -f policies.yaml -f app.yaml --from shop/front DELETE http://reviews:9080/
  meshctl authz can-i GET http://web:8080/ --as-token token.jwt
  meshctl authz list deployment/reviews-v1

Output formats: table, json, yaml.")]
pub struct Args {
    #[command(subcommand)]
    part: Option<Part>,
}

/// Which question.
#[derive(Debug, Subcommand)]
enum Part {
    CanI(can_i::Args),
    #[command(visible_alias = "check")]
    List(list::Args),
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    match args.part {
        Some(Part::CanI(args)) => can_i::run(&args, context),
        Some(Part::List(args)) => list::run(&args, context),
        None => {
            let mut program = crate::args::Cli::command();
            program.build();
            let help = program
                .find_subcommand_mut("authz")
                .map(|command| command.render_help().ansi().to_string());
            context.printer.data(&help.unwrap_or_default())?;
            Ok(Exit::Success)
        }
    }
}
