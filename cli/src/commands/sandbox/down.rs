//! `meshctl sandbox down`.

use super::Name;
use crate::context::Context;
use crate::exit::Exit;
use crate::runtime;

/// End a sandbox and remove all it made
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl sandbox down
  meshctl sandbox down --name second")]
pub struct Args {
    #[command(flatten)]
    name: Name,
    /// End all sandboxes
    #[arg(long)]
    all: bool,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let root = mesh_sandbox::root()?;
    let names = if args.all {
        mesh_sandbox::names(&root)
    } else {
        vec![args.name.name.clone()]
    };
    let mut ended = 0;
    for name in names {
        let step = context.reporter().step(&format!("ending sandbox {name:?}"));
        let was_running = runtime::block_on(mesh_sandbox::down(&root, &name))?;
        if was_running {
            step.done(&format!(
                "sandbox {name:?} has ended and left nothing behind"
            ));
            ended += 1;
        }
    }
    if ended == 0 {
        context.printer.note(if args.all {
            "no sandbox is running"
        } else {
            "that sandbox is not running"
        });
    }
    Ok(Exit::Success)
}
