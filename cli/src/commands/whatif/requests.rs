//! The requests that are tried: one to each HTTP service and host from each client, and one for each condition of a route.

use std::collections::{BTreeMap, BTreeSet};

use mesh_core::explain::ProxiedWorkload;
use mesh_core::model::{HttpMatchRequest, StringMatch};
use mesh_core::snapshot::{MeshVirtualService, Protocol, Snapshot};
use mesh_ir::ProxyKind;

use crate::asked::Asked;

/// Decisions that are compared at most.
const MOST: usize = 20_000;
/// Requests to one host at most.
const MOST_OF_HOST: usize = 64;

/// A request in words, and as it is decided.
pub struct Request {
    /// `GET http://reviews.default.svc.cluster.local:9080/ (end-user: jason)`.
    pub text: String,
    pub asked: Asked,
}

/// What is tried, with who sends it.
pub struct Requests<'a> {
    pub pairs: Vec<(&'a ProxiedWorkload, std::rc::Rc<Request>)>,
    /// Whether there are more.
    pub cut: bool,
}

/// What is special about a request.
type Condition = (String, String, BTreeMap<String, String>);

/// All requests that are worth trying.
pub fn requests<'a>(
    before: &Snapshot,
    after: &Snapshot,
    clients: &'a [ProxiedWorkload],
) -> Requests<'a> {
    let mut inside: BTreeMap<(String, u16), BTreeSet<Condition>> = BTreeMap::new();
    let mut outside: BTreeMap<(String, u16), BTreeSet<Condition>> = BTreeMap::new();
    for snapshot in [before, after] {
        for service in snapshot.services() {
            let http = |protocol: Protocol| protocol.is_http() || protocol == Protocol::Detect;
            for port in service.ports.iter().filter(|port| http(port.protocol)) {
                if !service.host.contains('*') {
                    let all = inside
                        .entry((service.host.to_string(), port.port))
                        .or_default();
                    all.insert(plain());
                }
            }
        }
        for rules in snapshot.virtual_services() {
            let conditions = conditions(rules);
            for host in &rules.hosts {
                if rules.is_for_mesh() {
                    let own = inside.iter_mut().filter(|((known, _), _)| *known == **host);
                    own.for_each(|(_, all)| all.extend(conditions.iter().cloned()));
                }
                if rules.gateways.iter().any(|gateway| &**gateway != "mesh") {
                    let host = host.replace('*', "any");
                    let host = if host == "any" {
                        "any.example".to_owned()
                    } else {
                        host
                    };
                    let all = outside.entry((host, 80)).or_default();
                    all.insert(plain());
                    all.extend(conditions.iter().cloned());
                }
            }
        }
    }
    let mut found = Requests {
        pairs: Vec::new(),
        cut: false,
    };
    let (gateways, workloads): (Vec<_>, Vec<_>) = clients
        .iter()
        .partition(|client| client.scope.kind == ProxyKind::Gateway);
    found.add(&inside, &workloads);
    found.add(&outside, &gateways);
    found
}

fn plain() -> Condition {
    ("GET".to_owned(), "/".to_owned(), BTreeMap::new())
}

/// A request for each condition of the rules of HTTP. What only an expression describes is left out.
fn conditions(rules: &MeshVirtualService) -> Vec<Condition> {
    let text = |text: &StringMatch| text.exact.clone().or_else(|| text.prefix.clone());
    let of = |condition: &HttpMatchRequest| -> Option<Condition> {
        let path = match &condition.uri {
            Some(uri) => text(uri)?,
            None => "/".to_owned(),
        };
        let method = match &condition.method {
            Some(method) => text(method)?,
            None => "GET".to_owned(),
        };
        let mut headers = BTreeMap::new();
        for (name, value) in &condition.headers {
            headers.insert(name.clone(), text(value).unwrap_or_else(|| "x".to_owned()));
        }
        Some((method, path, headers))
    };
    let all = rules.spec.http.iter().flat_map(|rule| &rule.matches);
    all.filter_map(of).take(MOST_OF_HOST).collect()
}

// === impl Requests ===

impl<'a> Requests<'a> {
    fn add(
        &mut self,
        hosts: &BTreeMap<(String, u16), BTreeSet<Condition>>,
        clients: &[&'a ProxiedWorkload],
    ) {
        for ((host, port), conditions) in hosts {
            self.cut |= conditions.len() > MOST_OF_HOST;
            for (method, path, headers) in conditions.iter().take(MOST_OF_HOST) {
                let url = format!("http://{host}:{port}{path}");
                let lines: Vec<String> = headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {value}"))
                    .collect();
                let Ok(asked) = Asked::parse(method, &url, &lines) else {
                    continue;
                };
                let mut text = format!("{method} {url}");
                if !lines.is_empty() {
                    text = format!("{text} ({})", lines.join(", "));
                }
                let request = std::rc::Rc::new(Request { text, asked });
                for client in clients {
                    if self.pairs.len() >= MOST {
                        self.cut = true;
                        return;
                    }
                    self.pairs.push((client, request.clone()));
                }
            }
        }
    }
}
