//! `meshctl graph`: the traffic as a graph, for the terminal, for other programs, and as a picture.

mod ascii;
mod dot;
mod label;
mod mermaid;
mod svg;

use clap::ValueEnum;
use mesh_core::metrics::{self, Graph, GraphType};
use serde::Serialize;

use super::numbers::Numbers;
use super::window::Window;
use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::runtime;
use label::Labels;

/// Show the traffic as a graph: who talks to whom, rates, errors, and whether it is mutual TLS
///
/// The proxies' own counters are read twice; no metrics store is needed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl graph                             # traffic of the namespace, in the next 10 seconds
  meshctl graph --type workload -A
  meshctl graph -o svg > traffic.svg
  meshctl graph -o dot | dot -Tpng > traffic.png
  meshctl graph -o mermaid --window 0       # everything since the proxies were started

Output formats: ascii, dot, mermaid, svg, json, yaml.")]
pub struct Args {
    /// What the nodes are
    #[arg(long = "type", value_enum, default_value = "versioned-app")]
    of: Of,
    #[command(flatten)]
    window: Window,
}

/// What the nodes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Of {
    /// Applications.
    App,
    /// Applications by version.
    #[value(alias = "versionedApp")]
    VersionedApp,
    /// Workloads.
    Workload,
    /// Services.
    Service,
}

#[derive(Debug, Serialize)]
struct Document {
    nodes: Vec<NodeRow>,
    edges: Vec<EdgeRow>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeRow {
    id: usize,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EdgeRow {
    source: usize,
    destination: usize,
    protocols: Vec<String>,
    #[serde(rename = "mutualTLS")]
    mutual_tls: Option<bool>,
    #[serde(flatten)]
    numbers: Numbers,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[
        Format::Ascii,
        Format::Dot,
        Format::Mermaid,
        Format::Svg,
        Format::Json,
        Format::Yaml,
    ])?;
    let length = args.window.length()?;
    let traffic = runtime::block_on(async {
        let cluster = context.cluster().await?;
        args.window.traffic(&cluster, context).await
    })?;
    let graph = metrics::graph(&traffic, args.of.into());
    let labels = Labels { window: length };
    let text = match format {
        Format::Json | Format::Yaml => {
            let document = Document::new(&graph, length);
            context.printer.structured(format, &document)?;
            return Ok(Exit::Success);
        }
        Format::Dot => dot::render(&graph, &labels),
        Format::Mermaid => mermaid::render(&graph, &labels),
        Format::Svg => svg::render(&graph, &labels),
        _ if graph.edges.is_empty() => {
            args.window.nothing(context);
            return Ok(Exit::Success);
        }
        _ => ascii::render(&graph, &labels),
    };
    context.printer.data(&text)?;
    Ok(Exit::Success)
}

// === impl Of ===

impl From<Of> for GraphType {
    fn from(of: Of) -> Self {
        match of {
            Of::App => Self::App,
            Of::VersionedApp => Self::VersionedApp,
            Of::Workload => Self::Workload,
            Of::Service => Self::Service,
        }
    }
}

// === impl Document ===

impl Document {
    fn new(graph: &Graph, length: std::time::Duration) -> Self {
        let nodes = graph.nodes.iter().enumerate();
        Self {
            nodes: nodes
                .map(|(id, node)| NodeRow {
                    id,
                    name: node.name.clone(),
                    namespace: node.namespace.clone(),
                    version: node.version.clone(),
                })
                .collect(),
            edges: graph
                .edges
                .iter()
                .map(|edge| EdgeRow {
                    source: edge.source,
                    destination: edge.destination,
                    protocols: edge.protocols.iter().map(ToString::to_string).collect(),
                    mutual_tls: edge.mutual_tls,
                    numbers: Numbers::new(&edge.counts, length),
                })
                .collect(),
        }
    }
}
