//! VirtualServices with their hosts and gateways resolved, in the order in which they are candidates.

use std::collections::BTreeSet;
use std::sync::Arc;

use mesh_ir::PersistentMap;

use super::labels::source_labels;
use super::visibility::visibility;
use super::{ChangeSet, HostMap, Visibility, expand_host};
use crate::model::{MeshConfig, VirtualServiceSpec};
use crate::resource::{Kind, Object, Resource, ResourceKey};

/// The gateway name that stands for all sidecars.
pub const MESH_GATEWAY: &str = "mesh";

/// A VirtualService with its names resolved.
#[derive(Clone, Debug)]
pub struct MeshVirtualService {
    /// The object.
    pub resource: Arc<Resource>,
    /// Its typed view.
    pub spec: Arc<VirtualServiceSpec>,
    /// Fully qualified lower-case hosts and patterns, in the object's order.
    pub hosts: Vec<Arc<str>>,
    /// `mesh`, or `namespace/name` of gateways; never empty.
    pub gateways: Vec<Arc<str>>,
    /// Who sees it.
    pub visibility: Visibility,
}

/// All VirtualServices.
#[derive(Clone, Debug, Default)]
pub(super) struct VirtualServices {
    /// The oldest first.
    by_age: PersistentMap<Age, Arc<MeshVirtualService>>,
    /// Those for sidecars by their hosts and patterns, in the order in which they win.
    candidates: HostMap<Arc<[Arc<MeshVirtualService>]>>,
    /// Hosts and patterns of those that not all clients see or are treated alike by.
    conditional: PersistentMap<(Arc<str>, ResourceKey), ()>,
}

// === impl VirtualServices ===

impl VirtualServices {
    /// Brings the rules up to date; gives the hosts and patterns of those that differ.
    pub(super) fn update(
        &mut self,
        changes: &ChangeSet,
        mesh: &MeshConfig,
        domain: &str,
    ) -> BTreeSet<Arc<str>> {
        let mut hosts = BTreeSet::new();
        for (key, change) in changes.of(Kind::VirtualService) {
            let before = change.before.as_ref().map(age);
            if let Some(old) = before.and_then(|age| self.by_age.remove(&age)) {
                hosts.extend(old.hosts.iter().cloned());
                for host in &old.hosts {
                    self.conditional.remove(&(host.clone(), key.clone()));
                    self.change_candidates(host, |all| {
                        all.retain(|known| !Arc::ptr_eq(known, &old))
                    });
                }
            }
            let after = change.after.as_ref();
            let Some(new) = after.and_then(|new| MeshVirtualService::new(new, mesh, domain)) else {
                continue;
            };
            let new = Arc::new(new);
            hosts.extend(new.hosts.iter().cloned());
            self.by_age.insert(age(&new.resource), new.clone());
            for host in &new.hosts {
                if new.is_conditional() {
                    self.conditional.insert((host.clone(), key.clone()), ());
                }
                if new.is_for_mesh() {
                    self.change_candidates(host, |all| {
                        if !all.iter().any(|known| Arc::ptr_eq(known, &new)) {
                            all.push(new.clone());
                        }
                        all.sort_by_cached_key(|rules| {
                            (rules.candidate_class(), age(&rules.resource))
                        });
                    });
                }
            }
        }
        hosts
    }

    fn change_candidates(
        &mut self,
        host: &Arc<str>,
        change: impl FnOnce(&mut Vec<Arc<MeshVirtualService>>),
    ) {
        let mut all = self
            .candidates
            .get(host)
            .map_or_else(Vec::new, |all| all.to_vec());
        change(&mut all);
        if all.is_empty() {
            self.candidates.remove(host);
        } else {
            self.candidates.insert(host, all.into());
        }
    }

    /// All of them, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<MeshVirtualService>> {
        self.by_age.values()
    }

    pub(super) fn len(&self) -> usize {
        self.by_age.len()
    }

    /// The one that sidecars of a namespace apply to exactly a host or pattern.
    pub(super) fn of_host(&self, host: &str, namespace: &str) -> Option<&Arc<MeshVirtualService>> {
        first_visible(self.candidates.get(host)?, namespace)
    }

    /// The one that sidecars of a namespace apply to a host: of the most specific pattern that has any.
    pub(super) fn for_host(&self, host: &str, namespace: &str) -> Option<&Arc<MeshVirtualService>> {
        self.candidates
            .matches(host)
            .find_map(|all| first_visible(all, namespace))
    }

    /// Hosts and patterns about which not all clients are told alike.
    pub(super) fn conditional(&self) -> impl Iterator<Item = &Arc<str>> {
        self.conditional.keys().map(|(host, _)| host)
    }
}

