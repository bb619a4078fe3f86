//! `meshctl tap`: requests as they happen, from the proxies' access logs.

use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use mesh_core::access_log::Entry;
use mesh_core::model::DurationText;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::context::{Cluster, Context, Format};
use crate::exit::Exit;
use crate::failure;
use crate::mesh::{PROXY, PodRef, proxies, resolve};
use crate::runtime;

/// Lines that wait to be printed at most; proxies' logs wait beyond that.
const WAITING: usize = 1024;

/// Show requests as they happen
///
/// The access logs of the proxies are followed, so they must be on: meshConfig.accessLogFile, or a Telemetry. Query strings
/// are left out, and headers and bodies are never shown.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl tap                                   # all proxies of the namespace
  meshctl tap deployment/productpage-v1 --status 500-599
  meshctl tap -A --method POST --path /api --max 20
  meshctl tap --flags any -o json               # what went wrong

Output formats: table, json, yaml.")]
pub struct Args {
    /// A pod, workload or service, such as deployment/reviews-v1 (default: all of the namespace)
    #[arg(value_name = "POD")]
    pod: Option<String>,
    /// Proxies of all namespaces
    #[arg(short = 'A', long, conflicts_with = "pod")]
    all_namespaces: bool,
    #[command(flatten)]
    filter: Filter,
    /// Stop after this many requests
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// Stop after this time
    #[arg(long = "for", value_name = "DURATION")]
    time: Option<String>,
    /// Show query strings as well, which may hold secrets
    #[arg(long)]
    show_query: bool,
}

/// Which requests are shown.
#[derive(Debug, clap::Args)]
struct Filter {
    /// Only requests with this method
    #[arg(long)]
    method: Option<String>,
    /// Only paths with this prefix
    #[arg(long, value_name = "PREFIX")]
    path: Option<String>,
    /// Only this host, with or without port
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Only these response codes: 503, or 500-599
    #[arg(long, value_name = "CODE", value_parser = codes)]
    status: Option<(u16, u16)>,
    /// Only this response flag, such as UF; `any` for every request that has one
    #[arg(long, value_name = "FLAG")]
    flags: Option<String>,
    /// Only requests that took at least this long
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    slower: Option<std::time::Duration>,
}

#[derive(Debug, Serialize)]
struct Line {
    pod: String,
    namespace: String,
    /// `inbound` or `outbound`.
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'static str>,
    #[serde(flatten)]
    entry: Entry,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Table, Format::Json, Format::Yaml])?;
    let time = args.time.as_deref().map(duration).transpose();
    let time = time.map_err(|error| failure::usage(format!("--for: {error}")))?;
    runtime::block_on(async {
        let shown = Box::pin(follow(args, format, context));
        let end = async {
            match time {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            outcome = shown => outcome,
            _ = tokio::signal::ctrl_c() => Ok(()),
            () = end => Ok(()),
        }
    })?;
    Ok(Exit::Success)
}

