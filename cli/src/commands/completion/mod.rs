//! `meshctl completion SHELL`: completions for shells, made from the tree of commands.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::context::Context;
use crate::exit::Exit;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  source <(meshctl completion bash)
  meshctl completion zsh > ~/.zfunc/_meshctl
  meshctl completion fish > ~/.config/fish/completions/meshctl.fish")]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "meshctl", &mut script);
    context.printer.raw(&script)?;
    Ok(Exit::Success)
}
