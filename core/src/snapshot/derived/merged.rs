//! Routes for requests as VirtualServices. Where several are for one host of one gateway, or for one service, their rules stand in one
//! list, as the Gateway API orders them: the most specific first, whichever route it is of, then the older route's, then by name.
//!
//! ```text
//! RequestRoute --claims--> (scope, gateway, host) --claimed by the same routes--> RouteTarget --their rules, sorted--> VirtualService
//! ```

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::Deriver;
use super::parents::{Parents, RouteTarget};
use crate::resource::Resource;
use crate::snapshot::MESH_GATEWAY;

/// An HTTPRoute or a GRPCRoute.
pub(super) struct RequestRoute<'a> {
    pub(super) resource: &'a Arc<Resource>,
    pub(super) parents: Parents,
    /// Hosts, for gateways; any when there are none.
    pub(super) hosts: Vec<String>,
    pub(super) rules: Vec<RequestRule>,
}

/// A rule with one condition.
pub(super) struct RequestRule {
    pub(super) precedence: Precedence,
    /// In the words of a VirtualService.
    pub(super) rule: Value,
}

/// What rules are ordered by; the smallest comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Precedence {
    pub(super) path: PathKind,
    /// Characters of the path.
    pub(super) length: Reverse<usize>,
    pub(super) is_for_any_method: bool,
    pub(super) headers: Reverse<usize>,
    pub(super) parameters: Reverse<usize>,
}

/// How paths are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PathKind {
    Exact,
    /// Where it stands is left to implementations; Istio's stands before prefixes.
    Regex,
    Prefix,
}

/// What a route is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    /// Namespace of the routes that share the rules for a service; empty for gateways, where all routes do.
    scope: Arc<str>,
    gateway: String,
    host: String,
}

/// The VirtualServices that routes stand for.
pub(super) fn virtual_services(
    deriver: &Deriver<'_>,
    mut routes: Vec<RequestRoute<'_>>,
) -> Vec<Arc<Resource>> {
    // The oldest first; what has no time, such as files, by name alone.
    routes.sort_by_key(|route| {
        let key = &route.resource.key;
        let created = route.resource.meta.created;
        (created, &key.namespace, &key.name, key.kind)
    });
    let mut claims: BTreeMap<Claim, Vec<usize>> = BTreeMap::new();
    for (index, route) in routes.iter().enumerate() {
        for claim in route.claims(deriver) {
            let claimants = claims.entry(claim).or_default();
            if claimants.last() != Some(&index) {
                claimants.push(index);
            }
        }
    }
    let mut groups: BTreeMap<Vec<usize>, Vec<Claim>> = BTreeMap::new();
    for (claim, claimants) in claims {
        groups.entry(claimants).or_default().push(claim);
    }
    let mut made = Vec::new();
    let mut parts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (claimants, claims) in &groups {
        let sharing: Vec<&RequestRoute<'_>> = claimants
            .iter()
            .filter_map(|index| routes.get(*index))
            .collect();
        let Some(oldest) = sharing.first().map(|route| route.resource) else {
            continue;
        };
        for target in targets(claims, oldest) {
            let name = (&*oldest.key.namespace, &*oldest.key.name);
            let part = parts.entry(name).or_default();
            let rules = rules(&sharing, &target, deriver);
            made.extend(target.virtual_service(oldest, &part.to_string(), "http", &rules));
            *part += 1;
        }
    }
    made
}

/// As few VirtualServices as say the same as the claims.
fn targets(claims: &[Claim], route: &Resource) -> Vec<RouteTarget> {
    let mut by_gateway: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for claim in claims {
        // Services have settings of their own, so that none shares its VirtualService with another.
        let service = match claim.gateway == MESH_GATEWAY {
            true => &*claim.host,
            false => "",
        };
        let gateway = (&*claim.gateway, service);
        by_gateway.entry(gateway).or_default().push(&claim.host);
    }
    let mut by_hosts: BTreeMap<(bool, Vec<&str>), Vec<&str>> = BTreeMap::new();
    for ((gateway, _), hosts) in by_gateway {
        let is_mesh = gateway == MESH_GATEWAY;
        by_hosts.entry((is_mesh, hosts)).or_default().push(gateway);
    }
    let owned = |all: Vec<&str>| all.into_iter().map(str::to_owned).collect();
    by_hosts
        .into_iter()
        .map(|((is_mesh, hosts), gateways)| {
            let is_private = is_mesh && !is_beside(&hosts, &route.key.namespace);
            RouteTarget {
                gateways: owned(gateways),
                hosts: owned(hosts),
                export_to: match is_private {
                    true => vec![".".to_owned()],
                    false => Vec::new(),
                },
            }
        })
        .collect()
}

/// Whether the service of these hosts is in a namespace. Routes beside their service are for all its clients, others only for clients
/// in their own namespace.
fn is_beside(hosts: &[&str], namespace: &str) -> bool {
    hosts
        .iter()
        .all(|host| host.split('.').nth(1) == Some(namespace))
}

/// The rules of all routes that share a target.
fn rules(sharing: &[&RequestRoute<'_>], target: &RouteTarget, deriver: &Deriver<'_>) -> Vec<Value> {
    let mut all: Vec<(&Precedence, Value)> = Vec::new();
    for route in sharing {
        let ports = route.ports(target, deriver);
        for RequestRule { precedence, rule } in &route.rules {
            match ports.as_slice() {
                [] => all.push((precedence, rule.clone())),
                ports => {
                    let rules = ports.iter().map(|port| (precedence, at_port(rule, *port)));
                    all.extend(rules);
                }
            }
        }
    }
    all.sort_by_key(|(precedence, _)| *precedence);
    all.into_iter().map(|(_, rule)| rule).collect()
}

/// A rule for requests to one port only.
fn at_port(rule: &Value, port: i32) -> Value {
    let mut rule = rule.clone();
    for condition in rule["match"].as_array_mut().into_iter().flatten() {
        condition["port"] = port.into();
    }
    rule
}

// === impl RequestRoute ===

impl RequestRoute<'_> {
    fn claims(&self, deriver: &Deriver<'_>) -> Vec<Claim> {
        let any = ["*".to_owned()];
        let hosts = match self.hosts.as_slice() {
            [] => &any[..],
            hosts => hosts,
        };
        let of_gateways = self.parents.gateways.iter().flat_map(|gateway| {
            hosts.iter().map(|host| Claim {
                scope: "".into(),
                gateway: gateway.clone(),
                host: host.clone(),
            })
        });
        let services = self.parents.services.iter();
        let of_services = services.map(|(namespace, name, _)| Claim {
            scope: self.resource.key.namespace.clone(),
            gateway: MESH_GATEWAY.to_owned(),
            host: deriver.service_host(name, namespace),
        });
        of_gateways.chain(of_services).collect()
    }

    /// The ports of requests to a service that the route is for; all when there are none.
    fn ports(&self, target: &RouteTarget, deriver: &Deriver<'_>) -> Vec<i32> {
        let services = self.parents.services.iter();
        let ports = services.filter(|(namespace, name, _)| {
            let host = deriver.service_host(name, namespace);
            target.gateways == [MESH_GATEWAY] && target.hosts == [host]
        });
        let ports: Option<Vec<i32>> = ports.map(|(_, _, port)| *port).collect();
        ports.unwrap_or_default()
    }
}
