//! Services of type ExternalName that name another service of the mesh: these are other names of its host, with whatever is said of that
//! host. Those that name anything else are services of their own, resolved by DNS.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::kubernetes::{self, external_name};
use super::services::Services;
use super::{Alias, MeshService};
use crate::model::MeshConfig;
use crate::resource::{Kind, Resource};

// === impl Services: aliases ===

impl Services {
    /// Adds the hosts that others are names of, and those that are names of others, whose meaning depends on each other.
    pub(super) fn add_related(&self, hosts: &mut BTreeSet<Arc<str>>, domain: &str) {
        let mut pending: Vec<Arc<str>> = hosts.iter().cloned().collect();
        while let Some(host) = pending.pop() {
            for resource in self.objects_of(&host) {
                let Some(target) = external_name(resource) else {
                    continue;
                };
                for related in [target, kubernetes::host(&resource.key, domain)] {
                    if hosts.insert(related.clone()) {
                        pending.push(related);
                    }
                }
            }
        }
    }

    /// Notes of a host's service what it is another name of, and which other names it has.
    pub(super) fn resolve_aliases(
        &self,
        service: &mut MeshService,
        resource: &Resource,
        (mesh, domain): (&MeshConfig, &str),
    ) {
        if let Some(target) = external_name(resource) {
            service.alias_of = self.alias_target(target, domain);
            if service.alias_of.is_some() {
                service.ports = Vec::new();
            }
            return;
        }
        let mut aliases = BTreeSet::new();
        let mut pending = vec![service.host.clone()];
        while let Some(host) = pending.pop() {
            for resource in self.objects_of(&host) {
                if external_name(resource).as_ref() != Some(&host) {
                    continue;
                }
                let Some(alias) = kubernetes::kubernetes_service(resource, mesh, domain) else {
                    continue;
                };
                let MeshService {
                    host,
                    name,
                    namespace,
                    visibility,
                    ..
                } = alias;
                let alias = Alias {
                    host: host.clone(),
                    name,
                    namespace,
                    visibility,
                };
                if aliases.insert(alias) {
                    pending.push(host);
                }
            }
        }
        service.aliases = aliases.into_iter().collect();
    }

    /// The host of a service that a name leads to, perhaps by way of others; none if it leads out of the mesh, or in a circle.
    fn alias_target(&self, mut host: Arc<str>, domain: &str) -> Option<Arc<str>> {
        let mut seen = BTreeSet::new();
        while seen.insert(host.clone()) {
            let mut is_service = false;
            let mut next = None;
            for resource in self.objects_of(&host) {
                let own = resource.key.kind != Kind::Service
                    || kubernetes::host(&resource.key, domain) == host;
                if own {
                    match external_name(resource) {
                        Some(target) => next = Some(target),
                        None => is_service = true,
                    }
                }
            }
            match next {
                _ if is_service => return Some(host),
                Some(target) => host = target,
                None => return None,
            }
        }
        None
    }
}
