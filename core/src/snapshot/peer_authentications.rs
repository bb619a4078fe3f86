//! PeerAuthentications, and what they make of a workload's ports.
//!
//! ```text
//! workload (selector) -> namespace -> mesh (root namespace) -> PERMISSIVE
//! ```
//!
//! The first that says a mode decides; of several for the same the oldest counts. Selectors of the root namespace, and ports without a
//! selector, select nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh_ir::PersistentMap;
use mesh_ir::policy::PeerAuthenticationMode;

use super::build::oldest_first;
use super::objects::Objects;
use super::{ChangeSet, selects};
use crate::model::{MutualTls, MutualTlsMode, PeerAuthenticationSpec};
use crate::resource::{Kind, Object};

/// All policies by namespace.
#[derive(Clone, Debug, Default)]
pub(super) struct PeerAuthentications {
    root: Arc<str>,
    by_namespace: PersistentMap<Arc<str>, Arc<Policies>>,
}

/// The policies of a namespace.
#[derive(Clone, Debug, Default)]
struct Policies {
    /// For the whole namespace: the oldest without a selector.
    namespace: Option<Arc<PeerAuthenticationSpec>>,
    /// Those with a selector, the oldest first.
    workloads: Vec<Arc<PeerAuthenticationSpec>>,
}

/// How the ports of a workload are connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerAuthentication {
    /// The mode of all ports but these.
    pub mode: PeerAuthenticationMode,
    /// The modes of single ports of the workload.
    pub ports: BTreeMap<u16, PeerAuthenticationMode>,
}

// === impl PeerAuthentications ===

impl PeerAuthentications {
    pub(super) fn new(root: &str) -> Self {
        Self {
            root: root.into(),
            by_namespace: PersistentMap::default(),
        }
    }

    /// Brings the policies up to date; gives the namespaces whose workloads may have other modes, or the root namespace for all.
    pub(super) fn update(&mut self, changes: &ChangeSet, objects: &Objects) -> BTreeSet<Arc<str>> {
        let changed = changes.of(Kind::PeerAuthentication);
        let namespaces: BTreeSet<Arc<str>> =
            changed.map(|(key, _)| key.namespace.clone()).collect();
        for namespace in &namespaces {
            let policies = Policies::of(objects, namespace);
            if policies.namespace.is_none() && policies.workloads.is_empty() {
                self.by_namespace.remove(namespace);
            } else {
                let policies = Arc::new(policies);
                self.by_namespace.insert(namespace.clone(), policies);
            }
        }
        namespaces
    }

    /// Whether a namespace is the one whose policies are for the whole mesh.
    pub(super) fn is_root(&self, namespace: &str) -> bool {
        *self.root == *namespace
    }

    /// What is in force for the workloads of a namespace that have these labels.
    pub(super) fn of_workload(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> PeerAuthentication {
        let own = self.by_namespace.get(namespace);
        let workload = own
            .filter(|_| !self.is_root(namespace))
            .and_then(|policies| policies.for_labels(labels));
        let of_mesh = self.by_namespace.get(&*self.root);
        let namespaces = own.into_iter().chain(of_mesh);
        let general = namespaces.filter_map(|policies| policies.namespace.as_ref());
        let mode = workload
            .into_iter()
            .chain(general)
            .find_map(|policy| mode(policy.mtls.as_ref()?))
            .unwrap_or_default();
        let ports = workload.into_iter().flat_map(|spec| &spec.port_level_mtls);
        let ports = ports.filter_map(|(port, mtls)| {
            let port = port.parse().ok().filter(|port| *port != 0)?;
            Some((port, self::mode(mtls)?))
        });
        PeerAuthentication {
            mode,
            ports: ports.collect(),
        }
    }
}

// === impl Policies ===

impl Policies {
    fn of(objects: &Objects, namespace: &str) -> Self {
        let mut policies = Self::default();
        for resource in oldest_first(objects.within(Kind::PeerAuthentication, namespace)) {
            let Object::PeerAuthentication(spec) = &resource.object else {
                continue;
            };
            let selector = spec.selector.as_ref();
            if selector.is_some_and(|selector| !selector.match_labels.is_empty()) {
                policies.workloads.push(spec.clone());
            } else {
                policies.namespace.get_or_insert_with(|| spec.clone());
            }
        }
        policies
    }

