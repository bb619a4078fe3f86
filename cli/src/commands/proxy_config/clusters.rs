//! `proxy-config clusters`.

use clap::ValueEnum;

use super::dump::Dump;
use super::schema::{Cluster, view};
use super::section::{Section, dash};
use super::source::Source;

/// The clusters of a proxy: what it can send requests to
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl proxy-config clusters deployment/productpage-v1 --fqdn reviews
  meshctl proxy-config clusters deployment/productpage-v1 --direction inbound
  meshctl proxy-config clusters -f config_dump.json --port 9080 --subset v3 -o json")]
pub struct Args {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub filter: Filter,
}

/// What to leave out.
#[derive(Debug, Default, clap::Args)]
pub struct Filter {
    /// Only clusters whose host contains this
    #[arg(long, value_name = "TEXT")]
    pub fqdn: Option<String>,
    /// Only clusters of this port
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Only clusters of this subset
    #[arg(long, value_name = "NAME")]
    pub subset: Option<String>,
    /// Only clusters of this direction
    #[arg(long, value_name = "DIRECTION", ignore_case = true)]
    pub direction: Option<Direction>,
}

/// Where traffic goes, seen from the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    Inbound,
    Outbound,
}

/// What a cluster's name says: `outbound|9080|v3|reviews.default.svc.cluster.local`, or a name like BlackHoleCluster.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parts<'a> {
    direction: &'a str,
    port: &'a str,
    subset: &'a str,
    host: &'a str,
}

const TITLES: &[&str] = &[
    "SERVICE FQDN",
    "PORT",
    "SUBSET",
    "DIRECTION",
    "TYPE",
    "DESTINATION RULE",
];

/// The clusters that the filters leave, sorted by host, subset, port and direction.
pub fn section(dump: &Dump, filter: &Filter) -> anyhow::Result<Section> {
    let mut chosen = Vec::new();
    for resource in dump.clusters()? {
        let cluster: Cluster = view(resource)?;
        if Parts::of(&cluster.name).fits(filter) {
            chosen.push((cluster, resource));
        }
    }
    chosen.sort_by(|(a, _), (b, _)| Parts::of(&a.name).order().cmp(&Parts::of(&b.name).order()));
    Ok(Section {
        titles: TITLES,
        rows: chosen.iter().map(|(cluster, _)| row(cluster)).collect(),
        resources: chosen
            .into_iter()
            .map(|(_, resource)| resource.clone())
            .collect(),
    })
}

fn row(cluster: &Cluster) -> Vec<String> {
    let Parts {
        direction,
        port,
        subset,
        host,
    } = Parts::of(&cluster.name);
    let extension = cluster
        .cluster_type
        .as_ref()
        .map(|extension| extension.name.as_str());
    let kind = cluster.kind.as_deref().or(extension).unwrap_or("STATIC");
    vec![
        host.to_owned(),
        dash(port),
        dash(subset),
        dash(direction),
        kind.to_owned(),
        cluster.metadata.object(),
    ]
}

// === impl Parts ===

impl<'a> Parts<'a> {
    fn of(name: &'a str) -> Self {
        let mut parts = name.splitn(4, '|');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(direction), Some(port), Some(subset), Some(host)) => Self {
                direction,
                port,
                subset,
                host,
            },
            _ => Self {
                host: name,
                ..Self::default()
            },
        }
    }

    fn fits(&self, filter: &Filter) -> bool {
        let direction = match filter.direction {
            Some(Direction::Inbound) => "inbound",
            Some(Direction::Outbound) => "outbound",
            None => self.direction,
        };
        filter
            .fqdn
            .as_ref()
            .is_none_or(|text| self.host.contains(text.as_str()))
            && filter.port.is_none_or(|port| self.port.parse() == Ok(port))
            && filter
                .subset
                .as_ref()
                .is_none_or(|subset| self.subset == subset)
            && self.direction == direction
    }

    fn order(&self) -> (&str, &str, u16, &str) {
        (
            self.host,
            self.subset,
            self.port.parse().unwrap_or(0),
            self.direction,
        )
    }
}