async fn follow(args: &Args, format: Format, context: &Context) -> anyhow::Result<()> {
    let cluster = context.cluster().await?;
    let pods = match &args.pod {
        Some(name) => vec![resolve(&cluster, name).await?],
        None => {
            let all = proxies(&cluster).await?;
            let own = |pod: &PodRef| args.all_namespaces || pod.namespace == cluster.namespace;
            all.into_iter().filter(own).collect()
        }
    };
    if pods.is_empty() {
        let error = anyhow::anyhow!(
            "no running pod of namespace {} has a proxy",
            cluster.namespace
        );
        return Err(failure::advise(error, "look at all namespaces with -A"));
    }
    context.printer.note(&format!(
        "following the access logs of {} proxies; Ctrl-C ends",
        pods.len()
    ));
    let (tell, mut lines) = mpsc::channel(WAITING);
    for pod in pods {
        let (cluster, context, tell) = (cluster.clone(), context.clone(), tell.clone());
        tokio::spawn(async move {
            if let Err(error) = read(&cluster, &pod, tell).await {
                let name = format!("{}.{}", pod.name, pod.namespace);
                let reason = failure::sentence(&error);
                context
                    .printer
                    .warn(&format!("the log of {name} ended: {reason}"));
            }
        });
    }
    drop(tell);
    let mut left = args.max;
    while let Some((pod, entry)) = lines.recv().await {
        if !args.filter.takes(&entry) {
            continue;
        }
        let entry = if args.show_query {
            entry
        } else {
            entry.redacted()
        };
        print(&Line::new(&pod, entry), format, context)?;
        if let Some(left) = &mut left {
            *left -= 1;
            if *left == 0 {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Follows the log of a proxy from now on.
async fn read(
    cluster: &Cluster,
    pod: &PodRef,
    tell: mpsc::Sender<(PodRef, Entry)>,
) -> anyhow::Result<()> {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &pod.namespace);
    let params = LogParams {
        container: Some(PROXY.to_owned()),
        follow: true,
        tail_lines: Some(0),
        ..LogParams::default()
    };
    let stream = api.log_stream(&pod.name, &params).await;
    let mut lines = stream.map_err(|error| cluster.explain(error))?.lines();
    while let Some(line) = lines.try_next().await? {
        if let Some(entry) = Entry::parse(&line)
            && tell.send((pod.clone(), entry)).await.is_err()
        {
            return Ok(());
        }
    }
    Ok(())
}

fn print(line: &Line, format: Format, context: &Context) -> anyhow::Result<()> {
    match format {
        Format::Json => {
            let text = serde_json::to_string(line)?;
            context.printer.data(&format!("{text}\n"))
        }
        Format::Yaml => {
            context.printer.data("---\n")?;
            context.printer.yaml(line)
        }
        _ => context.printer.data(&format!("{}\n", sentence(line))),
    }
}

/// A line for a person.
fn sentence(line: &Line) -> String {
    let entry = &line.entry;
    let text = |field: &Option<String>| field.clone().unwrap_or_else(|| "-".to_owned());
    let what = match entry.is_connection() {
        true => "TCP".to_owned(),
        false => format!(
            "{} {}{}",
            text(&entry.method),
            text(&entry.authority),
            text(&entry.path)
        ),
    };
    let code = entry
        .code
        .map_or_else(|| "-".to_owned(), |code| code.to_string());
    let mut sentence = format!(
        "{} {}.{} {} {what} -> {code}",
        text(&entry.time),
        line.pod,
        line.namespace,
        line.direction.unwrap_or("-"),
    );
    if !entry.flags.is_empty() {
        sentence = format!("{sentence} {}", entry.flags.join(","));
    }
    if let Some(duration) = entry.duration {
        sentence = format!("{sentence} {duration}ms");
    }
    if let Some(host) = &entry.upstream_host {
        sentence = format!("{sentence} by {host}");
    }
    if let Some(details) = entry
        .details
        .as_ref()
        .filter(|details| *details != "via_upstream")
    {
        sentence = format!("{sentence} ({details})");
    }
    sentence
}

fn codes(text: &str) -> Result<(u16, u16), String> {
    let wrong = || format!("{text:?} is not a code such as 503, or a range such as 500-599");
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let code = |text: &str| text.trim().parse::<u16>().ok();
    let (from, to) = code(from).zip(code(to)).ok_or_else(wrong)?;
    (from <= to).then_some((from, to)).ok_or_else(wrong)
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    let parsed = text.parse::<DurationText>();
    parsed
        .map(|duration| duration.0)
        .map_err(|error| error.to_string())
}

// === impl Line ===

impl Line {
    fn new(pod: &PodRef, entry: Entry) -> Self {
        let cluster = entry.upstream_cluster.as_deref().unwrap_or_default();
        let direction = match cluster.split('|').next() {
            Some("inbound") => Some("inbound"),
            Some("outbound") => Some("outbound"),
            _ if cluster.starts_with("Inbound") => Some("inbound"),
            _ if cluster.starts_with("Passthrough") || cluster.starts_with("BlackHole") => {
                Some("outbound")
            }
            _ => None,
        };
        Self {
            pod: pod.name.clone(),
            namespace: pod.namespace.clone(),
            direction,
            entry,
        }
    }
}

// === impl Filter ===

impl Filter {
    fn takes(&self, entry: &Entry) -> bool {
        let method = self.method.as_deref().is_none_or(|method| {
            let own = entry.method.as_deref();
            own.is_some_and(|own| own.eq_ignore_ascii_case(method))
        });
        let path = self.path.as_deref().is_none_or(|prefix| {
            let own = entry.path.as_deref();
            own.is_some_and(|own| own.starts_with(prefix))
        });
        let host = self.host.as_deref().is_none_or(|host| {
            let own = entry.authority.as_deref().unwrap_or_default();
            let without_port = own.rsplit_once(':').map_or(own, |(host, _)| host);
            own.eq_ignore_ascii_case(host) || without_port.eq_ignore_ascii_case(host)
        });
        let status = self.status.is_none_or(|(from, to)| {
            let own = entry.code.unwrap_or(0);
            (from..=to).contains(&own)
        });
        let flags = self.flags.as_deref().is_none_or(|wanted| match wanted {
            "any" => !entry.flags.is_empty(),
            wanted => entry
                .flags
                .iter()
                .any(|own| own.eq_ignore_ascii_case(wanted)),
        });
        let slower = self.slower.is_none_or(|least| {
            let own = u128::from(entry.duration.unwrap_or(0));
            own >= least.as_millis()
        });
        method && path && host && status && flags && slower
    }
}
