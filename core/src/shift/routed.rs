//! The rules that carry a service's requests now: which VirtualServices, and which of their rules a shift changes.
//!
//! In each VirtualService that routes to the service, the default is changed: the rule without conditions, or, where there is
//! none, every rule whose conditions every kind of request can meet (path, host, port, gateway). Rules for special requests, by
//! header, user, query or client, keep their routes.

use std::sync::Arc;

use super::refusal::list;
use super::{Refusal, Target};
use crate::model::{HttpMatchRequest, HttpRoute};
use crate::snapshot::{MeshVirtualService, Snapshot, expand_host};

/// An HTTP rule of a VirtualService.
#[derive(Clone, Debug)]
pub struct RuleRef {
    /// The object.
    pub virtual_service: Arc<MeshVirtualService>,
    /// Position in `spec.http`.
    pub index: usize,
}

/// What is changed, and what a reader should know of what is not.
#[derive(Debug, Default)]
pub(super) struct RoutedRules {
    /// Empty if no VirtualService routes to the service.
    pub(super) rules: Vec<RuleRef>,
    pub(super) notes: Vec<String>,
}

pub(super) fn routed_rules(snapshot: &Snapshot, target: &Target) -> Result<RoutedRules, Refusal> {
    let host = &target.service.host;
    let domain = &snapshot.options().dns_domain;
    let winners = winners(snapshot, target);
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
        let routes = routes_to(virtual_service, host, domain);
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
                return Err(elsewhere(virtual_service, host));
            }
            continue;
        }
        found.add(virtual_service, &routes, host)?;
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
        routes: &[(usize, &HttpRoute)],
        host: &str,
    ) -> Result<(), Refusal> {
        let key = &virtual_service.resource.key;
        let default = routes.iter().find(|(_, rule)| rule.matches.is_empty());
        let chosen: Vec<usize> = match default {
            Some((index, _)) => vec![*index],
            None => routes
                .iter()
                .filter(|(_, rule)| rule.matches.iter().any(is_general))
                .map(|(index, _)| *index)
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
            .filter(|(index, _)| !chosen.contains(index))
            .map(|(index, rule)| match &rule.name {
                Some(name) => format!("{name} (http[{index}])"),
                None => format!("http[{index}]"),
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
        if !virtual_service.spec.tcp.is_empty() || !virtual_service.spec.tls.is_empty() {
            self.notes
                .push(format!("the TCP and TLS routes of {key} stay as they are"));
        }
        self.rules.extend(chosen.into_iter().map(|index| RuleRef {
            virtual_service: virtual_service.clone(),
            index,
        }));
        Ok(())
    }
}

/// The HTTP rules with a destination of this host.
fn routes_to<'a>(
    virtual_service: &'a MeshVirtualService,
    host: &str,
    domain: &str,
) -> Vec<(usize, &'a HttpRoute)> {
    let namespace = &virtual_service.resource.key.namespace;
    let routes = |rule: &HttpRoute| {
        rule.route
            .iter()
            .any(|entry| expand_host(&entry.destination.host, namespace, domain) == host)
    };
    virtual_service
        .spec
        .http
        .iter()
        .enumerate()
        .filter(|(_, rule)| routes(rule))
        .collect()
}

/// The VirtualServices that decide about the host inside the mesh, for some client.
fn winners(snapshot: &Snapshot, target: &Target) -> Vec<Arc<MeshVirtualService>> {
    let mut winners: Vec<Arc<MeshVirtualService>> = Vec::new();
    for client in &target.clients {
        if let Some(winner) = snapshot.rules_for_host(&target.service.host, client)
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

fn derived(virtual_service: &MeshVirtualService, host: &str) -> Refusal {
    let name = &virtual_service.resource.key.name;
    Refusal::state(format!(
        "a route of the Gateway API decides about {host} ({name}), and shift only changes VirtualServices"
    ))
    .hint("change the weights of the route's backendRefs")
}

fn elsewhere(virtual_service: &MeshVirtualService, host: &str) -> Refusal {
    let key = &virtual_service.resource.key;
    let spec = &virtual_service.spec;
    if spec.http.is_empty() {
        return Refusal::state(format!(
            "{key} decides about {host}, but has no HTTP routes to shift"
        ))
        .hint("add an HTTP rule that routes to the service");
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
