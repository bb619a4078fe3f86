//! Which listeners of which Gateways, or which services, take a route.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::backends::Referrer;
use super::{Deriver, derived};
use crate::model::gateway_api::{
    FromNamespaces, GatewaySpec, LabelSelector, Listener, ParentReference,
};
use crate::resource::{Kind, Object, Resource, ResourceKey};
use crate::snapshot::{MESH_GATEWAY, hosts_overlap};

/// The controller that a GatewayClass of ours names, and the class that `install` makes.
const CONTROLLER: &str = "istio.io/gateway-controller";
const CLASS: &str = "istio";

/// Whether the mesh obeys a Gateway.
pub(super) fn is_gateway_ours(deriver: &Deriver<'_>, spec: &GatewaySpec) -> bool {
    let name = &*spec.gateway_class_name;
    let class = deriver.objects.find(Kind::GatewayClass, "", name);
    match class.map(|class| &class.object) {
        Some(Object::GatewayClass(class)) => &*class.controller_name == CONTROLLER,
        _ => name == CLASS,
    }
}

/// A listener of a Gateway.
pub(super) struct GatewayListener<'a> {
    pub(super) resource: &'a Arc<Resource>,
    pub(super) listener: &'a Listener,
}

/// Where a route applies.
#[derive(Debug, Default)]
pub(super) struct Parents {
    /// Derived Gateways, as VirtualServices name them.
    pub(super) gateways: Vec<String>,
    /// Services in the mesh, by namespace and name, with the port if only one is meant.
    pub(super) services: Vec<(String, String, Option<i32>)>,
}

/// The route that asks.
pub(super) struct RouteKind<'a> {
    pub(super) key: &'a ResourceKey,
    /// Kind, as listeners name those they allow.
    pub(super) kind: &'static str,
    /// Protocols of listeners that take it.
    pub(super) protocols: &'static [&'static str],
    /// Hosts; any when there are none.
    pub(super) hosts: Vec<&'a str>,
}

// === impl Parents ===

impl Parents {
    /// The parents that take a route.
    pub(super) fn of(
        deriver: &Deriver<'_>,
        references: &[ParentReference],
        route: &RouteKind<'_>,
    ) -> Self {
        let mut parents = Self::default();
        for reference in references {
            let group = reference.group.as_deref();
            let group = group.unwrap_or("gateway.networking.k8s.io");
            let kind = reference.kind.as_deref().unwrap_or("Gateway");
            let own = &route.key.namespace;
            let namespace = reference.namespace.as_deref().unwrap_or(own);
            match (group, kind) {
                ("gateway.networking.k8s.io", "Gateway") => {
                    parents.add_gateway(deriver, reference, namespace, route);
                }
                ("" | "core", "Service") => {
                    let name = reference.name.to_string();
                    let service = (namespace.to_owned(), name, reference.port);
                    parents.services.push(service);
                }
                _ => {}
            }
        }
        parents
    }

    fn add_gateway(
        &mut self,
        deriver: &Deriver<'_>,
        reference: &ParentReference,
        namespace: &str,
        route: &RouteKind<'_>,
    ) {
        let objects = deriver.objects;
        let found = objects.find(Kind::KubernetesGateway, namespace, &reference.name);
        let Some((resource, spec)) = found.and_then(|found| match &found.object {
            Object::KubernetesGateway(spec) => Some((found, spec)),
            _ => None,
        }) else {
            return;
        };
        if !is_gateway_ours(deriver, spec) {
            return;
        }
        for listener in GatewayListener::all(resource, spec) {
            let named = reference.section_name.as_deref();
            let meant = named.is_none_or(|name| name == &*listener.listener.name)
                && reference
                    .port
                    .is_none_or(|port| port == listener.listener.port);
            if meant && listener.takes(deriver, route) {
                let name = format!("{namespace}/{}", listener.derived_name());
                if !self.gateways.contains(&name) {
                    self.gateways.push(name);
                }
            }
        }
    }

    /// What VirtualServices stand for a route for connections: the gateways and hosts of each, and who sees it.
    pub(super) fn targets(&self, deriver: &Deriver<'_>, route: &RouteKind<'_>) -> Vec<RouteTarget> {
        let mut targets = Vec::new();
        if !self.gateways.is_empty() {
            let hosts = match route.hosts.as_slice() {
                [] => vec!["*".to_owned()],
                hosts => hosts.iter().map(|host| (*host).to_owned()).collect(),
            };
            targets.push(RouteTarget {
                gateways: self.gateways.clone(),
                hosts,
                export_to: Vec::new(),
            });
        }
        let services = self.services.iter();
        let services: BTreeSet<(&String, &String)> = services
            .map(|(namespace, name, _)| (namespace, name))
            .collect();
        for (namespace, name) in services {
            // Routes beside their service are for all its clients, others only for clients in their own namespace.
            let is_producer = *namespace == *route.key.namespace;
            targets.push(RouteTarget {
                gateways: vec![MESH_GATEWAY.to_owned()],
                hosts: vec![deriver.service_host(name, namespace)],
                export_to: if is_producer {
                    Vec::new()
                } else {
                    vec![".".to_owned()]
                },
            });
        }
        targets
    }
}

