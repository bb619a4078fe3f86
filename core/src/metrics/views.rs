//! Views of traffic: edges between workloads, what a workload or service is asked, and a graph.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Counts, Flow, Peer, Traffic};

/// A direction between two workloads, from what both of their proxies count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edge {
    /// Who sends.
    pub source: Peer,
    /// Who receives.
    pub destination: Peer,
    /// The service's name; empty if it is none of the mesh.
    pub service: Arc<str>,
    /// The service's namespace.
    pub service_namespace: Arc<str>,
    /// The host that was asked for.
    pub host: Arc<str>,
    /// `http`, `grpc` or `tcp`.
    pub protocol: Arc<str>,
    /// Whether it was mutual TLS, where that is known.
    pub mutual_tls: Option<bool>,
    /// What the sender's proxy has counted; what the receiver's has, where the sender has none.
    pub counts: Counts,
}

/// What makes an edge one.
type EdgeKey = (
    (Arc<str>, Arc<str>),
    (Arc<str>, Arc<str>),
    Arc<str>,
    Arc<str>,
);

/// The edges: one for each pair of workloads, service and protocol. Where both sides count the sender's numbers are taken, since it also
/// counts what did not arrive; the receiver's proxy tells whether it was mutual TLS, and whose certificate it saw.
pub fn edges(traffic: &Traffic) -> Vec<Edge> {
    let mut edges: BTreeMap<EdgeKey, (Edge, Counts)> = BTreeMap::new();
    for (flow, counts) in traffic.flows() {
        let (edge, received) = edges.entry(key(flow)).or_default();
        edge.learn(flow);
        if flow.by_source {
            edge.counts.merge(counts);
        } else {
            received.merge(counts);
            if let Some(mutual_tls) = flow.mutual_tls {
                // One request in plaintext is enough for the lock to be open.
                edge.mutual_tls = Some(edge.mutual_tls.unwrap_or(true) && mutual_tls);
            }
        }
    }
    let (mut sent, received): (Vec<_>, Vec<_>) = edges
        .into_values()
        .partition(|(edge, _)| edge.counts != Counts::default());
    for (mut edge, counts) in received {
        let mut same = sent
            .iter_mut()
            .filter(|(other, _)| edge.is_seen_by(other))
            .peekable();
        if same.peek().is_none() {
            edge.counts = counts;
            sent.push((edge, Counts::default()));
        } else {
            same.for_each(|(other, _)| other.mutual_tls = other.mutual_tls.or(edge.mutual_tls));
        }
    }
    sent.into_iter().map(|(edge, _)| edge).collect()
}

fn key(flow: &Flow) -> EdgeKey {
    let of = |peer: &Peer| (peer.workload.clone(), peer.namespace.clone());
    let service = match flow.service.is_empty() {
        true => flow.host.clone(),
        false => format!("{}.{}", flow.service, flow.service_namespace).into(),
    };
    let protocol = flow.protocol.clone();
    (of(&flow.source), of(&flow.destination), service, protocol)
}

// === impl Edge ===

impl Edge {
    /// Whether this is what a receiver has seen of another edge: of connections it knows the sender's certificate, and not its workload.
    fn is_seen_by(&self, sender: &Edge) -> bool {
        self.source.workload.is_empty()
            && self.mutual_tls == Some(true)
            && self.source.namespace == sender.source.namespace
            && self.destination.workload == sender.destination.workload
            && self.destination.namespace == sender.destination.namespace
            && self.protocol == sender.protocol
    }

    /// Takes over what a flow knows better.
    fn learn(&mut self, flow: &Flow) {
        let better = |own: &mut Arc<str>, other: &Arc<str>| {
            if own.is_empty() {
                own.clone_from(other);
            }
        };
        let pairs = [
            (&mut self.source, &flow.source),
            (&mut self.destination, &flow.destination),
        ];
        for (own, other) in pairs {
            better(&mut own.workload, &other.workload);
            better(&mut own.namespace, &other.namespace);
            better(&mut own.app, &other.app);
            better(&mut own.version, &other.version);
            better(&mut own.principal, &other.principal);
        }
        better(&mut self.service, &flow.service);
        better(&mut self.service_namespace, &flow.service_namespace);
        better(&mut self.host, &flow.host);
        better(&mut self.protocol, &flow.protocol);
    }
}

/// What is asked of something, or what it asks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stat {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// What was counted.
    pub counts: Counts,
    /// How much of it was mutual TLS, in percent; none where nobody knows.
    pub secured: Option<f64>,
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Each workload.
    Workload,
    /// Each service.
    Service,
}

