//! `meshctl tag`: names that stand for a revision of the control plane, so that namespaces keep their label while an upgrade moves
//! the name.

mod list;
mod remove;
mod set;

use clap::{CommandFactory, Subcommand};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, Client};
use mesh_core::install::{DEFAULT_REVISION, OWNER_LABEL, REVISION_LABEL, TAG_LABEL};

use crate::apply;
use crate::context::Context;
use crate::exit::Exit;

/// Label by which namespaces ask for the default revision.
const INJECTION_LABEL: &str = "istio-injection";

/// Manage tags: names for revisions of the control plane that can be moved to another revision
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl tag set prod --revision 1-0-0
  kubectl label namespace shop istio.io/rev=prod       # new pods get sidecars of 1-0-0
  meshctl tag set prod --revision 1-1-0 --overwrite    # restarted pods get sidecars of 1-1-0
  meshctl tag set default --revision 1-1-0             # namespaces with istio-injection=enabled
  meshctl tag generate prod --revision 1-1-0 > prod.yaml
  meshctl tag list
  meshctl tag remove prod

Output formats of list: table, json, yaml.")]
pub struct Args {
    #[command(subcommand)]
    part: Option<Part>,
}

/// What to do with tags.
#[derive(Debug, Subcommand)]
enum Part {
    Set(set::Args),
    Generate(set::GenerateArgs),
    List(list::Args),
    Remove(remove::Args),
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    match args.part {
        Some(Part::Set(args)) => set::run(&args, context),
        Some(Part::Generate(args)) => set::generate(&args, context),
        Some(Part::List(args)) => list::run(&args, context),
        Some(Part::Remove(args)) => remove::run(&args, context),
        None => {
            let mut program = crate::args::Cli::command();
            program.build();
            let help = program
                .find_subcommand_mut("tag")
                .map(|command| command.render_help().ansi().to_string());
            context.printer.data(&help.unwrap_or_default())?;
            Ok(Exit::Success)
        }
    }
}

/// A name by which namespaces ask for a control plane: a revision's own, or a tag's.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    name: String,
    /// The revision that answers.
    revision: String,
    is_tag: bool,
    /// PEM of its CA, once it has written that.
    ca_bundle: Option<Vec<u8>>,
}

/// All revisions and tags of control planes in a namespace, by name.
async fn known(client: &Client, control_plane: &str) -> anyhow::Result<Vec<Known>> {
    let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let ours = ListParams::default().labels(&format!("{OWNER_LABEL}={control_plane}"));
    let found = api.list(&ours).await;
    let found = found
        .map_err(|error| apply::explain("failed to list the webhook configurations", error))?;
    let mut all: Vec<Known> = found.items.into_iter().filter_map(Known::read).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Names of the namespaces that ask for a revision or tag.
async fn namespaces(client: &Client, name: &str) -> anyhow::Result<Vec<String>> {
    let api: Api<Namespace> = Api::all(client.clone());
    let found = api.list(&ListParams::default()).await;
    let found = found.map_err(|error| apply::explain("failed to list the namespaces", error))?;
    let asks = |namespace: &&Namespace| {
        let labels = namespace.metadata.labels.as_ref();
        let label = |key| {
            labels
                .and_then(|labels| labels.get(key))
                .map(String::as_str)
        };
        match label(INJECTION_LABEL) {
            // It goes before the revision.
            Some(value) => name == DEFAULT_REVISION && value == "enabled",
            None => label(REVISION_LABEL) == Some(name),
        }
    };
    let names = found.items.iter().filter(asks);
    Ok(names.filter_map(|it| it.metadata.name.clone()).collect())
}

// === impl Known ===

impl Known {
    fn read(configuration: MutatingWebhookConfiguration) -> Option<Self> {
        let labels = configuration.metadata.labels?;
        let revision = labels.get(REVISION_LABEL)?.clone();
        let tag = labels.get(TAG_LABEL).cloned();
        let webhooks = configuration.webhooks.unwrap_or_default();
        let mut bundles = webhooks
            .into_iter()
            .filter_map(|it| it.client_config.ca_bundle);
        Some(Self {
            is_tag: tag.is_some(),
            name: tag.unwrap_or_else(|| revision.clone()),
            revision,
            ca_bundle: bundles.next().map(|bundle| bundle.0),
        })
    }
}
