//! `meshctl explain request`: which way a request takes through the mesh, decided as the proxies decide it.
//!
//! ```text
//! files, cluster --> Snapshot --> configuration of the client's proxy --explain--> hop --endpoint's pod--> hop of the server's proxy
//! ```

use std::net::SocketAddr;

use mesh_core::explain::{
    Arrival, Hop, Outcome, ProxiedWorkload, Security, Share, WorkloadError, address_of, explain,
};
use mesh_core::snapshot::Snapshot;
use mesh_core::translate::translate;
use mesh_ir::matching::PlainRequest;
use mesh_ir::{Direction, ProxyKind};

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

/// What one proxy on the way decides.
pub struct Decided {
    /// Whose proxy it is.
    pub proxy: String,
    /// What it decides.
    pub hop: Hop,
    /// What the servers' proxies decide, one for each target that has any.
    pub servers: Vec<(String, Hop)>,
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
    let decided = decide(snapshot, &client, &asked);
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

fn decide(snapshot: &Snapshot, client: &ProxiedWorkload, asked: &Asked) -> Decided {
    let (config, _) = translate(snapshot, &client.scope);
    let is_gateway = client.scope.kind == ProxyKind::Gateway;
    let address = address_of(snapshot, &asked.host, &client.scope.namespace);
    let source = SocketAddr::new(client.address(), 0);
    let arrival = Arrival {
        direction: Direction::Outbound,
        source,
        destination: SocketAddr::new(address, client.port(snapshot, asked.port)),
        server_name: asked.is_tls.then_some(&asked.host),
        // Of who comes to a gateway nothing is known.
        peer: None,
    };
    let hop = explain(&config, arrival, &asked.request);
    let request = changed(&asked.request, &hop.outcome);
    let targets = hop.outcome.targets().iter();
    let servers = targets.filter_map(|target| server(snapshot, client, target, source, &request));
    let servers = servers.collect();
    let proxy = if is_gateway {
        client.name.clone()
    } else {
        format!("sidecar of {}", client.name)
    };
    Decided {
        proxy,
        hop,
        servers,
    }
}

/// The request as the next proxy gets it.
fn changed(request: &PlainRequest, outcome: &Outcome) -> PlainRequest {
    let mut request = request.clone();
    if let Outcome::Forward { path, host, .. } = outcome {
        if let Some(path) = path {
            request.path.clone_from(path);
        }
        if let Some(host) = host {
            request.authority = host.to_string();
        }
    }
    request
}

/// What the proxy beside a target's first healthy endpoint decides; none if there is no such proxy.
fn server(
    snapshot: &Snapshot,
    client: &ProxiedWorkload,
    target: &Share,
    source: SocketAddr,
    request: &PlainRequest,
) -> Option<(String, Hop)> {
    let endpoint = target.endpoints.iter().find(|endpoint| endpoint.healthy)?;
    let destination: SocketAddr = endpoint.address.parse().ok()?;
    let server = ProxiedWorkload::at(snapshot, destination.ip())?;
    let (config, _) = translate(snapshot, &server.scope);
    let arrival = Arrival {
        direction: Direction::Inbound,
        source,
        destination,
        server_name: None,
        peer: client
            .identity
            .as_ref()
            .filter(|_| endpoint.security == Security::MutualTls),
    };
    let hop = explain(&config, arrival, request);
    Some((format!("sidecar of {}", server.name), hop))
}

fn unknown_workload(error: WorkloadError) -> anyhow::Error {
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
