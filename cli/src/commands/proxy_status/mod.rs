//! `meshctl proxy-status`: who is connected to the control plane, and has what it was sent.

use anyhow::anyhow;
use serde_json::json;

use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::failure::Advice as _;
use crate::mesh::{self, ControlPlane, SyncStatus};
use crate::runtime;

/// Show which proxies are connected and whether they are up to date
///
/// SYNCED: the proxy has acknowledged what it was sent. NOT SENT: nothing of that type concerns it. STALE: it was sent something
/// and has not acknowledged it yet. REFUSED: it refuses a part, keeps the last good one, and the reason is on stderr.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl proxy-status                      # all proxies
  meshctl proxy-status deployment/reviews-v1
  meshctl proxy-status -n shop              # those of one namespace
  meshctl proxy-status -o json")]
pub struct Args {
    /// Only this proxy, type by type
    #[arg(value_name = "[TYPE/]NAME[.NAMESPACE]")]
    pod: Option<String>,
}

/// What a proxy was sent and what it acknowledged, of one type.
struct Sync<'a> {
    short: &'static str,
    /// As the control plane names the type in what is refused.
    kinds: [&'static str; 2],
    sent: &'a str,
    acked: &'a str,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Table, Format::Json, Format::Yaml])?;
    runtime::block_on(show(args, format, context))
}

async fn show(args: Args, format: Format, context: &Context) -> anyhow::Result<Exit> {
    let cluster = context.cluster().await?;
    let control_plane = ControlPlane::find(&cluster, context).await?;
    let mut proxies = control_plane.proxies().await?;
    if let Some(text) = &args.pod {
        let pod = mesh::resolve(&cluster, text).await?;
        let id = format!("{}.{}", pod.name, pod.namespace);
        proxies.retain(|proxy| proxy.proxy == id);
        if proxies.is_empty() {
            return Err(anyhow!("pod {id} is not connected to the control plane"))
                .hint("does it have a proxy? Label its namespace with istio-injection=enabled and restart it");
        }
    } else if let Some(namespace) = context.namespace() {
        proxies.retain(|proxy| proxy.namespace() == namespace);
    }
    match format {
        Format::Table if args.pod.is_some() => {
            proxies.iter().try_for_each(|proxy| one(proxy, context))?
        }
        Format::Table => all(&proxies, context)?,
        format => context.printer.structured(format, &json!(proxies))?,
    }
    if format == Format::Table {
        tell_refused(&proxies, context);
    }
    Ok(Exit::Success)
}

fn all(proxies: &[SyncStatus], context: &Context) -> anyhow::Result<()> {
    let titles = [
        "NAME", "CLUSTER", "CDS", "LDS", "EDS", "RDS", "ECDS", "ISTIOD", "VERSION",
    ];
    let rows: Vec<[String; 9]> = proxies
        .iter()
        .map(|proxy| {
            let [cds, lds, eds, rds, ecds] = types(proxy).map(|sync| sync.state(proxy));
            let SyncStatus {
                proxy: name,
                cluster_id,
                istiod,
                istio_version,
                ..
            } = proxy;
            [
                name.clone(),
                cluster_id.clone(),
                cds,
                lds,
                eds,
                rds,
                ecds,
                istiod.clone(),
                istio_version.clone(),
            ]
        })
        .collect();
    context.printer.table(titles, &rows)
}

fn one(proxy: &SyncStatus, context: &Context) -> anyhow::Result<()> {
    let rows = types(proxy).map(|sync| {
        [
            sync.short.to_owned(),
            sync.state(proxy),
            dash(sync.sent),
            dash(sync.acked),
        ]
    });
    context
        .printer
        .table(["TYPE", "STATE", "SENT", "ACKNOWLEDGED"], &rows)
}

fn dash(text: &str) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        text.to_owned()
    }
}

fn tell_refused(proxies: &[SyncStatus], context: &Context) {
    for proxy in proxies {
        for refused in &proxy.refused {
            let (name, kind, resource, reason) =
                (&proxy.proxy, &refused.kind, &refused.name, &refused.reason);
            context
                .printer
                .warn(&format!("{name} refuses {kind} {resource}: {reason}"));
        }
    }
}

fn types(proxy: &SyncStatus) -> [Sync<'_>; 5] {
    let sync = |short, kinds, sent, acked| Sync {
        short,
        kinds,
        sent,
        acked,
    };
    [
        sync(
            "CDS",
            ["cluster", "cds"],
            &proxy.cluster_sent,
            &proxy.cluster_acked,
        ),
        sync(
            "LDS",
            ["listener", "lds"],
            &proxy.listener_sent,
            &proxy.listener_acked,
        ),
        sync(
            "EDS",
            ["endpoint", "eds"],
            &proxy.endpoint_sent,
            &proxy.endpoint_acked,
        ),
        sync(
            "RDS",
            ["route", "rds"],
            &proxy.route_sent,
            &proxy.route_acked,
        ),
        sync(
            "ECDS",
            ["extension", "ecds"],
            &proxy.extensionconfig_sent,
            &proxy.extensionconfig_acked,
        ),
    ]
}

// === impl Sync ===

impl Sync<'_> {
    fn state(&self, proxy: &SyncStatus) -> String {
        let Self {
            kinds, sent, acked, ..
        } = self;
        let refused = proxy.refused.iter().any(|refused| {
            let kind = refused.kind.to_lowercase();
            kinds.iter().any(|name| kind.contains(name))
        });
        let state = match () {
            () if refused => "REFUSED",
            () if sent.is_empty() => "NOT SENT",
            () if sent == acked => "SYNCED",
            () if acked.is_empty() => "STALE (Never Acknowledged)",
            () => "STALE",
        };
        state.to_owned()
    }
}

// === impl SyncStatus ===

impl SyncStatus {
    /// The namespace in `POD.NAMESPACE`.
    fn namespace(&self) -> &str {
        self.proxy
            .rsplit_once('.')
            .map_or("", |(_, namespace)| namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::Refused;

    #[test]
    fn states_follow_what_is_sent_and_acknowledged() {
        let mut proxy = SyncStatus {
            cluster_sent: "1".into(),
            cluster_acked: "1".into(),
            listener_sent: "2".into(),
            listener_acked: "1".into(),
            route_sent: "3".into(),
            ..SyncStatus::default()
        };
        let states = |proxy: &SyncStatus| types(proxy).map(|sync| sync.state(proxy));
        let (never, not_sent) = ("STALE (Never Acknowledged)", "NOT SENT");
        assert_eq!(
            states(&proxy),
            ["SYNCED", "STALE", not_sent, never, not_sent]
        );
        proxy.refused.push(Refused {
            kind: "Listener".into(),
            ..Refused::default()
        });
        assert_eq!(states(&proxy)[1], "REFUSED");
    }
}
