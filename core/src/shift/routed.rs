//! The rules that carry a service's requests now: which VirtualServices, and which of their rules a shift changes.
//!
//! Of a service with HTTP ports these are HTTP rules, of others TCP rules. Where HTTPRoutes decide, these are rules of theirs instead.
//!
//! In each VirtualService that routes to the service, the default is changed: the rule without conditions, or, where there is
//! none, every rule whose conditions every kind of request can meet (path, host, port, gateway). Rules for special requests, by
//! header, user, query or client, keep their routes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::http_routes::rules_of_routes;
use super::refusal::list;
use super::{Refusal, Section, Target};
use crate::model::{Destination, HttpMatchRequest, L4MatchAttributes};
use crate::resource::Resource;
use crate::snapshot::{MeshVirtualService, Snapshot, expand_host};

/// A rule of a VirtualService or an HTTPRoute.
#[derive(Clone, Debug)]
pub struct RuleRef {
    /// The object.
    pub resource: Arc<Resource>,
    /// Position in its section.
    pub index: usize,
}

/// What counts of a rule that routes to the service.
struct Candidate<'a> {
    index: usize,
    name: Option<&'a str>,
    /// Whether it is for everything.
    default: bool,
    /// Whether some condition says nothing of what kind of request it is.
    general: bool,
}

/// What is changed, and what a reader should know of what is not.
#[derive(Debug, Default)]
pub(super) struct RoutedRules {
    /// Empty if no VirtualService routes to the service.
    pub(super) rules: Vec<RuleRef>,
    pub(super) notes: Vec<String>,
}

pub(super) fn routed_rules(snapshot: &Snapshot, target: &Target) -> Result<RoutedRules, Refusal> {
    if let Some(deciding) = &target.http_routes {
        return rules_of_routes(snapshot, target, deciding);
    }
    let host = &target.service.host;
    let domain = &snapshot.options().dns_domain;
    let winners = winners(snapshot, host, &target.clients);
    let mut found = RoutedRules::default();
    for virtual_service in snapshot.virtual_services() {
        let for_host = virtual_service.is_for_mesh() && virtual_service.hosts.contains(host);
        let wins = winners
            .iter()
            .any(|winner| Arc::ptr_eq(winner, virtual_service));
        if virtual_service.is_derived() {
            if for_host && wins {
                return Err(derived(virtual_service, host));
            }
            continue;
        }
        let routes = routes_to(virtual_service, host, domain, target.section);
        let only_mesh = virtual_service
            .gateways
            .iter()
            .all(|gateway| &**gateway == crate::snapshot::MESH_GATEWAY);
        if for_host && !wins && only_mesh && !routes.is_empty() {
            let winner = winners
                .first()
                .map(|winner| winner.resource.key.to_string());
            found.notes.push(format!(
                "{} stays as it is: {} is older or more private and decides for this host",
                virtual_service.resource.key,
                winner.unwrap_or_default()
            ));
            continue;
        }
        if routes.is_empty() {
            if for_host && wins {
                return Err(elsewhere(virtual_service, host, target.section));
            }
            continue;
        }
        found.add(virtual_service, &routes, target)?;
    }
    if winners.is_empty() && !found.rules.is_empty() {
        found.notes.push(format!(
            "only gateways route {host} by a VirtualService; requests from inside the mesh keep going to all of its pods"
        ));
    }
    Ok(found)
}

// === impl RoutedRules ===