/// Creation time, then name, then namespace; those without a time come first.
type Age = (Option<i64>, Arc<str>, Arc<str>);

fn age(resource: &Arc<Resource>) -> Age {
    let ResourceKey {
        namespace, name, ..
    } = &resource.key;
    (resource.meta.created, name.clone(), namespace.clone())
}

fn first_visible<'a>(
    candidates: &'a [Arc<MeshVirtualService>],
    namespace: &str,
) -> Option<&'a Arc<MeshVirtualService>> {
    candidates
        .iter()
        .find(|rules| rules.visibility.sees(namespace))
}

// === impl MeshVirtualService ===

impl MeshVirtualService {
    pub(super) fn new(resource: &Arc<Resource>, mesh: &MeshConfig, domain: &str) -> Option<Self> {
        let Object::VirtualService(spec) = &resource.object else {
            return None;
        };
        let namespace = &resource.key.namespace;
        Some(Self {
            hosts: spec
                .hosts
                .iter()
                .map(|host| expand_host(host, namespace, domain).into())
                .collect(),
            gateways: resolve_gateways(&spec.gateways, namespace),
            visibility: visibility(
                spec.export_to.iter().map(String::as_str),
                &mesh.default_virtual_service_export_to,
                namespace,
            ),
            spec: spec.clone(),
            resource: resource.clone(),
        })
    }

    /// Whether it applies to sidecars.
    pub fn is_for_mesh(&self) -> bool {
        self.gateways
            .iter()
            .any(|gateway| &**gateway == MESH_GATEWAY)
    }

    /// Whether not all clients see it, or it does not treat all alike.
    fn is_conditional(&self) -> bool {
        let spec = &self.spec;
        let mut http = spec.http.iter().flat_map(|rule| &rule.matches);
        let mut tls = spec.tls.iter().flat_map(|rule| &rule.matches);
        let mut tcp = spec.tcp.iter().flat_map(|rule| &rule.matches);
        self.visibility != Visibility::Public
            || source_labels(spec).any(|labels| !labels.is_empty())
            || http.any(|condition| condition.source_namespace.is_some())
            || tls.any(|condition| condition.source_namespace.is_some())
            || tcp.any(|condition| condition.source_namespace.is_some())
    }

    /// 0 for objects that only their own namespace sees, 1 for those that some see, 2 for public ones.
    pub(super) fn candidate_class(&self) -> u8 {
        match &self.visibility {
            Visibility::Public => 2,
            Visibility::Namespaces(namespaces)
                if namespaces.len() == 1 && namespaces.contains(&self.resource.key.namespace) =>
            {
                0
            }
            Visibility::Namespaces(_) => 1,
        }
    }
}

/// Gateway references as `mesh` or `namespace/name`; none at all means `mesh`.
pub(crate) fn resolve_gateways(gateways: &[String], namespace: &str) -> Vec<Arc<str>> {
    if gateways.is_empty() {
        return vec![MESH_GATEWAY.into()];
    }
    let resolve = |gateway: &String| -> Arc<str> {
        match gateway.split_once('/') {
            None if gateway == MESH_GATEWAY => MESH_GATEWAY.into(),
            Some((".", name)) => format!("{namespace}/{name}").into(),
            Some(_) => gateway.as_str().into(),
            None => match gateway.split_once('.') {
                // The old form NAME.NAMESPACE[.svc.DOMAIN].
                Some((name, rest)) => {
                    let namespace = rest.split('.').next().unwrap_or_default();
                    format!("{namespace}/{name}").into()
                }
                None => format!("{namespace}/{gateway}").into(),
            },
        }
    };
    gateways.iter().map(resolve).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateway_references_are_resolved() {
        let resolve = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            resolve_gateways(&names, "own").join(" ")
        };
        assert_eq!(resolve(&[]), "mesh");
        assert_eq!(
            resolve(&[
                "mesh",
                "gw",
                "./gw",
                "other/gw",
                "gw.other.svc.cluster.local"
            ]),
            "mesh own/gw own/gw other/gw other/gw"
        );
    }
}
