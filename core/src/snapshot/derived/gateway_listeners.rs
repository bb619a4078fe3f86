//! The listeners of a Gateway and of the ListenerSets that belong to it, and which of them are in force.
//!
//! Listeners of one port must speak protocols of one kind, and differ in hosts where protocols tell hosts. Of a Gateway's own none of those
//! in conflict is in force; a ListenerSet's stands behind those of the Gateway and of older sets.

use std::sync::Arc;

use super::Deriver;
use super::parents::RouteKind;
use super::selectors::namespaces;
use crate::model::gateway_api::{
    FromNamespaces, GatewaySpec, Listener, ListenersFrom, RouteGroupKind,
};
use crate::resource::{Kind, Object, Resource};
use crate::snapshot::hosts_overlap;

const GROUP: &str = "gateway.networking.k8s.io";

/// Ports of the proxy itself, which no listener can have.
const RESERVED: [i32; 10] = [
    15000, 15001, 15004, 15006, 15008, 15009, 15020, 15021, 15053, 15090,
];

/// A listener of a Gateway.
#[derive(Clone, Copy)]
pub(super) struct GatewayListener<'a> {
    /// The Gateway.
    pub(super) gateway: &'a Arc<Resource>,
    /// What lists it: the Gateway, or a ListenerSet.
    pub(super) source: &'a Arc<Resource>,
    pub(super) listener: &'a Listener,
    /// Why it is not in force.
    pub(super) fault: Option<ListenerFault>,
}

/// Why a listener is not in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListenerFault {
    PortUnavailable,
    UnsupportedProtocol,
    ProtocolConflict,
    HostnameConflict,
}

/// The protocols that can share a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Http,
    Tls,
    Tcp,
}

/// All listeners of a Gateway, its own first, then those of ListenerSets, the oldest first.
pub(super) fn of_gateway<'a>(
    deriver: &Deriver<'a>,
    gateway: &'a Arc<Resource>,
    spec: &'a GatewaySpec,
) -> Vec<GatewayListener<'a>> {
    let own = spec.listeners.iter().map(|listener| (gateway, listener));
    let sets = sets(deriver, gateway, spec);
    let of_sets = sets
        .iter()
        .flat_map(|(set, listeners)| listeners.iter().map(move |listener| (*set, listener)));
    let mut all: Vec<GatewayListener<'a>> = own
        .chain(of_sets)
        .map(|(source, listener)| GatewayListener {
            gateway,
            source,
            listener,
            fault: fault(listener),
        })
        .collect();
    let conflicts: Vec<Option<ListenerFault>> =
        (0..all.len()).map(|index| conflict(&all, index)).collect();
    for (listener, conflict) in all.iter_mut().zip(conflicts) {
        listener.fault = listener.fault.or(conflict);
    }
    all
}

/// The listeners of a Gateway that are in force.
pub(crate) fn in_force<'a>(
    deriver: &Deriver<'a>,
    gateway: &'a Arc<Resource>,
    spec: &'a GatewaySpec,
) -> Vec<&'a Listener> {
    let all = of_gateway(deriver, gateway, spec).into_iter();
    all.filter(|listener| listener.fault.is_none())
        .map(|listener| listener.listener)
        .collect()
}

/// The ListenerSets that belong to a Gateway and that it allows, the oldest first.
fn sets<'a>(
    deriver: &Deriver<'a>,
    gateway: &'a Arc<Resource>,
    spec: &GatewaySpec,
) -> Vec<(&'a Arc<Resource>, &'a [Listener])> {
    let all = deriver.accepted(Kind::ListenerSet);
    let mut sets: Vec<_> = all
        .filter_map(|set| match &set.object {
            Object::ListenerSet(of_set) => Some((set, &of_set.listeners[..])),
            _ => None,
        })
        .filter(|(set, _)| {
            parent_of_set(set).is_some_and(|(namespace, name)| {
                *namespace == *gateway.key.namespace && *name == *gateway.key.name
            }) && allows_set(deriver, gateway, spec, set)
        })
        .collect();
    sets.sort_by_key(|(set, _)| (set.meta.created, &set.key.namespace, &set.key.name));
    sets
}

/// The Gateway that a ListenerSet names: namespace and name.
pub(super) fn parent_of_set(set: &Resource) -> Option<(&str, &str)> {
    let Object::ListenerSet(spec) = &set.object else {
        return None;
    };
    let parent = &spec.parent_ref;
    let is_gateway = parent.group.as_deref().unwrap_or(GROUP) == GROUP
        && parent.kind.as_deref().unwrap_or("Gateway") == "Gateway";
    let namespace = parent.namespace.as_deref().unwrap_or(&set.key.namespace);
    is_gateway.then_some((namespace, &*parent.name))
}

/// Whether a Gateway lets a ListenerSet belong to it; by default it lets none.
pub(super) fn allows_set(
    deriver: &Deriver<'_>,
    gateway: &Resource,
    spec: &GatewaySpec,
    set: &Resource,
) -> bool {
    let allowed = spec.allowed_listeners.as_ref();
    let allowed = allowed.and_then(|allowed| allowed.namespaces.as_ref());
    let from = allowed.and_then(|allowed| allowed.from);
    match from.unwrap_or(ListenersFrom::None) {
        ListenersFrom::None => false,
        ListenersFrom::All => true,
        ListenersFrom::Same => set.key.namespace == gateway.key.namespace,
        ListenersFrom::Selector => {
            let selector = allowed.and_then(|allowed| allowed.selector.as_ref());
            let all = namespaces(deriver, selector);
            all.contains(&set.key.namespace.to_string())
        }
    }
}