/// What is asked of each workload or service, or, outbound, what each workload asks.
pub fn stats(traffic: &Traffic, by: By, outbound: bool) -> Vec<Stat> {
    let mut stats: BTreeMap<(String, String), (Stat, u64, u64)> = BTreeMap::new();
    for edge in edges(traffic) {
        let (name, namespace) = match (by, outbound) {
            (By::Service, _) if edge.service.is_empty() => (&edge.host, &edge.service_namespace),
            (By::Service, _) => (&edge.service, &edge.service_namespace),
            (By::Workload, true) => (&edge.source.workload, &edge.source.namespace),
            (By::Workload, false) => (&edge.destination.workload, &edge.destination.namespace),
        };
        let name = match &**name {
            "" => "unknown",
            name => name,
        };
        let key = (namespace.to_string(), name.to_owned());
        let (stat, secured, known) = stats.entry(key).or_default();
        name.clone_into(&mut stat.name);
        stat.namespace = namespace.to_string();
        stat.counts.merge(&edge.counts);
        let weight = edge.counts.requests + edge.counts.connections;
        if let Some(mutual_tls) = edge.mutual_tls {
            *known += weight;
            *secured += if mutual_tls { weight } else { 0 };
        }
    }
    let stats = stats.into_values().map(|(mut stat, secured, known)| {
        stat.secured = (known > 0).then(|| secured as f64 * 100.0 / known as f64);
        stat
    });
    stats.collect()
}

/// What the nodes of a graph are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphType {
    /// Applications.
    App,
    /// Applications by version.
    VersionedApp,
    /// Workloads.
    Workload,
    /// Services.
    Service,
}

/// Nodes and edges.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// The nodes, sorted.
    pub nodes: Vec<Node>,
    /// The edges, by the positions of their nodes.
    pub edges: Vec<GraphEdge>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// Its namespace; empty outside of the mesh.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its version; empty but for versioned applications.
    pub version: String,
}

/// An edge.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GraphEdge {
    /// Who sends.
    pub source: usize,
    /// Who receives.
    pub destination: usize,
    /// The protocols, sorted.
    pub protocols: BTreeSet<Arc<str>>,
    /// Whether all of it was mutual TLS, where that is known.
    pub mutual_tls: Option<bool>,
    /// What was counted.
    pub counts: Counts,
}

/// The graph of traffic.
pub fn graph(traffic: &Traffic, of: GraphType) -> Graph {
    let all = edges(traffic);
    let ends = |edge: &Edge| {
        let source = match of {
            // Services send nothing: their workloads' applications stand for them.
            GraphType::Service => node(&edge.source, GraphType::App),
            of => node(&edge.source, of),
        };
        (source, destination(edge, of))
    };
    let nodes: BTreeSet<Node> = all
        .iter()
        .flat_map(|edge| {
            let (source, destination) = ends(edge);
            [source, destination]
        })
        .collect();
    let nodes: Vec<Node> = nodes.into_iter().collect();
    let place = |node: &Node| nodes.binary_search(node).unwrap_or(0);
    let mut between: BTreeMap<(usize, usize), GraphEdge> = BTreeMap::new();
    for edge in &all {
        let (source, destination) = ends(edge);
        let (source, destination) = (place(&source), place(&destination));
        let one = between.entry((source, destination)).or_default();
        (one.source, one.destination) = (source, destination);
        one.protocols.insert(edge.protocol.clone());
        one.counts.merge(&edge.counts);
        if let Some(mutual_tls) = edge.mutual_tls {
            one.mutual_tls = Some(one.mutual_tls.unwrap_or(true) && mutual_tls);
        }
    }
    Graph {
        edges: between.into_values().collect(),
        nodes,
    }
}

fn destination(edge: &Edge, of: GraphType) -> Node {
    let is_known = !edge.destination.workload.is_empty() || !edge.destination.app.is_empty();
    if of != GraphType::Service && is_known {
        return node(&edge.destination, of);
    }
    let name = if edge.service.is_empty() {
        &edge.host
    } else {
        &edge.service
    };
    Node {
        namespace: edge.service_namespace.to_string(),
        name: match &**name {
            "" => "unknown".to_owned(),
            name => name.to_owned(),
        },
        version: String::new(),
    }
}

fn node(peer: &Peer, of: GraphType) -> Node {
    let name = match of {
        GraphType::Workload => &peer.workload,
        _ if peer.app.is_empty() => &peer.workload,
        _ => &peer.app,
    };
    Node {
        namespace: peer.namespace.to_string(),
        name: match &**name {
            "" => "unknown".to_owned(),
            name => name.to_owned(),
        },
        version: match of {
            GraphType::VersionedApp => peer.version.to_string(),
            _ => String::new(),
        },
    }
}