impl RoutedRules {
    fn add(
        &mut self,
        virtual_service: &Arc<MeshVirtualService>,
        routes: &[Candidate<'_>],
        target: &Target,
    ) -> Result<(), Refusal> {
        let key = &virtual_service.resource.key;
        let (host, section) = (&target.service.host, target.section);
        let default = routes.iter().find(|rule| rule.default);
        let chosen: Vec<usize> = match default {
            Some(rule) => vec![rule.index],
            None => routes
                .iter()
                .filter(|rule| rule.general)
                .map(|rule| rule.index)
                .collect(),
        };
        if chosen.is_empty() {
            let message = format!(
                "every rule of {key} that routes to {host} is for special requests (by header, query, method or client), so none is the default that could be shifted"
            );
            return Err(Refusal::state(message)
                .hint("add a rule without match at its end that routes to the service"));
        }
        let kept: Vec<String> = routes
            .iter()
            .filter(|rule| !chosen.contains(&rule.index))
            .map(|rule| {
                let place = format!("{}[{}]", section.name(), rule.index);
                rule.name
                    .map_or_else(|| place.clone(), |name| format!("{name} ({place})"))
            })
            .collect();
        if !kept.is_empty() {
            let (noun, verb) = if kept.len() == 1 {
                ("rule", "keeps its routes")
            } else {
                ("rules", "keep their routes")
            };
            self.notes.push(format!(
                "{noun} {} of {key} {verb}; requests that match there count in the measurement too",
                list(&kept)
            ));
        }
        let spec = &virtual_service.spec;
        match section {
            Section::Tcp if !spec.tls.is_empty() => self
                .notes
                .push(format!("the TLS routes of {key} stay as they are")),
            Section::Http if !spec.tcp.is_empty() || !spec.tls.is_empty() => self
                .notes
                .push(format!("the TCP and TLS routes of {key} stay as they are")),
            _ => {}
        }
        self.rules.extend(chosen.into_iter().map(|index| RuleRef {
            resource: virtual_service.resource.clone(),
            index,
        }));
        Ok(())
    }
}

/// Whether somebody has written a VirtualService with a rule for requests to this host.
pub(super) fn is_routed(snapshot: &Snapshot, host: &str) -> bool {
    let domain = &snapshot.options().dns_domain;
    let mut written = snapshot
        .virtual_services()
        .filter(|rules| !rules.is_derived());
    written.any(|rules| !routes_to(rules, host, domain, Section::Http).is_empty())
}

/// The rules with a destination of this host.
fn routes_to<'a>(
    virtual_service: &'a MeshVirtualService,
    host: &str,
    domain: &str,
    section: Section,
) -> Vec<Candidate<'a>> {
    let namespace = &virtual_service.resource.key.namespace;
    let is_own =
        |destination: &Destination| expand_host(&destination.host, namespace, domain) == host;
    let spec = &virtual_service.spec;
    match section {
        Section::Tcp => {
            let rules = spec.tcp.iter().enumerate();
            let own = rules.filter(|(_, rule)| {
                let mut route = rule.route.iter();
                route.any(|entry| is_own(&entry.destination))
            });
            own.map(|(index, rule)| Candidate {
                index,
                name: None,
                default: rule.matches.is_empty(),
                general: rule.matches.iter().any(is_for_all_clients),
            })
            .collect()
        }
        Section::Http | Section::Rules => {
            let rules = spec.http.iter().enumerate();
            let own = rules.filter(|(_, rule)| {
                let mut route = rule.route.iter();
                route.any(|entry| is_own(&entry.destination))
            });
            own.map(|(index, rule)| Candidate {
                index,
                name: rule.name.as_deref(),
                default: rule.matches.is_empty(),
                general: rule.matches.iter().any(is_general),
            })
            .collect()
        }
    }
}

/// The VirtualServices that decide about the host inside the mesh, for some client.
pub(super) fn winners(
    snapshot: &Snapshot,
    host: &str,
    clients: &BTreeSet<Arc<str>>,
) -> Vec<Arc<MeshVirtualService>> {
    let mut winners: Vec<Arc<MeshVirtualService>> = Vec::new();
    for client in clients {
        if let Some(winner) = snapshot.rules_for_host(host, client)
            && !winners.iter().any(|known| Arc::ptr_eq(known, winner))
        {
            winners.push(winner.clone());
        }
    }
    winners
}

/// Whether the condition says nothing about what kind of request it is, only where it goes.
fn is_general(condition: &HttpMatchRequest) -> bool {
    condition.method.is_none()
        && condition.headers.is_empty()
        && condition.without_headers.is_empty()
        && condition.query_params.is_empty()
        && condition.source_labels.is_empty()
        && condition.source_namespace.is_none()
}

/// Whether the condition is about where a connection goes only.
fn is_for_all_clients(condition: &L4MatchAttributes) -> bool {
    condition.source_labels.is_empty() && condition.source_namespace.is_none()
}

fn derived(virtual_service: &MeshVirtualService, host: &str) -> Refusal {
    let name = &virtual_service.resource.key.name;
    if virtual_service.resource.origin.is_legacy() {
        return Refusal::state(format!(
            "RouteRules decide about {host}, and shift changes VirtualServices only"
        ))
        .hint("write them as today's: meshctl get routerules -o yaml | meshctl convert -f - | kubectl apply -f -, and delete the old ones");
    }
    Refusal::state(format!(
        "a route of the Gateway API decides about {host} ({name}), and shift changes VirtualServices and HTTPRoutes only"
    ))
    .hint("change the weights of the route's backendRefs")
}

fn elsewhere(virtual_service: &MeshVirtualService, host: &str, section: Section) -> Refusal {
    let key = &virtual_service.resource.key;
    let spec = &virtual_service.spec;
    let (none, protocol) = match section {
        Section::Tcp => (spec.tcp.is_empty(), "TCP"),
        Section::Http | Section::Rules => (spec.http.is_empty(), "HTTP"),
    };
    if none {
        return Refusal::state(format!(
            "{key} decides about {host}, but has no {protocol} routes to shift"
        ))
        .hint(format!(
            "add a rule of {protocol} that routes to the service"
        ));
    }
    if spec.http.iter().any(|rule| rule.delegate.is_some()) {
        return Refusal::state(format!(
            "{key} decides about {host} and delegates its rules to other objects, which shift does not follow"
        ))
        .hint("change the weights in the object that it delegates to");
    }
    Refusal::state(format!(
        "{key} decides about {host}, but none of its rules routes there"
    ))
    .hint("shift the service that it routes to, or add a rule for this one")
}
