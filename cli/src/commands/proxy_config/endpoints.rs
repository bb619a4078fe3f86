//! `proxy-config endpoints`.

use serde_json::Value;

use super::dump::EndpointSource;
use super::schema::{Address, Assignment, ClusterStatus, Locality, view};
use super::section::Section;
use super::source::Source;

/// The endpoints of a proxy: addresses behind its clusters, and whether they are healthy
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl proxy-config endpoints deployment/productpage-v1 --port 9080
  meshctl proxy-config endpoints deployment/productpage-v1 --status unhealthy
  meshctl proxy-config endpoints -f clusters.json --cluster 'inbound|9080||'

A file may hold the JSON of /clusters?format=json or of /config_dump?include_eds.")]
pub struct Args {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub filter: Filter,
}

/// What to leave out.
#[derive(Debug, Default, clap::Args)]
pub struct Filter {
    /// Only endpoints with this address
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<String>,
    /// Only endpoints with this port
    #[arg(long, value_name = "PORT")]
    pub port: Option<u32>,
    /// Only endpoints of this cluster
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Only endpoints with this status: healthy, unhealthy, draining ...
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
}

const LIVE: &[&str] = &["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"];
const DUMP: &[&str] = &["NAME", "STATUS", "LOCALITY", "CLUSTER"];

/// Envoy's word for what is not said.
const UNKNOWN: &str = "UNKNOWN";

/// One endpoint: where it is in the order, and its row.
struct Line {
    order: (String, u32, String),
    row: Vec<String>,
}

/// The endpoints that the filters leave, sorted by address, port and cluster.
pub fn section(source: &EndpointSource, filter: &Filter) -> anyhow::Result<Section> {
    let (titles, mut lines, resources) = match source {
        EndpointSource::Live(statuses) => live(statuses, filter)?,
        EndpointSource::Dump(dump) => configured(&dump.endpoints()?, filter)?,
    };
    lines.sort_by(|a, b| a.order.cmp(&b.order));
    Ok(Section {
        titles,
        rows: lines.into_iter().map(|line| line.row).collect(),
        resources,
    })
}

type Found = (&'static [&'static str], Vec<Line>, Vec<Value>);

fn live(statuses: &[Value], filter: &Filter) -> anyhow::Result<Found> {
    let (mut lines, mut resources) = (Vec::new(), Vec::new());
    for resource in statuses {
        let cluster: ClusterStatus = view(resource)?;
        let before = lines.len();
        for host in &cluster.host_statuses {
            let status = host
                .health_status
                .eds_health_status
                .as_deref()
                .unwrap_or(UNKNOWN);
            let outlier = if host.health_status.failed_outlier_check {
                "FAILED"
            } else {
                "OK"
            };
            let cells = [status, outlier];
            lines.extend(line(&host.address, status, cells, &cluster.name, filter));
        }
        if lines.len() > before {
            resources.push(resource.clone());
        }
    }
    Ok((LIVE, lines, resources))
}

fn configured(assignments: &[&Value], filter: &Filter) -> anyhow::Result<Found> {
    let (mut lines, mut resources) = (Vec::new(), Vec::new());
    for resource in assignments {
        let assignment: Assignment = view(resource)?;
        let before = lines.len();
        for group in &assignment.endpoints {
            let place = place(&group.locality);
            for endpoint in &group.lb_endpoints {
                let status = endpoint.health_status.as_deref().unwrap_or(UNKNOWN);
                let cells = [status, place.as_str()];
                lines.extend(line(
                    &endpoint.endpoint.address,
                    status,
                    cells,
                    &assignment.cluster_name,
                    filter,
                ));
            }
        }
        if lines.len() > before {
            resources.push((*resource).clone());
        }
    }
    Ok((DUMP, lines, resources))
}

/// The line of an endpoint, if the filters leave it.
fn line(
    address: &Address,
    status: &str,
    cells: [&str; 2],
    cluster: &str,
    filter: &Filter,
) -> Option<Line> {
    let fits = filter
        .address
        .as_ref()
        .is_none_or(|wanted| address.host() == *wanted)
        && filter.port.is_none_or(|port| address.port() == port)
        && filter
            .cluster
            .as_ref()
            .is_none_or(|wanted| cluster == wanted)
        && filter
            .status
            .as_ref()
            .is_none_or(|wanted| status.eq_ignore_ascii_case(wanted));
    let [first, second] = cells.map(str::to_owned);
    fits.then(|| Line {
        order: (address.host(), address.port(), cluster.to_owned()),
        row: vec![address.full(), first, second, cluster.to_owned()],
    })
}

fn place(locality: &Locality) -> String {
    let text = [&*locality.region, &*locality.zone, &*locality.sub_zone].join("/");
    text.trim_end_matches('/').to_owned()
}
