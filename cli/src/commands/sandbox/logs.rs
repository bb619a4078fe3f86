//! `meshctl sandbox logs`.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail};
use futures::{AsyncBufReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use kube::{Api, Client, ResourceExt as _};

use super::Name;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Advice as _;
use crate::printer::Printer;
use crate::runtime;

/// Show what a pod printed, or what the sandbox itself did in the background
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl sandbox logs reviews-v1                   # of the pod whose name begins like this
  meshctl sandbox logs productpage -c istio-proxy   # of its proxy
  meshctl sandbox logs                              # of a detached sandbox itself")]
pub struct Args {
    #[command(flatten)]
    name: Name,
    /// Name of the pod, or how it begins; NAMESPACE/POD and POD.NAMESPACE also work
    #[arg(value_name = "POD")]
    pod: Option<String>,
    /// Container of the pod
    // It has the id of a flag that all commands have and takes its place, so that `-c` means what it means to `kubectl logs`. The type
    // is that flag's.
    #[arg(
        id = "kubeconfig",
        short = 'c',
        short_alias = 'C',
        long = "container",
        value_name = "NAME"
    )]
    container: Option<PathBuf>,
    /// Go on as more is printed
    #[arg(short, long)]
    follow: bool,
    /// Show only the last lines
    #[arg(long, value_name = "LINES")]
    tail: Option<i64>,
    /// Show the run before the last restart
    #[arg(short, long)]
    previous: bool,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let root = mesh_sandbox::root()?;
    let record = mesh_sandbox::find(&root, &args.name.name)?;
    let Some(wanted) = args.pod.clone() else {
        return own(&record, context);
    };
    runtime::block_on(async {
        let client = mesh_sandbox::client(&std::fs::read_to_string(&record.kubeconfig)?).await?;
        let pod = find(&client, &wanted, context.namespace()).await?;
        print(&client, &pod, &args, &context.printer).await
    })?;
    Ok(Exit::Success)
}

/// The log of a detached sandbox.
fn own(record: &mesh_sandbox::Record, context: &Context) -> anyhow::Result<Exit> {
    let path = record.log();
    match std::fs::read(&path) {
        Ok(text) => context.printer.raw(&text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(anyhow!(
                "sandbox {:?} runs in a terminal, which shows what it does",
                record.name
            ))
            .hint("name a pod: `meshctl sandbox status` lists them");
        }
        Err(error) => {
            return Err(error).with_context(|| format!("failed to read {}", path.display()));
        }
    }
    Ok(Exit::Success)
}

/// The pod of that name, or the only one whose name begins like it.
async fn find(client: &Client, wanted: &str, namespace: Option<&str>) -> anyhow::Result<Pod> {
    let pods = Api::<Pod>::all(client.clone())
        .list(&ListParams::default())
        .await
        .context("failed to list the sandbox's pods")?;
    let in_namespace =
        |pod: &Pod| namespace.is_none_or(|name| pod.namespace().as_deref() == Some(name));
    let mut exact = Vec::new();
    let mut begins = Vec::new();
    for pod in pods.into_iter().filter(in_namespace) {
        let (name, place) = (pod.name_any(), pod.namespace().unwrap_or_default());
        if [
            name.clone(),
            format!("{place}/{name}"),
            format!("{name}.{place}"),
        ]
        .contains(&wanted.to_owned())
        {
            exact.push(pod);
        } else if name.starts_with(wanted) || format!("{place}/{name}").starts_with(wanted) {
            begins.push(pod);
        }
    }
    let mut found = if exact.is_empty() { begins } else { exact };
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(anyhow!("no pod's name begins with {wanted:?}"))
            .hint("`meshctl sandbox status` lists the pods"),
        _ => {
            let names: BTreeSet<String> = found
                .iter()
                .map(|pod| format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any()))
                .collect();
            let names: Vec<String> = names.into_iter().collect();
            bail!("several pods are meant by {wanted:?}: {}", names.join(", "))
        }
    }
}

async fn print(client: &Client, pod: &Pod, args: &Args, printer: &Printer) -> anyhow::Result<()> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let params = LogParams {
        container: Some(
            args.container
                .as_ref()
                .map_or_else(|| usual_container(pod), |name| name.display().to_string()),
        ),
        follow: args.follow,
        previous: args.previous,
        tail_lines: args.tail,
        ..LogParams::default()
    };
    let stream = api.log_stream(&pod.name_any(), &params).await;
    let stream = stream.map_err(|error| match error {
        kube::Error::Api(status) => anyhow!("{}", status.message),
        error => anyhow::Error::from(error).context("failed to read the log"),
    })?;
    let mut lines = Box::pin(stream.lines());
    while let Some(line) = lines.next().await {
        let line = line.context("the log broke off")?;
        printer.raw(format!("{line}\n").as_bytes())?;
    }
    Ok(())
}

/// The first container that is not the sidecar.
fn usual_container(pod: &Pod) -> String {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let names: Vec<&String> = containers.map(|container| &container.name).collect();
    let app = names
        .iter()
        .find(|name| name.as_str() != mesh_core::inject::PROXY_CONTAINER);
    app.or(names.first())
        .map_or_else(String::new, |name| (*name).clone())
}
