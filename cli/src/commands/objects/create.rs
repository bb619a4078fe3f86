//! `meshctl create`: new objects from files.

use kube::api::PostParams;

use super::explain;
use super::target::Files;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure;
use crate::runtime::block_on;

/// Create routing rules and other objects of the mesh from files
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl create -f samples/bookinfo/kube/route-rule-all-v1.yaml
  meshctl create -f samples/bookinfo/networking/bookinfo-gateway.yaml -n shop

An object that exists already is an error; `meshctl replace` overwrites it.")]
pub struct Args {
    #[command(flatten)]
    files: Files,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let targets = args.files.read(context)?;
    block_on(async {
        let cluster = context.cluster().await?;
        for target in &targets {
            let named = target.named(&cluster);
            let api = target.api(&cluster);
            let object = target.object(&cluster)?;
            match api.create(&PostParams::default(), &object).await {
                Ok(_) => context.printer.done(&format!("{named} created")),
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    let error = anyhow::anyhow!("{named} is there already");
                    return Err(failure::advise(
                        error,
                        "`meshctl replace -f FILE` writes it anew",
                    ));
                }
                Err(error) => {
                    let tried = format!("failed to create {named}");
                    return Err(explain(&cluster, target.kind, &tried, error).await);
                }
            }
        }
        Ok(Exit::Success)
    })
}
