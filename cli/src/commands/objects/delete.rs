//! `meshctl delete`: objects by files, or by kind and name.

use kube::api::DeleteParams;
use mesh_core::resource::Kind;

use super::target::Files;
use super::{api, explain, is_served, kind, named, not_served};
use crate::context::{Cluster, Context};
use crate::exit::Exit;
use crate::failure::{self, Advice as _};
use crate::runtime::block_on;

/// Delete routing rules and other objects of the mesh
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl delete -f samples/bookinfo/kube/route-rule-all-v1.yaml
  meshctl delete routerule reviews-default ratings-default
  meshctl delete virtualservice reviews -n shop

Exit code: 1 if one of them did not exist; the others are still deleted.")]
pub struct Args {
    #[command(flatten)]
    files: Files,
    /// Kind, and names of its objects
    #[arg(value_name = "KIND NAME", conflicts_with = "files")]
    words: Vec<String>,
}

/// An object that is to be deleted.
struct Doomed {
    kind: Kind,
    api_version: String,
    namespace: String,
    name: String,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let Args { files, words } = args;
    let by_name = match words.split_first() {
        None => None,
        Some((word, names)) if !names.is_empty() => Some((kind(word)?, names.to_vec())),
        Some((word, _)) => {
            kind(word)?;
            return Err(failure::usage("no object is named")).hint("write KIND NAME");
        }
    };
    let of_files = match by_name {
        None => files.read(context)?,
        Some(_) => Vec::new(),
    };
    block_on(async {
        let cluster = context.cluster().await?;
        let mut all: Vec<Doomed> = of_files
            .iter()
            .map(|target| Doomed {
                kind: target.kind,
                api_version: target.api_version.clone(),
                namespace: target.namespace(&cluster).to_owned(),
                name: target.name.clone(),
            })
            .collect();
        if let Some((kind, names)) = by_name {
            all.extend(names.into_iter().map(|name| Doomed {
                kind,
                api_version: kind.api_version().to_owned(),
                namespace: cluster.namespace.clone(),
                name,
            }));
        }
        let mut missing = false;
        for doomed in &all {
            missing |= !doomed.delete(&cluster, context).await?;
        }
        Ok(if missing {
            Exit::Failure
        } else {
            Exit::Success
        })
    })
}

// === impl Doomed ===

impl Doomed {
    /// Gives whether it was there.
    async fn delete(&self, cluster: &Cluster, context: &Context) -> anyhow::Result<bool> {
        let named = named(self.kind, &self.namespace, &self.name);
        let api = api(cluster, self.kind, &self.api_version, &self.namespace);
        match api.delete(&self.name, &DeleteParams::default()).await {
            Ok(_) => {
                context.printer.done(&format!("{named} deleted"));
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.code == 404 => {
                if !is_served(cluster, self.kind).await {
                    return Err(not_served(self.kind));
                }
                context.printer.error(&format!("{named} is not there"));
                Ok(false)
            }
            Err(error) => {
                let tried = format!("failed to delete {named}");
                Err(explain(cluster, self.kind, &tried, error).await)
            }
        }
    }
}