/// A VirtualService that a route is turned into, but for its rules.
#[derive(Debug)]
pub(super) struct RouteTarget {
    pub(super) gateways: Vec<String>,
    pub(super) hosts: Vec<String>,
    pub(super) export_to: Vec<String>,
}

// === impl RouteTarget ===

impl RouteTarget {
    /// The VirtualService with these rules below a field; `part` tells it from others of the route.
    pub(super) fn virtual_service(
        &self,
        route: &Resource,
        part: &str,
        field: &str,
        rules: &[Value],
    ) -> Option<Arc<Resource>> {
        let spec = json!({
            "hosts": self.hosts, "gateways": self.gateways, "exportTo": self.export_to, field: rules,
        });
        let spec = serde_json::from_value(spec).ok()?;
        let ResourceKey {
            namespace, name, ..
        } = &route.key;
        let name = format!("{name}-{part}-istio-autogenerated-k8s-gateway");
        let object = Object::VirtualService(Arc::new(spec));
        Some(derived(
            route,
            Kind::VirtualService,
            (namespace, name),
            object,
        ))
    }
}

// === impl RouteKind ===

impl<'a> RouteKind<'a> {
    /// The route, as backends know who refers to them.
    pub(super) fn referrer(&self) -> Referrer<'a> {
        Referrer {
            namespace: &self.key.namespace,
            kind: self.kind,
        }
    }
}

// === impl GatewayListener ===

impl<'a> GatewayListener<'a> {
    /// The listeners of a Gateway.
    pub(super) fn all(
        resource: &'a Arc<Resource>,
        spec: &'a GatewaySpec,
    ) -> impl Iterator<Item = Self> {
        spec.listeners
            .iter()
            .map(move |listener| Self { resource, listener })
    }

    pub(super) fn namespace(&self) -> &'a str {
        &self.resource.key.namespace
    }

    /// The name that Istio gives the Gateway that a listener stands for.
    pub(super) fn derived_name(&self) -> String {
        let (gateway, listener) = (&self.resource.key.name, &*self.listener.name);
        format!("{gateway}-istio-autogenerated-k8s-gateway-{listener}")
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
                let all = deriver.objects.of(Kind::Namespace).iter();
                all.filter(|namespace| {
                    selector.is_some_and(|selector| selects(selector, namespace))
                })
                .map(|namespace| namespace.key.name.to_string())
                .collect()
            }
        }
    }

    fn takes(&self, deriver: &Deriver<'_>, route: &RouteKind<'_>) -> bool {
        let kinds = self.listener.allowed_routes.as_ref();
        let kinds = kinds.map_or(&[][..], |allowed| &allowed.kinds);
        let allows_kind = kinds.is_empty() || kinds.iter().any(|kind| &*kind.kind == route.kind);
        let own = self.listener.hostname.as_deref();
        let mut hosts = route.hosts.iter();
        let shares_host = own.is_none()
            || route.hosts.is_empty()
            || hosts.any(|host| hosts_overlap(host, own.unwrap_or("*")));
        let namespaces = self.allowed_namespaces(deriver);
        let mut namespaces = namespaces.iter();
        allows_kind
            && shares_host
            && route.protocols.contains(&&*self.listener.protocol)
            && namespaces.any(|allowed| allowed == "*" || **allowed == *route.key.namespace)
    }
}

/// Whether a selector has a namespace.
fn selects(selector: &LabelSelector, namespace: &Resource) -> bool {
    let labels = &namespace.meta.labels;
    let of_name = ("kubernetes.io/metadata.name", &*namespace.key.name);
    let value = |key: &str| {
        let known = labels.get(key).map(String::as_str);
        known.or_else(|| (key == of_name.0).then_some(of_name.1))
    };
    let mut equal = selector.match_labels.iter();
    let mut expressions = selector.match_expressions.iter();
    equal.all(|(key, wanted)| value(key) == Some(wanted))
        && expressions.all(|one| {
            let found = value(&one.key);
            let listed = found.is_some_and(|found| one.values.iter().any(|value| value == found));
            match &*one.operator {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}
