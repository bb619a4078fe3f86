//! `meshctl uninstall`: takes out what `install` made, and with `--purge` also what others may depend on.

use std::time::Duration;

use kube::Client;

use crate::apply::{self, Found};
use crate::commands::confirm::{check_terminal, confirm};
use crate::commands::install::duration;
use crate::context::Context;
use crate::exit::Exit;
use crate::reporter::Reporter;
use crate::runtime::block_on;

/// Kinds that others depend on.
const SHARED: [&str; 2] = ["Namespace", "CustomResourceDefinition"];

/// Remove the mesh from a cluster
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl uninstall              # control plane and gateways; CRDs and routing rules stay
  meshctl uninstall -r canary    # one of several control planes
  meshctl uninstall --purge -y   # everything, with the CRDs and thereby all routing rules

Injected sidecars keep running with their last configuration until their pods are replaced.")]
pub struct Args {
    /// Also remove the CRDs (and so every VirtualService and the like), the mesh's key and root certificates, and the namespace
    /// of the control plane if nothing else is in it
    #[arg(long)]
    purge: bool,
    /// Remove only the control plane of this revision, and what was installed with it; the default one is called default
    #[arg(short = 'r', long, value_name = "NAME", conflicts_with = "purge")]
    revision: Option<String>,
    /// Do not ask
    #[arg(short = 'y', long, alias = "skip-confirmation")]
    yes: bool,
    /// How long objects may take to go
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = duration)]
    timeout: Duration,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    if !args.yes {
        check_terminal()?;
    }
    block_on(async {
        let cluster = context.cluster().await?;
        let (client, reporter) = (&cluster.client, context.reporter());
        let control_plane = context.istio_namespace();
        let revision = args.revision.as_deref();
        let mut found = apply::owned(client, control_plane, revision).await?;
        if args.purge {
            found.extend(apply::leftovers(client, control_plane).await?);
        } else {
            found.retain(|one| !SHARED.contains(&one.resource.kind));
        }
        if found.is_empty() {
            reporter.done(&format!(
                "nothing to remove: nothing of the mesh is in {} for namespace {control_plane}",
                cluster.name
            ));
            return Ok(Exit::Success);
        }
        for one in &found {
            context.printer.note(&format!("  {}", one.identity()));
        }
        if args.purge {
            reporter.warn("with the CRDs go all VirtualServices, DestinationRules, Gateways and ServiceEntries of the cluster");
        }
        let question = format!(
            "This will remove these {} objects from {}.",
            found.len(),
            cluster.name
        );
        if !args.yes && !confirm(context, &question)? {
            return Ok(Exit::Failure);
        }
        let removed = remove(client, found, args.timeout, control_plane, &reporter).await?;
        reporter.done(&format!("Uninstalled: {removed} objects removed"));
        Ok(Exit::Success)
    })
}

/// Removes in the reverse order of installation, the namespace last and only when nothing else is in it.
async fn remove(
    client: &Client,
    found: Vec<Found>,
    timeout: Duration,
    control_plane: &str,
    reporter: &Reporter,
) -> anyhow::Result<usize> {
    let (namespaces, mut rest): (Vec<Found>, Vec<Found>) = found
        .into_iter()
        .partition(|one| one.resource.kind == "Namespace");
    // Leftovers come last in the list and are made again while the control plane runs, so programs go first; and before them what
    // makes the API server call them, or no pod could be created meanwhile.
    let rank = |one: &Found| match one.resource.kind {
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => 0,
        "Deployment" | "HorizontalPodAutoscaler" => 1,
        "CustomResourceDefinition" => 3,
        _ => 2,
    };
    rest.sort_by_key(rank);
    let step = reporter.step("removing the mesh");
    let (webhooks, others) = rest.split_at(rest.partition_point(|one| rank(one) == 0));
    let (programs, others) = others.split_at(others.partition_point(|one| rank(one) == 1));
    let mut removed = 0;
    for group in [webhooks, programs, others] {
        for one in group {
            step.say(&format!("removing {}", one.identity()));
            removed += usize::from(apply::delete(client, one).await?);
        }
        apply::wait_gone(client, group, timeout, &step).await?;
    }
    for namespace in &namespaces {
        let name = namespace.identity().name;
        let strangers = apply::strangers(client, &name).await?;
        if let Some(first) = strangers.first() {
            let others = match strangers.len() {
                1 => first.to_string(),
                count => format!("{first} and {} other objects", count - 1),
            };
            reporter.warn(&format!("namespace {name} stays, with {others} in it"));
            continue;
        }
        removed += usize::from(apply::delete(client, namespace).await?);
        apply::wait_gone(client, std::slice::from_ref(namespace), timeout, &step).await?;
    }
    step.done(&format!("control plane of {control_plane} removed"));
    Ok(removed)
}
