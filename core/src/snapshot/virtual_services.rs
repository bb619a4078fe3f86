//! VirtualServices with their hosts, gateways and delegates resolved, in the order in which they are candidates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh_ir::PersistentMap;

use super::labels::source_labels;
use super::visibility::visibility;
use super::{ChangeSet, HostMap, Visibility, expand_host};
use crate::model::{Delegate, MeshConfig, VirtualServiceSpec};
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
    /// The objects without hosts that its rules delegate to, as far as they exist.
    pub delegates: BTreeMap<ResourceKey, Arc<MeshVirtualService>>,
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
    /// Those without hosts, which others may delegate to.
    delegates: PersistentMap<ResourceKey, Arc<MeshVirtualService>>,
    /// Objects that delegate, by what they delegate to and by their own keys.
    roots: PersistentMap<(ResourceKey, ResourceKey), Arc<Resource>>,
}

/// What has changed.
#[derive(Debug, Default)]
pub(super) struct VirtualServiceChanges {
    /// Hosts and patterns of those that differ.
    pub(super) hosts: BTreeSet<Arc<str>>,
    /// Those that differ, and those that delegate to them.
    pub(super) objects: BTreeSet<ResourceKey>,
}

// === impl VirtualServices ===

/// What becomes of the candidates of one host.
#[derive(Default)]
struct Moved {
    gone: BTreeSet<*const MeshVirtualService>,
    new: Vec<Arc<MeshVirtualService>>,
}

type Moves = BTreeMap<Arc<str>, Moved>;

impl VirtualServices {
    /// Brings the rules up to date.
    pub(super) fn update(
        &mut self,
        changes: &ChangeSet,
        mesh: &MeshConfig,
        domain: &str,
    ) -> VirtualServiceChanges {
        let mut changed = VirtualServiceChanges::default();
        let mut moves = Moves::default();
        let mut roots = BTreeMap::new();
        for (key, change) in changes.of(Kind::VirtualService) {
            let after = change.after.as_ref();
            let after = after.and_then(|new| MeshVirtualService::new(new, mesh, domain));
            let delegate = after.filter(|new| new.hosts.is_empty()).map(Arc::new);
            let old = match &delegate {
                Some(delegate) => self.delegates.insert(key.clone(), delegate.clone()),
                None => self.delegates.remove(key),
            };
            if old.is_some() || delegate.is_some() {
                roots.extend(self.roots_of(key));
            }
        }
        for (key, change) in changes.of(Kind::VirtualService) {
            roots.remove(key);
            changed.objects.insert(key.clone());
            if let Some(old) = &change.before {
                self.remove(old, &mut changed, &mut moves);
            }
            if let Some(new) = &change.after {
                self.add(new, (mesh, domain), &mut changed, &mut moves);
            }
        }
        for (key, root) in roots {
            changed.objects.insert(key);
            self.remove(&root, &mut changed, &mut moves);
            self.add(&root, (mesh, domain), &mut changed, &mut moves);
        }
        for (host, moved) in moves {
            self.change_candidates(&host, moved);
        }
        changed
    }

    fn remove(
        &mut self,
        resource: &Arc<Resource>,
        changed: &mut VirtualServiceChanges,
        moves: &mut Moves,
    ) {
        let Some(old) = self.by_age.remove(&age(resource)) else {
            return;
        };
        let key = &resource.key;
        changed.hosts.extend(old.hosts.iter().cloned());
        for host in &old.hosts {
            self.conditional.remove(&(host.clone(), key.clone()));
            let moved = moves.entry(host.clone()).or_default();
            moved.gone.insert(Arc::as_ptr(&old));
        }
        for delegate in references(&old.spec, &key.namespace) {
            self.roots.remove(&(delegate, key.clone()));
        }
    }

    fn add(
        &mut self,
        resource: &Arc<Resource>,
        (mesh, domain): (&MeshConfig, &str),
        changed: &mut VirtualServiceChanges,
        moves: &mut Moves,
    ) {
        let Some(mut new) = MeshVirtualService::new(resource, mesh, domain) else {
            return;
        };
        let key = &resource.key;
        for delegate in references(&new.spec, &key.namespace) {
            if let Some(found) = self.delegates.get(&delegate) {
                new.delegates.insert(delegate.clone(), found.clone());
            }
            let root = (delegate, key.clone());
            self.roots.insert(root, resource.clone());
        }
        let new = Arc::new(new);
        changed.hosts.extend(new.hosts.iter().cloned());
        self.by_age.insert(age(resource), new.clone());
        for host in &new.hosts {
            if new.is_conditional() {
                self.conditional.insert((host.clone(), key.clone()), ());
            }
            if new.is_for_mesh() {
                let moved = moves.entry(host.clone()).or_default();
                // A host may be written twice.
                if moved.new.last().is_none_or(|last| !Arc::ptr_eq(last, &new)) {
                    moved.new.push(new.clone());
                }
            }
        }
    }

