//! `meshctl stat`: success, rate and durations of workloads or services.

use std::time::Duration;

use clap::ValueEnum;
use mesh_core::metrics::{self, By, Stat, Traffic};
use serde::Serialize;

use super::numbers::{Numbers, milliseconds, per_second, percent};
use super::window::Window;
use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::runtime;

/// Show the success rate, request rate and latency of workloads or services
///
/// The proxies' own counters are read twice; no metrics store is needed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl stat                   # requests that the namespace's workloads receive
  meshctl stat service -A        # by service, in all namespaces
  meshctl stat --outbound        # requests that the workloads send
  meshctl stat --window 0 -o json

Output formats: table, json, yaml.")]
pub struct Args {
    /// What to count by
    #[arg(value_enum, default_value = "workload")]
    of: Of,
    /// Count the requests that workloads send instead of those that they receive
    #[arg(long)]
    outbound: bool,
    #[command(flatten)]
    window: Window,
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Of {
    /// Deployments and other workloads.
    #[value(aliases = ["workloads", "deploy", "deployment", "deployments"])]
    Workload,
    /// Services.
    #[value(aliases = ["services", "svc"])]
    Service,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    namespace: String,
    /// How much of it was mutual TLS, in percent.
    #[serde(rename = "mutualTLS", skip_serializing_if = "Option::is_none")]
    secured: Option<f64>,
    #[serde(flatten)]
    numbers: Numbers,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Table, Format::Json, Format::Yaml])?;
    let length = args.window.length()?;
    let (traffic, namespace) = runtime::block_on(async {
        let cluster = context.cluster().await?;
        let namespace = args.window.namespace(&cluster).map(str::to_owned);
        let traffic = args.window.traffic(&cluster, context).await?;
        anyhow::Ok((traffic, namespace))
    })?;
    let mut stats = rows(&traffic, args.of, args.outbound);
    stats.retain(|stat| namespace.as_ref().is_none_or(|own| *own == stat.namespace));
    match format {
        Format::Json | Format::Yaml => {
            let rows: Vec<Row> = stats.iter().map(|stat| Row::new(stat, length)).collect();
            context.printer.structured(format, &rows)?;
        }
        _ if stats.is_empty() => args.window.nothing(context),
        _ => table(&stats, length, context)?,
    }
    Ok(Exit::Success)
}

fn rows(traffic: &Traffic, of: Of, outbound: bool) -> Vec<Stat> {
    let by = match of {
        Of::Workload => By::Workload,
        Of::Service => By::Service,
    };
    metrics::stats(traffic, by, outbound)
}

fn table(stats: &[Stat], length: Duration, context: &Context) -> anyhow::Result<()> {
    let rows: Vec<[String; 10]> = stats
        .iter()
        .map(|stat| {
            let numbers = Numbers::new(&stat.counts, length);
            [
                stat.namespace.clone(),
                stat.name.clone(),
                percent(numbers.success_rate),
                per_second(numbers.rps),
                numbers.requests.to_string(),
                milliseconds(numbers.p50),
                milliseconds(numbers.p95),
                milliseconds(numbers.p99),
                numbers.tcp_connections.to_string(),
                stat.secured
                    .map_or_else(|| "-".to_owned(), |share| format!("{share:.0}%")),
            ]
        })
        .collect();
    let titles = [
        "NAMESPACE",
        "NAME",
        "SUCCESS",
        "RPS",
        "REQUESTS",
        "P50",
        "P95",
        "P99",
        "TCP",
        "MTLS",
    ];
    context.printer.table(titles, &rows)
}

// === impl Row ===

impl Row {
    fn new(stat: &Stat, length: Duration) -> Self {
        Self {
            name: stat.name.clone(),
            namespace: stat.namespace.clone(),
            secured: stat.secured,
            numbers: Numbers::new(&stat.counts, length),
        }
    }
}
