//! `meshctl replace`: objects that are there, written anew from files.

use kube::api::PostParams;

use super::target::Files;
use super::{explain, is_served, not_served};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure;
use crate::runtime::block_on;

/// Replace routing rules and other objects of the mesh with those in files
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl replace -f samples/bookinfo/kube/route-rule-reviews-50-v3.yaml
  meshctl get routerules reviews-default -o yaml | sed 's/v1$/v2/' | meshctl replace -f -

An object that does not exist is an error; `meshctl create` creates it. An object with a
resourceVersion is replaced only if it has not been changed since.")]
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
            let tried = format!("failed to replace {named}");
            let api = target.api(&cluster);
            let mut object = target.object(&cluster)?;
            let there = match api.get_opt(&target.name).await {
                Ok(Some(there)) => there,
                Ok(None) if !is_served(&cluster, target.kind).await => {
                    return Err(not_served(target.kind));
                }
                Ok(None) => {
                    let error = anyhow::anyhow!("{named} is not there");
                    return Err(failure::advise(error, "`meshctl create -f FILE` makes it"));
                }
                Err(error) => return Err(explain(&cluster, target.kind, &tried, error).await),
            };
            let version = &mut object.metadata.resource_version;
            *version = version.take().or(there.metadata.resource_version);
            let replaced = api
                .replace(&target.name, &PostParams::default(), &object)
                .await;
            match replaced {
                Ok(_) => context.printer.done(&format!("{named} replaced")),
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    let error = anyhow::anyhow!("{named} has been changed meanwhile");
                    return Err(failure::advise(
                        error,
                        "read it again, and repeat the change",
                    ));
                }
                Err(error) => return Err(explain(&cluster, target.kind, &tried, error).await),
            }
        }
        Ok(Exit::Success)
    })
}