    fn for_labels(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> Option<&Arc<PeerAuthenticationSpec>> {
        self.workloads.iter().find(|spec| {
            let selector = spec.selector.as_ref();
            selector.is_some_and(|selector| selects(&selector.match_labels, labels))
        })
    }
}

/// The mode that is said; none if it is inherited.
fn mode(mtls: &MutualTls) -> Option<PeerAuthenticationMode> {
    match mtls.mode? {
        MutualTlsMode::Unset => None,
        MutualTlsMode::Disable => Some(PeerAuthenticationMode::Disable),
        MutualTlsMode::Permissive => Some(PeerAuthenticationMode::Permissive),
        MutualTlsMode::Strict => Some(PeerAuthenticationMode::Strict),
    }
}

// === impl PeerAuthentication ===

impl PeerAuthentication {
    /// The mode of a port of the workload.
    pub fn of_port(&self, port: u16) -> PeerAuthenticationMode {
        self.ports.get(&port).copied().unwrap_or(self.mode)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::snapshot;
    use super::*;
    use PeerAuthenticationMode::{Disable, Permissive, Strict};

    const MESH: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: mesh, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
---
# Selectors of the root namespace are ignored.
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: a-selector, namespace: istio-system}
spec: {selector: {matchLabels: {app: web}}, mtls: {mode: DISABLE}}
---
";
    const NAMESPACE: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: younger, namespace: shop, creationTimestamp: '2024-01-02T00:00:00Z'}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: zzz-older, namespace: shop, creationTimestamp: '2024-01-01T00:00:00Z'}
spec: {mtls: {mode: PERMISSIVE}}
---
";
    const WORKLOAD: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  mtls: {mode: MODE}
  portLevelMtls: {8080: {mode: DISABLE}, 9090: {mode: UNSET}, 9091: {}}
---
";

    /// The mode of the workload `web` of the namespace `shop`, and those of its ports 8080 and 9090.
    #[track_caller]
    fn check(text: &str, expect: [PeerAuthenticationMode; 3]) {
        let (snapshot, _) = snapshot(text);
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let found = snapshot.peer_authentication("shop", &labels);
        assert_eq!(
            [found.mode, found.of_port(8080), found.of_port(9090)],
            expect
        );
        assert_eq!(found.of_port(9091), found.mode);
    }

    #[test]
    fn the_workloads_policy_comes_before_the_namespaces_and_the_meshs() {
        let strict = WORKLOAD.replace("MODE", "STRICT");
        check("", [Permissive; 3]);
        check(MESH, [Strict; 3]);
        check(&[MESH, NAMESPACE].concat(), [Permissive; 3]);
        check(
            &[MESH, NAMESPACE, &strict].concat(),
            [Strict, Disable, Strict],
        );
        check(&strict, [Strict, Disable, Strict]);
    }

    #[test]
    fn what_is_unset_is_inherited() {
        let unset = WORKLOAD.replace("MODE", "UNSET");
        check(&[MESH, &unset].concat(), [Strict, Disable, Strict]);
        check(
            &[MESH, NAMESPACE, &unset].concat(),
            [Permissive, Disable, Permissive],
        );
        let inherits = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: all, namespace: shop}
spec: {}
---
";
        check(&[MESH, inherits].concat(), [Strict; 3]);
    }

    #[test]
    fn a_policy_is_for_the_workloads_that_it_selects_in_its_own_namespace() {
        let (snapshot, _) = snapshot(&WORKLOAD.replace("MODE", "STRICT"));
        let labels = |app: &str| BTreeMap::from([("app".to_owned(), app.to_owned())]);
        for (namespace, app) in [("shop", "other"), ("other", "web")] {
            let found = snapshot.peer_authentication(namespace, &labels(app));
            assert_eq!(found, PeerAuthentication::default(), "{namespace} {app}");
        }
    }
}
