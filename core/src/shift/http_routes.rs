//! The HTTPRoutes that decide about a service, the Services that are its versions there, and which of their rules a shift changes.
//!
//! A version is a Service beside the service whose selector is the service's and more: `reviews-v3` with `app: reviews, version: v3`.
//! Its name is the value of the label `version` in its selector, or, without that label, the Service's own name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::backends::Backends;
use super::refusal::list;
use super::routed::{RoutedRules, RuleRef, is_routed, winners};
use super::target::VERSION;
use super::{Refusal, Section, Target};
use crate::resource::{Kind, Resource};
use crate::snapshot::{MeshService, Registry, Snapshot};

/// The HTTPRoutes that decide about a service.
#[derive(Clone, Debug, Default)]
pub(super) struct DecidingRoutes {
    pub(super) routes: Vec<Arc<Resource>>,
    /// The Services that are its versions, by the versions' names.
    pub(super) versions: BTreeMap<Arc<str>, Arc<MeshService>>,
    /// Whether some route is for clients in the mesh.
    pub(super) in_mesh: bool,
}

/// Finds them; none if no HTTPRoute decides, but a VirtualService, or nobody.
pub(super) fn deciding(
    snapshot: &Snapshot,
    service: &Arc<MeshService>,
    clients: &BTreeSet<Arc<str>>,
) -> Option<DecidingRoutes> {
    if snapshot.resources(Kind::HttpRoute).is_empty() {
        return None;
    }
    let attached = snapshot.deriver().attached_http_routes();
    let winners = winners(snapshot, &service.host, clients);
    let by_route = winners
        .iter()
        .any(|winner| winner.is_derived() && !winner.resource.origin.is_legacy());
    let is_seen =
        |namespace: &Arc<str>| *namespace == service.namespace || clients.contains(namespace);
    let of_mesh: Vec<&Arc<Resource>> = attached
        .iter()
        .filter(|route| route.hosts.iter().any(|host| **host == *service.host))
        .map(|route| route.resource)
        .filter(|route| by_route && is_seen(&route.key.namespace))
        .collect();
    let versions = versions(
        snapshot,
        service,
        attached.iter().map(|route| route.resource),
    );
    let backends = Backends {
        service,
        versions: &versions,
    };
    let of_gateways: Vec<&Arc<Resource>> = attached
        .iter()
        .filter(|route| route.at_gateway)
        .map(|route| route.resource)
        .filter(|route| !of_mesh.iter().any(|known| known.key == route.key))
        .collect();
    let any = |routes: &[&Arc<Resource>], wanted: &dyn Fn(&Value, &str) -> bool| {
        let mut all = routes.iter();
        all.any(|route| has_backend(route, wanted))
    };
    let in_mesh = !of_mesh.is_empty();
    let at_gateways = any(&of_gateways, &|backend, namespace| {
        backends.version_of(backend, namespace).is_some()
    });
    let is_free = winners.is_empty() && !is_routed(snapshot, &service.host);
    let decides = in_mesh || (at_gateways && is_free);
    if !decides {
        return None;
    }
    let own = of_gateways.into_iter().filter(|route| {
        has_backend(route, &|backend, namespace| {
            backends.is_own(backend, namespace)
        })
    });
    let routes = of_mesh.into_iter().chain(own).cloned().collect();
    Some(DecidingRoutes {
        routes,
        versions,
        in_mesh,
    })
}

/// The Services that are versions of a service. Of several for one version, one that is a backend already is taken, or the one that is
/// named after both.
fn versions<'a>(
    snapshot: &Snapshot,
    service: &MeshService,
    routes: impl Iterator<Item = &'a Arc<Resource>> + Clone,
) -> BTreeMap<Arc<str>, Arc<MeshService>> {
    let is_version = |other: &&Arc<MeshService>| {
        other.registry == Registry::Kubernetes
            && other.namespace == service.namespace
            && other.selector.len() > service.selector.len()
            && !service.selector.is_empty()
            && service
                .selector
                .iter()
                .all(|(key, value)| other.selector.get(key) == Some(value))
    };
    let is_backend = |other: &MeshService| {
        let mut routes = routes.clone();
        routes.any(|route| {
            has_backend(route, &|backend, namespace| {
                super::backends::service_of(backend, namespace)
                    == Some((&other.namespace, &other.name))
            })
        })
    };
    let mut found: BTreeMap<Arc<str>, (bool, bool, Arc<MeshService>)> = BTreeMap::new();
    for other in snapshot.services().filter(is_version) {
        let version: Arc<str> = match other.selector.get(VERSION) {
            Some(version) => version.as_str().into(),
            None => other.name.clone(),
        };
        let named = *other.name == format!("{}-{version}", service.name);
        let rank = (is_backend(other), named);
        let known = found.get(&version);
        let is_better = known.is_none_or(|(backend, known_name, before)| {
            let before = (*backend, *known_name, std::cmp::Reverse(&before.name));
            (rank.0, rank.1, std::cmp::Reverse(&other.name)) > before
        });
        if is_better {
            found.insert(version, (rank.0, rank.1, other.clone()));
        }
    }
    let found = found.into_iter();
    found
        .map(|(version, (.., service))| (version, service))
        .collect()
}