// === impl Node ===

impl Node {
    /// `NAME.NAMESPACE`, with the version if there is one.
    pub fn label(&self) -> String {
        let mut label = self.name.clone();
        if !self.namespace.is_empty() {
            label = format!("{label}.{}", self.namespace);
        }
        if !self.version.is_empty() {
            label = format!("{label} {}", self.version);
        }
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(reporter: &str, to: &str, code: u16, security: &str, count: u64) -> String {
        let labels = format!(
            r#"reporter="{reporter}",source_workload="web-v1",source_workload_namespace="shop",source_canonical_service="web",source_canonical_revision="v1",source_principal="spiffe://t/ns/shop/sa/web",destination_workload="{to}",destination_workload_namespace="shop",destination_canonical_service="books",destination_canonical_revision="{to}",destination_principal="",destination_service="books.shop.svc.cluster.local",destination_service_name="books",destination_service_namespace="shop",request_protocol="http",response_code="{code}",response_flags="-",grpc_response_status="",connection_security_policy="{security}""#
        );
        format!(
            "istio_requests_total{{{labels}}} {count}\nistio_request_duration_milliseconds_bucket{{{labels},le=\"10\"}} {count}\nistio_request_duration_milliseconds_bucket{{{labels},le=\"+Inf\"}} {count}\n"
        )
    }

    fn traffic() -> Traffic {
        let client =
            line("source", "v1", 200, "unknown", 30) + &line("source", "v2", 503, "unknown", 10);
        let server = line("destination", "v1", 200, "mutual_tls", 30);
        let mut all = Traffic::parse(&client);
        all.merge(Traffic::parse(&server));
        all
    }

    #[test]
    fn both_sides_make_one_edge() {
        let edges = edges(&traffic());
        let seen: Vec<(&str, u64, u64, Option<bool>)> = edges
            .iter()
            .map(|edge| {
                let counts = &edge.counts;
                (
                    &*edge.destination.workload,
                    counts.requests,
                    counts.failed,
                    edge.mutual_tls,
                )
            })
            .collect();
        assert_eq!(seen, [("v1", 30, 0, Some(true)), ("v2", 10, 10, None)]);
        assert_eq!(edges[0].counts.durations.quantile(0.5), Some(5.0));
    }

    #[test]
    fn stats_are_of_workloads_or_services() {
        let by = |by, outbound| -> Vec<(String, u64, Option<f64>)> {
            let stats = stats(&traffic(), by, outbound).into_iter();
            stats
                .map(|stat| (stat.name, stat.counts.requests, stat.counts.success()))
                .collect()
        };
        let row = |name: &str, requests, success| (name.to_owned(), requests, Some(success));
        assert_eq!(
            by(By::Workload, false),
            [row("v1", 30, 100.0), row("v2", 10, 0.0)]
        );
        assert_eq!(by(By::Service, false), [row("books", 40, 75.0)]);
        assert_eq!(by(By::Workload, true), [row("web-v1", 40, 75.0)]);
    }

    #[test]
    fn graphs_have_the_nodes_that_are_wanted() {
        for (of, nodes, edges) in [
            (GraphType::App, &["books.shop", "web.shop"][..], 1),
            (
                GraphType::VersionedApp,
                &["books.shop v1", "books.shop v2", "web.shop v1"],
                2,
            ),
            (
                GraphType::Workload,
                &["v1.shop", "v2.shop", "web-v1.shop"],
                2,
            ),
            (GraphType::Service, &["books.shop", "web.shop"], 1),
        ] {
            let graph = graph(&traffic(), of);
            let labels: Vec<String> = graph.nodes.iter().map(Node::label).collect();
            assert_eq!(labels, nodes);
            assert_eq!(graph.edges.len(), edges);
            let requests: u64 = graph.edges.iter().map(|edge| edge.counts.requests).sum();
            assert_eq!(requests, 40);
        }
    }

    #[test]
    fn only_what_is_new_counts() {
        let all = traffic();
        assert_eq!(all.since(&all), Traffic::default());
        let more = Traffic::parse(&line("source", "v1", 200, "unknown", 35));
        let before = Traffic::parse(&line("source", "v1", 200, "unknown", 30));
        assert_eq!(edges(&more.since(&before))[0].counts.requests, 5);
        assert_eq!(
            edges(&before.since(&more))[0].counts.requests,
            30,
            "started anew"
        );
    }
}
