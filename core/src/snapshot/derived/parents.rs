//! Which listeners of which Gateways, or which services, take a route.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::backends::Referrer;
use super::classes::{self, GatewayRole};
use super::gateway_listeners::{self, GatewayListener, parent_of_set};
use super::{Deriver, derived};
use crate::model::gateway_api::{GatewaySpec, ParentReference};
use crate::resource::{Kind, Object, Resource, ResourceKey};
use crate::snapshot::MESH_GATEWAY;

/// Where a route applies.
#[derive(Debug, Default)]
pub(super) struct Parents {
    /// Derived Gateways, as VirtualServices name them.
    pub(super) gateways: Vec<String>,
    /// Services in the mesh, by namespace and name, with the port if only one is meant.
    pub(super) services: Vec<(String, String, Option<i32>)>,
}

/// What a route names as its parent, if it is the mesh's business.
pub(super) enum Parent<'a> {
    /// A Gateway, or with a `set` one of its ListenerSets.
    Gateway {
        resource: &'a Arc<Resource>,
        spec: &'a GatewaySpec,
        set: Option<&'a Arc<Resource>>,
    },
    Service {
        namespace: &'a str,
        name: &'a str,
    },
}

/// Why a parent does not take a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NoMatchingParent,
    NotAllowedByListeners,
    NoMatchingListenerHostname,
}

/// The route that asks.
pub(super) struct RouteKind<'a> {
    pub(super) key: &'a ResourceKey,
    /// Kind, as listeners name those they allow.
    pub(super) kind: &'static str,
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
            match Parent::of(deriver, reference, route) {
                Some(Parent::Service { namespace, name }) => {
                    let service = (namespace.to_owned(), name.to_owned(), reference.port);
                    parents.services.push(service);
                }
                Some(parent @ Parent::Gateway { .. }) => {
                    let taken = parent.attach(deriver, reference, route);
                    for listener in taken.into_iter().flatten() {
                        let namespace = listener.namespace();
                        let name = format!("{namespace}/{}", listener.derived_name());
                        if !parents.gateways.contains(&name) {
                            parents.gateways.push(name);
                        }
                    }
                }
                None => {}
            }
        }
        parents
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

// === impl Parent ===

impl<'a> Parent<'a> {
    /// The parent that a reference names; none if it is not there, or another controller's.
    pub(super) fn of(
        deriver: &Deriver<'a>,
        reference: &'a ParentReference,
        route: &RouteKind<'a>,
    ) -> Option<Self> {
        let group = reference.group.as_deref();
        let group = group.unwrap_or("gateway.networking.k8s.io");
        let kind = reference.kind.as_deref().unwrap_or("Gateway");
        let own: &'a str = &route.key.namespace;
        let namespace: &'a str = reference.namespace.as_deref().unwrap_or(own);
        let name: &'a str = &reference.name;
        let (gateway, set) = match (group, kind) {
            ("gateway.networking.k8s.io", "Gateway") => ((namespace, name), None),
            ("gateway.networking.k8s.io", "ListenerSet") => {
                let set = deriver.objects.find(Kind::ListenerSet, namespace, name)?;
                (parent_of_set(set)?, Some(set))
            }
            ("" | "core", "Service") => return Some(Self::Service { namespace, name }),
            _ => return None,
        };
        let found = deriver
            .objects
            .find(Kind::KubernetesGateway, gateway.0, gateway.1);
        let resource = found.filter(|found| !found.is_refused())?;
        let Object::KubernetesGateway(spec) = &resource.object else {
            return None;
        };
        let is_ours = classes::role(deriver, spec) == Some(GatewayRole::Served);
        is_ours.then_some(Self::Gateway {
            resource,
            spec,
            set,
        })
    }

    /// The listeners that take a route; nothing of a service.
    pub(super) fn attach(
        &self,
        deriver: &Deriver<'a>,
        reference: &ParentReference,
        route: &RouteKind<'_>,
    ) -> Result<Vec<GatewayListener<'a>>, Refusal> {
        let Self::Gateway {
            resource,
            spec,
            set,
        } = self
        else {
            return Ok(Vec::new());
        };
        let source = set.unwrap_or(resource);
        let mut listeners = gateway_listeners::of_gateway(deriver, resource, spec);
        let mut keep = |refusal: Refusal, is_meant: &dyn Fn(&GatewayListener<'a>) -> bool| {
            listeners.retain(is_meant);
            match listeners.is_empty() {
                true => Err(refusal),
                false => Ok(()),
            }
        };
        let named = reference.section_name.as_deref();
        keep(Refusal::NoMatchingParent, &|one| {
            one.source.key == source.key
                && named.is_none_or(|name| name == &*one.listener.name)
                && reference.port.is_none_or(|port| port == one.listener.port)
        })?;
        keep(Refusal::NotAllowedByListeners, &|one| {
            one.allows(deriver, route)
        })?;
        keep(Refusal::NoMatchingListenerHostname, &|one| {
            one.shares_host(route)
        })?;
        Ok(listeners)
    }
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
