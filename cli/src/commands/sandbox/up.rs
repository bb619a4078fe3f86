//! `meshctl sandbox up`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use mesh_core::install::FIELD_MANAGER;
use mesh_core::source::Document;
use mesh_sandbox::world::{Entry, Inside};
use mesh_sandbox::{Running, UpOptions, samples};
use serde_json::json;

use super::apply::{self, Applied};
use super::end::EndSignals;
use super::place::Place;
use super::pods::Pods;
use super::ready::{self, Readiness};
use super::summary::summary;
use super::{Name, detach};
use crate::apply::webhooks_served;
use crate::commands::install::{Values, install_profile};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{self, Advice as _};
use crate::input::{self, Input};
use crate::reporter::Reporter;
use crate::runtime;

/// Start a mesh on this machine: an API server, pods as local processes, the mesh, and samples
///
/// Stays in the foreground and shows what happens; Ctrl-C ends it and removes all it made.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl sandbox up --sample bookinfo
  meshctl sandbox up --detach --name second -f app.yaml --image app='python3 app.py'
  meshctl sandbox up --empty      # only an API server and a node; install the mesh with `meshctl install`

An image that is not known runs what --image, or the pod's annotation sandbox.meshctl.io/command, says. Pods are in namespaces of
the kernel where that is possible; with --backend loopback they share this machine's network, and programs find the address to listen
on in MESH_BIND_ADDRESS.")]
pub struct Args {
    #[command(flatten)]
    name: Name,
    /// Samples to deploy: bookinfo, helloworld, website
    #[arg(long = "sample", value_name = "SAMPLE", value_delimiter = ',')]
    samples: Vec<String>,
    /// Files or directories of YAML to apply, - for standard input
    #[arg(short, long = "filename", value_name = "FILE")]
    files: Vec<String>,
    /// What to run for an image
    #[arg(long = "image", value_name = "NAME=COMMAND")]
    images: Vec<String>,
    /// Do not install the mesh
    #[arg(long)]
    empty: bool,
    /// Profile of the mesh's installation
    #[arg(
        long,
        value_name = "PROFILE",
        default_value = "demo",
        conflicts_with = "empty"
    )]
    profile: String,
    /// Value of a key of the mesh's installation, as for `meshctl install`
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with = "empty")]
    sets: Vec<String>,
    /// Run in the background; return once all is ready
    #[arg(short, long)]
    detach: bool,
    /// Port of localhost that leads to the ingress gateway (default: 8080, or any free one)
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    ingress_port: Option<u16>,
    /// How long to wait until all is ready
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    #[command(flatten)]
    place: Place,
    /// This is the process in the background
    #[arg(long, hide = true)]
    background: bool,
}

/// All that is needed, read and checked before anything is started.
struct Wanted {
    args: Args,
    documents: Vec<Document>,
    images: BTreeMap<String, String>,
    /// What standard input held, if it was asked for.
    standard_input: Option<String>,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    if args.detach && !args.background {
        let wanted = wanted(args)?;
        let Args {
            name,
            timeout,
            samples,
            empty,
            ..
        } = &wanted.args;
        let input = wanted.standard_input.as_deref();
        return detach::run(&name.name, *timeout, samples, *empty, input, context);
    }
    let world = match args.place.enter(args.background, context)? {
        Entry::Inside(world) => Some(world),
        Entry::Loopback(_) => None,
        Entry::Ended(code) => return Ok(Exit::of(code)),
    };
    let wanted = wanted(args)?;
    runtime::block_on(Box::pin(serve(wanted, world, context)))
}

fn wanted(args: Args) -> anyhow::Result<Wanted> {
    if !args.empty {
        let values = Values {
            profile: Some(args.profile.clone()),
            sets: args.sets.clone(),
            revision: None,
            files: Vec::new(),
        };
        values.plan("istio-system")?;
    }
    mesh_sandbox::Paths::new(&mesh_sandbox::root()?, &args.name.name)
        .map_err(|error| failure::usage(error.to_string()))?;
    let mut inputs = Vec::new();
    for name in &args.samples {
        let yaml = samples::bundle(name).ok_or_else(|| {
            let known: Vec<&str> = samples::BUNDLES.iter().map(|bundle| bundle.name).collect();
            failure::usage(format!(
                "there is no sample {name:?}; there are {}",
                known.join(", ")
            ))
        })?;
        inputs.push(Input {
            name: format!("sample {name}"),
            text: yaml.to_owned(),
        });
    }
    inputs.extend(input::read_all(&args.files)?);
    let documents = apply::read(&inputs)?;
    let standard_input = inputs
        .into_iter()
        .find(|input| input.name == "-")
        .map(|input| input.text);
    let mut images = BTreeMap::new();
    for text in &args.images {
        let (name, command) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| {
                failure::usage(format!("--image {text:?} is not of the form NAME=COMMAND"))
            })?;
        images.insert(name.to_owned(), command.to_owned());
    }
    Ok(Wanted {
        args,
        documents,
        images,
        standard_input,
    })
}