/// What is wrong with a listener by itself.
fn fault(listener: &Listener) -> Option<ListenerFault> {
    if family(listener).is_none() {
        return Some(ListenerFault::UnsupportedProtocol);
    }
    let is_reserved = RESERVED.contains(&listener.port);
    is_reserved.then_some(ListenerFault::PortUnavailable)
}

fn family(listener: &Listener) -> Option<Family> {
    match listener.protocol.as_str() {
        "HTTP" => Some(Family::Http),
        "HTTPS" | "TLS" => Some(Family::Tls),
        "TCP" => Some(Family::Tcp),
        _ => None,
    }
}

/// The conflict of a listener with others that are in force by themselves.
fn conflict(all: &[GatewayListener<'_>], index: usize) -> Option<ListenerFault> {
    let own = all.get(index)?;
    let others = all.iter().enumerate().filter(|(other, listener)| {
        let counts = *other != index && listener.listener.port == own.listener.port;
        // Of a set, only what stands before it; within a set or the Gateway, everything.
        let stands = *other < index || listener.source.key == own.source.key;
        counts && stands && listener.fault.is_none()
    });
    others
        .map(|(_, other)| other.listener)
        .find_map(|other| match () {
            () if family(other) != family(own.listener) => Some(ListenerFault::ProtocolConflict),
            () if other.hostname.as_deref() == own.listener.hostname.as_deref() => {
                Some(ListenerFault::HostnameConflict)
            }
            () => None,
        })
}

// === impl GatewayListener ===

impl<'a> GatewayListener<'a> {
    /// Namespace of what lists it.
    pub(super) fn namespace(&self) -> &'a str {
        &self.source.key.namespace
    }

    /// The name that Istio gives the Gateway that a listener stands for.
    pub(super) fn derived_name(&self) -> String {
        let (source, listener) = (&self.source.key.name, &*self.listener.name);
        format!("{source}-istio-autogenerated-k8s-gateway-{listener}")
    }

    /// The namespaces whose routes it takes; `*` for all.
    pub(super) fn allowed_namespaces(&self, deriver: &Deriver<'_>) -> Vec<String> {
        let allowed = self.listener.allowed_routes.as_ref();
        let allowed = allowed.and_then(|allowed| allowed.namespaces.as_ref());
        let from = allowed.and_then(|allowed| allowed.from);
        match from.unwrap_or(FromNamespaces::Same) {
            FromNamespaces::All => vec!["*".to_owned()],
            FromNamespaces::Same => vec![self.namespace().to_owned()],
            FromNamespaces::Selector => {
                let selector = allowed.and_then(|allowed| allowed.selector.as_ref());
                namespaces(deriver, selector)
            }
        }
    }

    /// The kinds of routes that its protocol can have.
    fn possible_kinds(&self) -> &'static [&'static str] {
        match family(self.listener) {
            Some(Family::Http) => &["HTTPRoute", "GRPCRoute"],
            Some(Family::Tls) if self.listener.protocol == "HTTPS" => &["HTTPRoute", "GRPCRoute"],
            Some(Family::Tls) => &["TLSRoute", "TCPRoute"],
            Some(Family::Tcp) => &["TCPRoute"],
            None => &[],
        }
    }

    /// The kinds of routes that it takes, and whether it names others too.
    pub(super) fn kinds(&self) -> (Vec<&'static str>, bool) {
        let possible = self.possible_kinds();
        let allowed = self.listener.allowed_routes.as_ref();
        let named = allowed.map_or(&[][..], |allowed| &allowed.kinds);
        if named.is_empty() {
            return (possible.to_vec(), false);
        }
        let is = |named: &RouteGroupKind, kind: &str| {
            named.group.as_deref().unwrap_or(GROUP) == GROUP && &*named.kind == kind
        };
        let taken = possible
            .iter()
            .filter(|kind| named.iter().any(|named| is(named, kind)));
        let mut all = named.iter();
        let has_others = all.any(|named| !possible.iter().any(|kind| is(named, kind)));
        (taken.copied().collect(), has_others)
    }

    /// Whether it lets a route of this kind and namespace belong to it.
    pub(super) fn allows(&self, deriver: &Deriver<'_>, route: &RouteKind<'_>) -> bool {
        let namespaces = self.allowed_namespaces(deriver);
        let mut namespaces = namespaces.iter();
        self.kinds().0.contains(&route.kind)
            && namespaces.any(|allowed| allowed == "*" || **allowed == *route.key.namespace)
    }

    /// Whether it has a host that a route has too.
    pub(super) fn shares_host(&self, route: &RouteKind<'_>) -> bool {
        let own = self.listener.hostname.as_deref();
        let mut hosts = route.hosts.iter();
        own.is_none()
            || route.hosts.is_empty()
            || hosts.any(|host| hosts_overlap(host, own.unwrap_or("*")))
    }
}
