//! The pods that are, or will be once the files are applied.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use rustc_hash::FxHashMap;

use crate::authz::{MAKERS, template};
use crate::resource::{Kind, Object, Resource};
use crate::snapshot::Snapshot;
use crate::source::Origin;

/// Labels.
type Labels = BTreeMap<String, String>;

/// Labels of a node that Istio adds to those of its pods.
const TOPOLOGY: [&str; 3] = [
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
];
/// Label of pods that tells their node.
const HOSTNAME: &str = "kubernetes.io/hostname";
/// Name of the proxy's container.
pub(super) const PROXY: &str = "istio-proxy";
/// Label and annotation of pods that say whether they get a proxy.
pub(super) const INJECT: &str = "sidecar.istio.io/inject";
/// Label of namespaces whose pods get a proxy.
pub(super) const INJECTION: &str = "istio-injection";
/// Label of namespaces whose pods get the proxy of a revision.
pub(super) const REVISION: &str = "istio.io/rev";

static NOTHING: Labels = Labels::new();

/// Labels of the pods of the ingress gateway that an installation has.
static INGRESS: LazyLock<Labels> =
    LazyLock::new(|| Labels::from([("istio".to_owned(), "ingressgateway".to_owned())]));

/// A pod, or the pods that an object in a file will make.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pod<'s> {
    pub(super) namespace: &'s str,
    /// Name of the pod, or of the object that makes it.
    pub(super) name: &'s str,
    pub(super) labels: &'s Labels,
    pub(super) annotations: &'s Labels,
    pub(super) spec: Option<&'s PodSpec>,
    /// The pod; none for those that will be made, and for the gateway's that is assumed.
    pub(super) resource: Option<&'s Arc<Resource>>,
    /// No object says that it is there.
    pub(super) is_assumed: bool,
}

/// All pods, with those of each label at hand.
#[derive(Debug, Default)]
pub(super) struct Pods<'s> {
    all: Vec<Pod<'s>>,
    by_label: FxHashMap<(&'s str, &'s str), Vec<usize>>,
    nodes: HashMap<&'s str, &'s Labels>,
}

// === impl Pods ===

impl<'s> Pods<'s> {
    /// The pods of a cluster, and the pods that workloads in files will have. A workload of a cluster is not counted by its
    /// template: its pods are known, and it may be scaled to none. With `ingress`, the pod of the gateway that every installation has
    /// is in this namespace.
    pub(super) fn new(snapshot: &'s Snapshot, ingress: Option<&'s str>) -> Self {
        let mut pods = Self::default();
        for node in snapshot.resources(Kind::Node) {
            pods.nodes.insert(&node.key.name, &node.meta.labels);
        }
        for pod in snapshot.resources(Kind::Pod) {
            let spec = match &pod.object {
                Object::Pod(object) => object.spec.as_ref(),
                _ => None,
            };
            pods.add(Pod {
                namespace: &pod.key.namespace,
                name: &pod.key.name,
                labels: &pod.meta.labels,
                annotations: &pod.meta.annotations,
                spec,
                resource: Some(pod),
                is_assumed: false,
            });
        }
        for kind in MAKERS {
            for maker in snapshot.resources(kind) {
                if !matches!(maker.origin, Origin::File { .. }) {
                    continue;
                }
                if let Some(template) = template(&maker.object) {
                    pods.add(Pod::made(maker, template));
                }
            }
        }
        if let Some(namespace) = ingress {
            pods.add(Pod {
                namespace,
                name: "istio-ingressgateway-dummypod",
                labels: &INGRESS,
                annotations: &NOTHING,
                spec: None,
                resource: None,
                is_assumed: true,
            });
        }
        pods
    }

    /// All of them.
    pub(super) fn all(&self) -> &[Pod<'s>] {
        &self.all
    }

    /// Those that are pods by now.
    pub(super) fn running(&self) -> impl Iterator<Item = (&'s Arc<Resource>, Pod<'s>)> {
        self.all
            .iter()
            .filter_map(|pod| Some((pod.resource?, *pod)))
    }

