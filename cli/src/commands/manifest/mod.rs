//! `meshctl manifest generate`: what `install` would apply, as YAML on standard output. It needs no cluster.

use clap::Subcommand;

use super::install::Values;
use crate::context::Context;
use crate::exit::Exit;

/// Print the objects of an installation
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl manifest generate > mesh.yaml
  meshctl manifest generate --profile minimal > minimal.yaml")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print what `meshctl install` with the same options applies, as YAML; pipe it to `kubectl apply --server-side -f -`
    #[command(after_help = "Examples:
  meshctl manifest generate > mesh.yaml
  meshctl manifest generate --profile minimal | kubectl apply --server-side -f -")]
    Generate {
        #[command(flatten)]
        values: Values,
    },
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let What::Generate { values } = args.what;
    let plan = values.plan(context.istio_namespace())?;
    for warning in &plan.warnings {
        context.printer.warn(warning);
    }
    context.printer.data(&plan.to_yaml())?;
    Ok(Exit::Success)
}