fn has_backend(route: &Resource, wanted: &dyn Fn(&Value, &str) -> bool) -> bool {
    let rules = 0..Section::Rules.rules(&route.raw).len();
    let mut backends = rules.flat_map(|index| Section::Rules.routes_of(&route.raw, index));
    backends.any(|backend| wanted(&backend, &route.key.namespace))
}

/// The rules that a shift changes: in each route the one for everything, or, where there is none, those that every kind of request can
/// meet.
pub(super) fn rules_of_routes(
    snapshot: &Snapshot,
    target: &Target,
    deciding: &DecidingRoutes,
) -> Result<RoutedRules, Refusal> {
    let host = &target.service.host;
    let mut found = RoutedRules::default();
    let winners = winners(snapshot, host, &target.clients);
    if let Some(written) = winners.iter().find(|rules| !rules.is_derived()) {
        let key = &written.resource.key;
        return Err(Refusal::state(format!(
            "{key} and HTTPRoutes decide about {host}, each for other clients"
        ))
        .hint("let one of them decide for all clients"));
    }
    if is_routed(snapshot, host) {
        found.notes.push(format!(
            "VirtualServices that route to {host} stay as they are: HTTPRoutes decide for clients in the mesh"
        ));
    }
    for route in &deciding.routes {
        add(&mut found, route, target, deciding)?;
    }
    if !deciding.in_mesh {
        found.notes.push(format!(
            "only gateways route {host} by an HTTPRoute; requests from inside the mesh keep going to all of its pods"
        ));
    }
    Ok(found)
}

fn add(
    found: &mut RoutedRules,
    route: &Arc<Resource>,
    target: &Target,
    deciding: &DecidingRoutes,
) -> Result<(), Refusal> {
    let (key, host) = (&route.key, &target.service.host);
    let backends = Backends {
        service: &target.service,
        versions: &deciding.versions,
    };
    let rules = Section::Rules.rules(&route.raw);
    let own: Vec<usize> = (0..rules.len())
        .filter(|index| {
            let all = Section::Rules.routes_of(&route.raw, *index);
            all.iter().any(|one| backends.is_own(one, &key.namespace))
        })
        .collect();
    if own.is_empty() {
        return Err(Refusal::state(format!(
            "{key} decides about {host}, but none of its rules has the service or a version of it as backend"
        ))
        .hint(format!(
            "versions are Services in namespace {} whose selectors are that of {} and more; add one as backend to a rule",
            target.service.namespace, target.service.name
        )));
    }
    let matches = |index: &usize| rules.get(*index).map_or(&[][..], matches_of);
    let default = own
        .iter()
        .find(|index| matches(index).is_empty() || matches(index).iter().any(is_everything));
    let chosen: Vec<usize> = match default {
        Some(index) => vec![*index],
        None => {
            let general = |index: &&usize| matches(index).iter().any(is_general);
            own.iter().filter(general).copied().collect()
        }
    };
    if chosen.is_empty() {
        return Err(Refusal::state(format!(
            "every rule of {key} that routes to {host} is for special requests (by header, query or method), so none is the default that could be shifted"
        ))
        .hint("add a rule without matches that has the service's versions as backends"));
    }
    let kept: Vec<String> = own
        .iter()
        .filter(|index| !chosen.contains(index))
        .map(|index| format!("rules[{index}]"))
        .collect();
    if !kept.is_empty() {
        let verb = if kept.len() == 1 {
            "keeps its"
        } else {
            "keep their"
        };
        found.notes.push(format!(
            "{} of {key} {verb} backends; requests that match there count in the measurement too",
            list(&kept)
        ));
    }
    found.rules.extend(chosen.into_iter().map(|index| RuleRef {
        resource: route.clone(),
        index,
    }));
    Ok(())
}

fn matches_of(rule: &Value) -> &[Value] {
    let matches = rule.get("matches").and_then(Value::as_array);
    matches.map(Vec::as_slice).unwrap_or_default()
}

/// Whether the condition says nothing about what kind of request it is, only where it goes.
fn is_general(condition: &Value) -> bool {
    let has = |field: &str| match condition.get(field) {
        None | Some(Value::Null) => false,
        Some(Value::Array(all)) => !all.is_empty(),
        Some(_) => true,
    };
    !["headers", "queryParams", "method"].into_iter().any(has)
}

/// Whether every request meets the condition: the API server writes `/` where no path is given.
fn is_everything(condition: &Value) -> bool {
    let path = |field: &str| {
        let path = condition.get("path").and_then(|path| path.get(field));
        path.and_then(Value::as_str)
    };
    is_general(condition)
        && matches!(path("type"), None | Some("PathPrefix"))
        && matches!(path("value"), None | Some("/" | ""))
}
