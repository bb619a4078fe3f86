//! `meshctl sandbox status`.

use mesh_sandbox::{PodSummary, Status};

use super::Name;
use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::runtime;

/// Show a sandbox: whether all is ready, where it is reached, and its pods
///
/// Exit code 1 when it is not running or not ready.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl sandbox status
  meshctl sandbox status -o json | jq -r .ingress.url")]
pub struct Args {
    #[command(flatten)]
    name: Name,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Table, Format::Json, Format::Yaml])?;
    let root = mesh_sandbox::root()?;
    let status = runtime::block_on(mesh_sandbox::status(&root, &args.name.name))?;
    match format {
        Format::Table => show(&status, context)?,
        format => context.printer.structured(format, &status)?,
    }
    Ok(if status.record.ready {
        Exit::Success
    } else {
        Exit::Failure
    })
}

fn show(status: &Status, context: &Context) -> anyhow::Result<()> {
    let Status { record, pods } = status;
    let ready = pods.iter().filter(|pod| pod.ready).count();
    let text = format!(
        "sandbox:     {}{}\nbackend:     {}\nkubeconfig:  {}\ningress:     {}\npods:        {ready} of {} ready\n\n",
        record.name,
        if record.ready {
            ""
        } else {
            " (still starting)"
        },
        record.backend,
        record.kubeconfig.display(),
        record.ingress.url,
        pods.len(),
    );
    context.printer.data(&text)?;
    let row = |pod: &PodSummary| {
        [
            pod.namespace.clone(),
            pod.name.clone(),
            if pod.ready { "yes" } else { "no" }.to_owned(),
            pod.status.clone(),
            pod.address.clone(),
        ]
    };
    let rows: Vec<_> = pods.iter().map(row).collect();
    if !rows.is_empty() {
        context
            .printer
            .table(["NAMESPACE", "NAME", "READY", "STATUS", "ADDRESS"], &rows)?;
    }
    for pod in pods.iter().filter(|pod| !pod.message.is_empty()) {
        context
            .printer
            .note(&format!("{}.{}: {}", pod.name, pod.namespace, pod.message));
    }
    Ok(())
}
