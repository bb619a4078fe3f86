//! The pods that are, or will be once the files are applied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::PodTemplateSpec;

use crate::authz::{MAKERS, template};
use crate::resource::{Kind, Object, Resource};
use crate::snapshot::{Snapshot, selects};
use crate::source::Origin;

/// Labels of a node that Istio adds to those of its pods.
const TOPOLOGY: [&str; 3] = [
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
];

/// Sets of labels that pods have. Many pods share a set, so there are few.
#[derive(Debug, Default)]
pub(super) struct Workloads {
    labels: BTreeSet<BTreeMap<String, String>>,
}

impl Workloads {
    /// The pods of a cluster, and the pods that workloads in files will have. A workload of a cluster is not counted by its
    /// template: its pods are known, and it may be scaled to none.
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let mut workloads = Self::default();
        for pod in snapshot.resources(Kind::Pod) {
            workloads.add_pod(pod, snapshot);
        }
        for kind in MAKERS {
            for resource in snapshot.resources(kind) {
                if matches!(resource.origin, Origin::File { .. }) {
                    workloads.add_template(template(&resource.object));
                }
            }
        }
        workloads
    }

    /// Adds the labels of a pod that is not in the snapshot.
    pub(super) fn add(&mut self, labels: BTreeMap<String, String>) {
        self.labels.insert(labels);
    }

    /// Whether some pod has these labels; no labels at all are had by any.
    pub(super) fn any_with(&self, selector: &BTreeMap<String, String>) -> bool {
        selector.is_empty() || self.labels.iter().any(|labels| selects(selector, labels))
    }

    fn add_pod(&mut self, pod: &Arc<Resource>, snapshot: &Snapshot) {
        let mut labels = pod.meta.labels.clone();
        let node = match &pod.object {
            Object::Pod(pod) => pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()),
            _ => None,
        };
        let node = node.and_then(|name| {
            let nodes = snapshot.resources(Kind::Node);
            nodes.iter().find(|node| &*node.key.name == name)
        });
        for key in TOPOLOGY {
            let value = node.and_then(|node| node.meta.labels.get(key));
            // A node's empty label says nothing about where it is, and is not passed on to its pods.
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                labels
                    .entry(key.to_owned())
                    .or_insert_with(|| value.clone());
            }
        }
        self.labels.insert(labels);
    }

    fn add_template(&mut self, template: Option<&PodTemplateSpec>) {
        let labels = template
            .and_then(|template| template.metadata.as_ref())
            .and_then(|metadata| metadata.labels.clone());
        if let Some(labels) = labels {
            self.labels.insert(labels);
        }
    }
}
