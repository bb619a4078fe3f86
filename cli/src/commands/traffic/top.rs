//! `meshctl top`: the busiest directions of traffic, again and again.

use std::time::Duration;

use mesh_core::metrics::{self, Edge};
use mesh_core::model::DurationText;
use serde::Serialize;
use tokio::time::Instant;

use super::edges::lock;
use super::numbers::{Numbers, milliseconds, per_second, percent};
use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::failure;
use crate::mesh::Collector;
use crate::printer::render_table;
use crate::runtime;

/// Between two readings at least.
const SHORTEST: Duration = Duration::from_millis(200);

/// Show the busiest traffic, live
///
/// The proxies' own counters are read again and again, until Ctrl-C. On a terminal the table stays in its place; with -o json each
/// reading is a line.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl top                     # traffic of the namespace, every 2 seconds
  meshctl top -A --interval 5s
  meshctl top -n shop --count 1   # once
  meshctl top -o json --count 10

Output formats: table, json, yaml.")]
pub struct Args {
    /// Traffic of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Time between two readings
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    interval: String,
    /// Stop after this many readings
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Show at most this many rows
    #[arg(long, value_name = "N", default_value_t = 30)]
    rows: usize,
}

#[derive(Debug, Serialize)]
struct Document {
    /// Seconds that were counted.
    seconds: f64,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    source: String,
    destination: String,
    host: String,
    protocol: String,
    #[serde(rename = "mutualTLS")]
    mutual_tls: Option<bool>,
    #[serde(flatten)]
    numbers: Numbers,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Table, Format::Json, Format::Yaml])?;
    let interval = args.interval.parse::<DurationText>();
    let interval = interval.map_err(|error| failure::usage(format!("--interval: {error}")))?;
    let interval = interval.0.max(SHORTEST);
    runtime::block_on(async {
        let shown = Box::pin(show(args, interval, format, context));
        tokio::select! {
            outcome = shown => outcome,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    })?;
    Ok(Exit::Success)
}

async fn show(
    args: &Args,
    interval: Duration,
    format: Format,
    context: &Context,
) -> anyhow::Result<()> {
    let cluster = context.cluster().await?;
    let own = (!args.all_namespaces).then_some(&*cluster.namespace);
    let mut left = args.count;
    // Proxies come and go: they are looked for again with each table.
    let mut before: Option<(Instant, Vec<_>, crate::mesh::Reading)> = None;
    loop {
        let collector = Collector::find(&cluster).await?;
        let at = Instant::now();
        let reading = collector.read().await;
        if let Some((then, pods, earlier)) = &before
            && *pods == collector.pods()
        {
            let mut traffic = reading.since(earlier);
            if let Some(own) = own {
                traffic.keep(|flow| {
                    *flow.source.namespace == *own || *flow.destination.namespace == *own
                });
            }
            let passed = at.saturating_duration_since(*then);
            let mut edges = metrics::edges(&traffic);
            edges.sort_by_key(|edge| {
                let amount = edge.counts.requests + edge.counts.connections;
                std::cmp::Reverse(amount)
            });
            edges.truncate(args.rows);
            print(&edges, passed, format, context)?;
            if let Some(left) = &mut left {
                *left -= 1;
                if *left == 0 {
                    reading.complain(context);
                    return Ok(());
                }
            }
        }
        before = Some((at, collector.pods(), reading));
        tokio::time::sleep_until(at + interval).await;
    }
}

fn print(
    edges: &[Edge],
    passed: Duration,
    format: Format,
    context: &Context,
) -> anyhow::Result<()> {
    if format != Format::Table {
        let document = Document {
            seconds: passed.as_secs_f64(),
            rows: edges.iter().map(|edge| Row::new(edge, passed)).collect(),
        };
        return match format {
            Format::Yaml => {
                context.printer.data("---\n")?;
                context.printer.yaml(&document)
            }
            _ => {
                let line = serde_json::to_string(&document)?;
                context.printer.data(&format!("{line}\n"))
            }
        };
    }
    let rows: Vec<[String; 10]> = edges
        .iter()
        .map(|edge| cells(&Row::new(edge, passed)))
        .collect();
    let titles = [
        "SOURCE",
        "DESTINATION",
        "PROTOCOL",
        "MTLS",
        "SUCCESS",
        "RPS",
        "P50",
        "P95",
        "P99",
        "TCP",
    ];
    let table = render_table(&titles, rows.iter().map(<[String; 10]>::as_slice));
    // On a terminal each table takes the place of the one before.
    let clear = if context.printer.is_terminal() {
        "\x1b[H\x1b[2J"
    } else {
        ""
    };
    context.printer.data(&format!("{clear}{table}"))
}

fn cells(row: &Row) -> [String; 10] {
    let numbers = &row.numbers;
    [
        row.source.clone(),
        row.destination.clone(),
        row.protocol.clone(),
        lock(row.mutual_tls).to_owned(),
        percent(numbers.success_rate),
        per_second(numbers.rps),
        milliseconds(numbers.p50),
        milliseconds(numbers.p95),
        milliseconds(numbers.p99),
        numbers.tcp_connections.to_string(),
    ]
}

// === impl Row ===

impl Row {
    fn new(edge: &Edge, passed: Duration) -> Self {
        let host = edge.host.to_string();
        Self {
            source: edge.source.name(),
            destination: match edge.destination.workload.is_empty() && !host.is_empty() {
                true => host.clone(),
                false => edge.destination.name(),
            },
            host,
            protocol: edge.protocol.to_string(),
            mutual_tls: edge.mutual_tls,
            numbers: Numbers::new(&edge.counts, passed),
        }
    }
}
