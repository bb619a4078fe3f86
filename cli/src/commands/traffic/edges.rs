//! `meshctl edges`: who talks to whom, and whether it is mutual TLS.

use serde::Serialize;

use super::numbers::{Numbers, per_second, rate};
use super::window::Window;
use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::runtime;
use mesh_core::metrics::{self, Edge};

/// Show who talks to whom, with identities, and whether it is mutual TLS
///
/// The proxies' own counters are read twice; no metrics store is needed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl edges                 # traffic of the namespace, in the next 10 seconds
  meshctl edges -A --window 0   # of all namespaces, since the proxies were started
  meshctl edges -o json

Output formats: table, json, yaml.")]
pub struct Args {
    #[command(flatten)]
    window: Window,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    source: End,
    destination: End,
    #[serde(skip_serializing_if = "String::is_empty")]
    service: String,
    host: String,
    protocol: String,
    /// None where no proxy of the receiver tells.
    #[serde(rename = "mutualTLS")]
    mutual_tls: Option<bool>,
    #[serde(flatten)]
    numbers: Numbers,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct End {
    workload: String,
    namespace: String,
    app: String,
    version: String,
    principal: String,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Table, Format::Json, Format::Yaml])?;
    let length = args.window.length()?;
    let traffic = runtime::block_on(async {
        let cluster = context.cluster().await?;
        args.window.traffic(&cluster, context).await
    })?;
    let edges = metrics::edges(&traffic);
    match format {
        Format::Json | Format::Yaml => {
            let rows: Vec<Row> = edges
                .iter()
                .map(|edge| Row::new(edge, Numbers::new(&edge.counts, length)))
                .collect();
            context.printer.structured(format, &rows)?;
        }
        _ if edges.is_empty() => args.window.nothing(context),
        _ => {
            let rows: Vec<[String; 7]> = edges
                .iter()
                .map(|edge| {
                    let count = edge.counts.requests + edge.counts.connections;
                    let traffic = match rate(count, length) {
                        Some(rate) => per_second(Some(rate)),
                        None => count.to_string(),
                    };
                    [
                        edge.source.name(),
                        receiver(edge),
                        edge.protocol.to_string(),
                        lock(edge.mutual_tls).to_owned(),
                        principal(&edge.source.principal),
                        principal(&edge.destination.principal),
                        traffic,
                    ]
                })
                .collect();
            let titles = [
                "SOURCE",
                "DESTINATION",
                "PROTOCOL",
                "MTLS",
                "CLIENT",
                "SERVER",
                "TRAFFIC",
            ];
            context.printer.table(titles, &rows)?;
        }
    }
    Ok(Exit::Success)
}

/// The workload, or the service where none was reached.
fn receiver(edge: &Edge) -> String {
    match (&*edge.destination.workload, &*edge.host) {
        ("", "") => "unknown".to_owned(),
        ("", host) => host.to_owned(),
        _ => edge.destination.name(),
    }
}

/// The cell of a lock.
pub fn lock(mutual_tls: Option<bool>) -> &'static str {
    match mutual_tls {
        Some(true) => "yes",
        Some(false) => "no",
        None => "-",
    }
}

/// `NAMESPACE/SERVICE_ACCOUNT` of an identity of the mesh; others as they are.
fn principal(identity: &str) -> String {
    if identity.is_empty() {
        return "-".to_owned();
    }
    let account = identity
        .split_once("/ns/")
        .and_then(|(_, rest)| rest.split_once("/sa/"));
    account.map_or_else(
        || identity.to_owned(),
        |(namespace, account)| format!("{namespace}/{account}"),
    )
}

// === impl Row ===

impl Row {
    fn new(edge: &Edge, numbers: Numbers) -> Self {
        let end = |peer: &metrics::Peer| End {
            workload: peer.workload.to_string(),
            namespace: peer.namespace.to_string(),
            app: peer.app.to_string(),
            version: peer.version.to_string(),
            principal: peer.principal.to_string(),
        };
        Self {
            source: end(&edge.source),
            destination: end(&edge.destination),
            service: match edge.service.is_empty() {
                true => String::new(),
                false => format!("{}.{}", edge.service, edge.service_namespace),
            },
            host: edge.host.to_string(),
            protocol: edge.protocol.to_string(),
            mutual_tls: edge.mutual_tls,
            numbers,
        }
    }
}
