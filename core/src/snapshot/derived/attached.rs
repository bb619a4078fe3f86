//! Where HTTPRoutes apply, for those who change them.

use std::sync::Arc;

use super::Deriver;
use super::parents::{Parents, RouteKind};
use crate::resource::{Kind, Object, Resource};

/// An HTTPRoute with the parents that take it.
pub(crate) struct AttachedRoute<'a> {
    pub(crate) resource: &'a Arc<Resource>,
    /// Whether a gateway of the mesh takes it.
    pub(crate) at_gateway: bool,
    /// Hosts of the services that are its parents.
    pub(crate) hosts: Vec<String>,
}

impl<'a> Deriver<'a> {
    /// The HTTPRoutes that some parent takes.
    pub(crate) fn attached_http_routes(&self) -> Vec<AttachedRoute<'a>> {
        let routes = self.accepted(Kind::HttpRoute);
        let routes = routes.filter_map(|resource| match &resource.object {
            Object::HttpRoute(spec) => Some((resource, spec)),
            _ => None,
        });
        let attached = routes.map(|(resource, spec)| {
            let route = RouteKind {
                key: &resource.key,
                kind: "HTTPRoute",
                hosts: spec.hostnames.iter().map(|host| &**host).collect(),
            };
            let parents = Parents::of(self, &spec.parent_refs, &route);
            let services = parents.services.iter();
            AttachedRoute {
                resource,
                at_gateway: !parents.gateways.is_empty(),
                hosts: services
                    .map(|(namespace, name, _)| self.service_host(name, namespace))
                    .collect(),
            }
        });
        attached
            .filter(|route| route.at_gateway || !route.hosts.is_empty())
            .collect()
    }
}