/// The whole life of a sandbox in this process.
async fn serve(wanted: Wanted, world: Option<Inside>, context: &Context) -> anyhow::Result<Exit> {
    let begun = Instant::now();
    let mut end = EndSignals::listen()?;
    let reporter = context.reporter();
    let options = UpOptions {
        root: mesh_sandbox::root()?,
        name: wanted.args.name.name.clone(),
        images: wanted.images.clone(),
        ingress_port: wanted.args.ingress_port,
        world,
    };
    let step = reporter.step("starting the API server and the node");
    let mut running = Box::pin(mesh_sandbox::up(options)).await?;
    step.done(&format!(
        "API server and node run, pods in {} (kubeconfig {})",
        running.record().backend,
        running.record().kubeconfig.display()
    ));
    let outcome = tokio::select! {
        brought = Box::pin(bring_up(&mut running, &wanted, context, &reporter)) => brought.map(Some),
        () = end.next() => Ok(None),
    };
    let outcome = match outcome {
        Ok(Some(mut pods)) => {
            announce(&running, &wanted, context, begun.elapsed());
            tokio::select! {
                () = follow(&running, &mut pods, &reporter) => {}
                () = end.next() => {}
            }
            Ok(Exit::Success)
        }
        Ok(None) => Ok(Exit::Failure),
        Err(error) => Err(error),
    };
    let step = reporter.step("ending the sandbox (once more ends it at once)");
    tokio::select! {
        () = running.stop() => step.done("the sandbox has ended and left nothing behind"),
        // All processes end with this one.
        () = end.next() => step.failed("ended at once: the next `sandbox up` or `sandbox down` removes the files"),
    }
    outcome
}

/// Installs and applies what was asked for, and waits until all of it is ready.
async fn bring_up(
    running: &mut Running,
    wanted: &Wanted,
    context: &Context,
    reporter: &Reporter,
) -> anyhow::Result<Pods> {
    let client = running.client().clone();
    let limit = Duration::from_secs(wanted.args.timeout);
    let mut expected: Vec<Applied> = Vec::new();
    let namespace = context.namespace().unwrap_or("default");
    if !wanted.args.empty {
        let Args { profile, sets, .. } = &wanted.args;
        // Whatever a tutorial applies is to be known here.
        let legacy = "values.legacy.enabled=true".to_owned();
        let sets: Vec<String> = std::iter::once(legacy).chain(sets.clone()).collect();
        let plan = Box::pin(install_profile(&client, profile, &sets, reporter)).await?;
        expected.extend(plan.objects.iter().map(|object| Applied {
            api_version: object.resource.api_version(),
            kind: object.resource.kind.to_owned(),
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
            version: None,
        }));
        prepare_namespace(&client, namespace).await?;
        let step = reporter.step("waiting for the control plane");
        webhooks_served(&client, &plan, limit).await?;
        step.done("control plane serves its webhooks");
    }
    if !wanted.documents.is_empty() {
        let step = reporter.step("applying YAML");
        let applied = apply::apply(&client, &wanted.documents, namespace).await?;
        step.done(&format!("{} objects applied", applied.len()));
        expected.extend(applied);
    }
    let mut readiness = Readiness::new(running, &expected, !wanted.args.empty);
    let waited = tokio::time::timeout(limit, readiness.wait(reporter)).await;
    if waited.is_err() {
        let late = readiness.late(limit);
        if wanted.args.background {
            return Err(anyhow!("{late}")).hint("--timeout SECONDS waits longer");
        }
        // Whoever watches may mend what is missing, with kubectl for instance.
        reporter.warn(&format!("{late}; waiting on"));
        readiness.wait(reporter).await;
    }
    let pods = readiness.into_pods();
    running
        .set_ready()
        .context("failed to record that all is ready")?;
    Ok(pods)
}

/// Makes the namespace of applications, where it is not there, and has sidecars injected in it.
async fn prepare_namespace(client: &Client, name: &str) -> anyhow::Result<()> {
    let labelled = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"istio-injection": "enabled"}},
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let api: Api<Namespace> = Api::all(client.clone());
    let answer = api.patch(name, &params, &Patch::Apply(&labelled)).await;
    answer.with_context(|| format!("failed to have sidecars injected in namespace {name}"))?;
    Ok(())
}

/// Tells what happens to pods, for ever.
async fn follow(running: &Running, pods: &mut Pods, reporter: &Reporter) {
    let mut changes = running.changes();
    loop {
        let _ = changes.changed().await;
        ready::tell(pods.changes(running.pods()), reporter);
    }
}

fn announce(running: &Running, wanted: &Wanted, context: &Context, took: Duration) {
    let Args {
        samples,
        empty,
        background,
        ..
    } = &wanted.args;
    let printer = &context.printer;
    if *background {
        printer.note("ready");
        return;
    }
    printer.note("");
    printer.note(&summary(running.record(), samples, *empty, took));
    printer.note("Ctrl-C ends the sandbox and removes all it made.");
}
