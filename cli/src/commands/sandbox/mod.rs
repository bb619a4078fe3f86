//! `meshctl sandbox`: a mesh on this machine.
//!
//! ```text
//! up -> mesh_sandbox::up -> install -> apply samples and files -> wait until ready -> follow until told to end
//!  '- --detach: the same in the background; this process waits until all is ready
//! apply, status, logs, env, down, list: other processes, by the state directory and the API
//! ```

mod apply;
mod demo;
mod detach;
mod down;
mod end;
mod env;
mod list;
mod logs;
mod place;
mod pods;
mod ready;
mod status;
mod summary;
mod up;

use clap::Subcommand;

use crate::context::{Context, SANDBOX_VARIABLE};
use crate::exit::Exit;

/// Run a mesh on this machine, without a cluster
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:
  meshctl sandbox up --sample bookinfo   # until Ctrl-C
  meshctl sandbox up --detach && meshctl sandbox status
  eval \"$(meshctl sandbox env)\"          # kubectl now talks to it
  meshctl sandbox down"
)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Up(up::Args),
    Demo(demo::Args),
    Apply(apply::Args),
    Status(status::Args),
    Logs(logs::Args),
    Env(env::Args),
    Down(down::Args),
    #[command(visible_alias = "ls")]
    List(list::Args),
}

/// Which sandbox is meant.
#[derive(Debug, clap::Args)]
struct Name {
    /// Name of the sandbox
    #[arg(long, value_name = "NAME", env = SANDBOX_VARIABLE, hide_env_values = true, default_value = mesh_sandbox::DEFAULT_NAME)]
    name: String,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    match args.action {
        Action::Up(args) => up::run(args, context),
        Action::Demo(args) => demo::run(&args, context),
        Action::Apply(args) => apply::run(&args, context),
        Action::Status(args) => status::run(&args, context),
        Action::Logs(args) => logs::run(args, context),
        Action::Env(args) => env::run(&args, context),
        Action::Down(args) => down::run(&args, context),
        Action::List(list::Args {}) => list::run(context),
    }
}