    /// Those with all these labels; no labels at all are had by any.
    pub(super) fn selected<'p>(
        &'p self,
        selector: &'p Labels,
    ) -> impl Iterator<Item = Pod<'s>> + 'p {
        // Of all labels that are wanted, the one that fewest pods have leads to them.
        let wanted = selector
            .iter()
            .map(|(key, value)| self.by_label.get(&(key.as_str(), value.as_str())));
        let fewest = wanted
            .map(|found| found.map_or(&[] as &[usize], Vec::as_slice))
            .min_by_key(|found| found.len());
        let candidates: Box<dyn Iterator<Item = &Pod<'s>>> = match fewest {
            None => Box::new(self.all.iter()),
            Some(found) => Box::new(found.iter().filter_map(|at| self.all.get(*at))),
        };
        candidates.filter(|pod| has(pod.labels, selector)).copied()
    }

    /// Those of a namespace with all these labels; no labels at all are had by any.
    pub(super) fn selected_in<'p>(
        &'p self,
        namespace: &'p str,
        selector: &'p Labels,
    ) -> impl Iterator<Item = Pod<'s>> + 'p {
        self.selected(selector)
            .filter(move |pod| pod.namespace == namespace)
    }

    /// Whether some pod has these labels, where the labels of a node that say where it is count for its pods as well.
    pub(super) fn any_with(&self, selector: &Labels) -> bool {
        let is_place = |key: &String| TOPOLOGY.contains(&key.as_str()) || key == HOSTNAME;
        let (places, own): (Vec<_>, Vec<_>) = selector
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .partition(|(key, _)| is_place(key));
        let own: Labels = own.into_iter().collect();
        let mut found = self.selected(&own);
        found.any(|pod| {
            places
                .iter()
                .all(|(key, value)| self.is_at(&pod, key, value))
        })
    }

    /// Whether a pod or its node has a label. A node's empty label says nothing about where it is.
    fn is_at(&self, pod: &Pod<'_>, key: &str, value: &str) -> bool {
        if let Some(own) = pod.labels.get(key) {
            return own == value;
        }
        let Some(node) = pod.spec.and_then(|spec| spec.node_name.as_deref()) else {
            return false;
        };
        if key == HOSTNAME {
            return node == value;
        }
        let labels = self.nodes.get(node);
        let found = labels.and_then(|labels| labels.get(key));
        found.is_some_and(|found| !found.is_empty() && found == value)
    }

    fn add(&mut self, pod: Pod<'s>) {
        let position = self.all.len();
        for (key, value) in pod.labels {
            let having = self.by_label.entry((key, value)).or_default();
            having.push(position);
        }
        self.all.push(pod);
    }
}

// === impl Pod ===

impl<'s> Pod<'s> {
    /// The pods that an object makes.
    pub(super) fn made(maker: &'s Arc<Resource>, template: &'s PodTemplateSpec) -> Self {
        let metadata = template.metadata.as_ref();
        let of = |labels: Option<&'s Option<Labels>>| {
            labels.and_then(Option::as_ref).unwrap_or(&NOTHING)
        };
        Self {
            namespace: &maker.key.namespace,
            name: &maker.key.name,
            labels: of(metadata.map(|metadata| &metadata.labels)),
            annotations: of(metadata.map(|metadata| &metadata.annotations)),
            spec: template.spec.as_ref(),
            resource: None,
            is_assumed: false,
        }
    }

    /// Its containers, those that run first included.
    pub(super) fn containers(&self) -> impl Iterator<Item = &'s Container> + use<'s> {
        self.spec.into_iter().flat_map(|spec| {
            let first = spec.init_containers.iter().flatten();
            spec.containers.iter().chain(first)
        })
    }

    /// Whether it has a proxy by now.
    pub(super) fn has_proxy(&self) -> bool {
        self.containers().any(is_proxy)
    }

    /// Whether a proxy stands in front of it, or will: by its own containers, label or annotation, or else by its namespace.
    pub(super) fn is_in_mesh(&self, namespaces: &Namespaces<'_>) -> bool {
        if self.has_proxy() {
            return true;
        }
        self.asks_for_proxy()
            .unwrap_or_else(|| namespaces.injects(self.namespace))
    }

    /// Whether a proxy may stand in front of it: [`Self::is_in_mesh`], or it does not say and its namespace is not at hand.
    pub(super) fn may_be_in_mesh(&self, namespaces: &Namespaces<'_>) -> bool {
        let is_open = self.asks_for_proxy().is_none() && namespaces.get(self.namespace).is_none();
        is_open || self.is_in_mesh(namespaces)
    }

    /// Whether its own label or annotation asks for a proxy; none if neither is there.
    fn asks_for_proxy(&self) -> Option<bool> {
        let own = self.labels.get(INJECT).or(self.annotations.get(INJECT));
        own.map(|value| value == "true")
    }
}

/// Labels of namespaces by name.
#[derive(Debug, Default)]
pub(super) struct Namespaces<'s>(HashMap<&'s str, &'s Arc<Resource>>);

// === impl Namespaces ===

impl<'s> Namespaces<'s> {
    pub(super) fn new(snapshot: &'s Snapshot) -> Self {
        let all = snapshot.resources(Kind::Namespace).iter();
        Self(
            all.map(|resource| (&*resource.key.name, resource))
                .collect(),
        )
    }

    /// The object of a namespace.
    pub(super) fn get(&self, name: &str) -> Option<&'s Arc<Resource>> {
        self.0.get(name).copied()
    }

    /// Whether no namespace is known.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names of all that are known.
    pub(super) fn names(&self) -> impl Iterator<Item = &'s str> {
        self.0.keys().copied()
    }

    /// Whether the pods of a namespace get a proxy where they do not say.
    fn injects(&self, name: &str) -> bool {
        let Some(namespace) = self.get(name) else {
            return false;
        };
        let labels = &namespace.meta.labels;
        match labels.get(INJECTION) {
            Some(value) => value == "enabled",
            None => labels.contains_key(REVISION),
        }
    }
}

/// Whether a container is a proxy with an image.
pub(super) fn is_proxy(container: &Container) -> bool {
    container.name == PROXY
        && container
            .image
            .as_ref()
            .is_some_and(|image| !image.is_empty())
}

/// Whether labels contain all that are wanted; nothing wanted is contained in any.
pub(super) fn has(labels: &Labels, wanted: &Labels) -> bool {
    wanted
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

/// Labels as kubectl's selectors write them: `app=web,version=v1`.
pub(super) fn selector_text(labels: &Labels) -> String {
    let parts: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    parts.join(",")
}