    /// The objects that delegate to one.
    fn roots_of(&self, delegate: &ResourceKey) -> Vec<(ResourceKey, Arc<Resource>)> {
        self.roots
            .iter_from(|(known, _)| known < delegate)
            .take_while(|((known, _), _)| known == delegate)
            .map(|((_, key), root)| (key.clone(), root.clone()))
            .collect()
    }

    /// Brings the candidates of a host up to date, all at once: a host may have thousands.
    fn change_candidates(&mut self, host: &Arc<str>, moved: Moved) {
        let known = self.candidates.get(host);
        let known = known.into_iter().flat_map(|all| all.iter().cloned());
        let mut all: Vec<Arc<MeshVirtualService>> = known
            .chain(moved.new)
            .filter(|rules| !moved.gone.contains(&Arc::as_ptr(rules)))
            .collect();
        if all.is_empty() {
            self.candidates.remove(host);
            return;
        }
        all.sort_by_cached_key(|rules| (rules.precedence(), age(&rules.resource)));
        self.candidates.insert(host, all.into());
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

/// The objects that a spec's rules delegate to.
fn references(spec: &VirtualServiceSpec, namespace: &Arc<str>) -> BTreeSet<ResourceKey> {
    let rules = spec.http.iter().filter_map(|rule| rule.delegate.as_ref());
    rules
        .map(|delegate| delegate_key(delegate, namespace))
        .collect()
}

/// The object that a rule of a namespace's object delegates to.
pub(crate) fn delegate_key(delegate: &Delegate, namespace: &Arc<str>) -> ResourceKey {
    let other = delegate
        .namespace
        .as_deref()
        .filter(|name| !name.is_empty());
    ResourceKey {
        kind: Kind::VirtualService,
        namespace: other.map_or_else(|| namespace.clone(), Arc::from),
        name: delegate.name.as_str().into(),
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
            delegates: BTreeMap::new(),
        })
    }

    /// Whether another object stands behind it, so that nobody can change it.
    pub fn is_derived(&self) -> bool {
        self.resource.origin.is_derived()
    }

    /// Whether it applies to sidecars.
    pub fn is_for_mesh(&self) -> bool {
        self.gateways
            .iter()
            .any(|gateway| &**gateway == MESH_GATEWAY)
    }

    /// Whether not all clients see it, or it does not treat all alike.
    fn is_conditional(&self) -> bool {
        let delegates = self.delegates.values().map(|delegate| &delegate.spec);
        self.visibility != Visibility::Public
            || std::iter::once(&self.spec)
                .chain(delegates)
                .any(|spec| tells_clients_apart(spec))
    }

    /// What counts before the age where several have a host: objects that only their own namespace sees come first, then those that
    /// some see, then public ones; among them those with rules that delegate come last, as in Istio.
    pub(super) fn precedence(&self) -> (u8, bool) {
        let class = match &self.visibility {
            Visibility::Public => 2,
            Visibility::Namespaces(namespaces)
                if namespaces.len() == 1 && namespaces.contains(&self.resource.key.namespace) =>
            {
                0
            }
            Visibility::Namespaces(_) => 1,
        };
        let delegates = self.spec.http.iter().any(|rule| rule.delegate.is_some());
        (class, delegates)
    }
}

fn tells_clients_apart(spec: &VirtualServiceSpec) -> bool {
    let mut http = spec.http.iter().flat_map(|rule| &rule.matches);
    let mut tls = spec.tls.iter().flat_map(|rule| &rule.matches);
    let mut tcp = spec.tcp.iter().flat_map(|rule| &rule.matches);
    source_labels(spec).any(|labels| !labels.is_empty())
        || http.any(|condition| condition.source_namespace.is_some())
        || tls.any(|condition| condition.source_namespace.is_some())
        || tcp.any(|condition| condition.source_namespace.is_some())
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
