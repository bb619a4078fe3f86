//! `meshctl explain request`: which way a request takes through the mesh, decided as the proxies decide it.
//!
//! ```text
//! files, cluster --> Snapshot --> configuration of the client's proxy --explain--> hop --endpoint's pod--> hop of the server's proxy
//! ```

use mesh_core::explain::{ProxiedWorkload, WorkloadError};

use super::evaluator::Evaluator;
use super::text;
use crate::asked::Asked;
use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::failure;
use crate::gather::Sources;
use crate::mesh::Named;

/// Show where a request goes, and everything that decides it
///
/// The configuration is translated as the control plane does it, and the request is decided as the proxies decide it: listener, filter
/// chain, policies, each route that is tried and why it does not match, then the endpoints, and the policies of the proxy there.
/// Nothing is sent.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl explain request GET http://reviews:9080/reviews/0 --from deployment/productpage-v1
  meshctl explain request GET http://reviews:9080/reviews/0 -H 'end-user: jason'
  meshctl explain request GET http://bookinfo.example/productpage --from gateway/bookinfo-gateway
  meshctl explain request GET http://reviews:9080/ -f samples/bookinfo/platform/kube   # files, no cluster

Output formats: log, json, yaml.")]
pub struct Args {
    /// Method of the request
    #[arg(value_name = "METHOD")]
    method: String,
    /// Where the client sends it; http is taken where no scheme is given
    #[arg(value_name = "URL")]
    url: String,
    /// Who sends it; or gateway/NAME, to which it comes from outside (default: any workload of the namespace)
    #[arg(long, value_name = "[TYPE/]NAME[.NAMESPACE]")]
    from: Option<String>,
    /// A header of the request (repeatable)
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    #[command(flatten)]
    sources: Sources,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Log, Format::Json, Format::Yaml])?;
    let asked = Asked::parse(&args.method, &args.url, &args.header)?;
    let from = args.from.as_deref().map(Named::parse).transpose()?;
    let world = args.sources.read(context)?;
    let snapshot = &world.snapshot;
    let client = match from {
        None => ProxiedWorkload::anybody(snapshot, &world.namespace),
        Some(named) => {
            let namespace = named.namespace.unwrap_or(&world.namespace);
            let found = ProxiedWorkload::find(snapshot, named.kind, named.name, namespace);
            found.map_err(unknown_workload)?
        }
    };
    let decided = Evaluator::new(snapshot).decide(&client, &asked);
    match format {
        Format::Log => {
            let text = text::render(&asked.request, &decided, &world);
            context.printer.data(&text)?;
        }
        other => {
            let value = text::structured(&decided, &world);
            context.printer.structured(other, &value)?;
        }
    }
    Ok(Exit::Success)
}

/// There is no such workload, and what there is.
pub fn unknown_workload(error: WorkloadError) -> anyhow::Error {
    let there = match &error {
        WorkloadError::UnknownKind(_) => Vec::new(),
        WorkloadError::NotFound { there, .. } => there.clone(),
    };
    let error = failure::usage(error.to_string());
    if there.is_empty() {
        return error;
    }
    let shown: Vec<&str> = there.iter().take(8).map(String::as_str).collect();
    failure::advise(error, format!("there are {}", shown.join(", ")))
}
