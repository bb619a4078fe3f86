//! What runs at an address: pods with the names of their workloads, as metrics and subsets need them.
//!
//! ```text
//! address or reference -> Pod -> ReplicaSet -> Deployment
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use mesh_ir::{Locality, PersistentMap, Workload};

use super::objects::Objects;
use super::{Change, ChangeSet, MeshService};
use crate::resource::{Kind, Object, Resource, ResourceKey};

/// Says that a workload takes the mesh's mutual TLS, where its value is [`TLS_MODE_ISTIO`].
pub(crate) const TLS_MODE_LABEL: &str = "security.istio.io/tlsMode";
pub(crate) const TLS_MODE_ISTIO: &str = "istio";

const HASH_LABEL: &str = "pod-template-hash";
const REGION_LABEL: &str = "topology.kubernetes.io/region";
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
const SUBZONE_LABEL: &str = "topology.istio.io/subzone";
const CLUSTER_LABEL: &str = "topology.istio.io/cluster";
const NETWORK_LABEL: &str = "topology.istio.io/network";
/// What Istio counts the name of a node as.
pub(crate) const NODE_LABEL: &str = "kubernetes.io/hostname";
/// The labels by which a service with [`super::TrafficDistribution::SameZone`] prefers endpoints.
pub(crate) const SAME_ZONE_LABELS: [&str; 4] =
    [NETWORK_LABEL, REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL];
/// The same for [`super::TrafficDistribution::SameNode`].
pub(crate) const SAME_NODE_LABELS: [&str; 5] = [
    NETWORK_LABEL,
    REGION_LABEL,
    ZONE_LABEL,
    SUBZONE_LABEL,
    NODE_LABEL,
];
/// Overrides the node's locality: `region.zone.subzone`, since labels may not contain slashes.
const LOCALITY_LABEL: &str = "istio-locality";

/// A pod as endpoints see it.
#[derive(Clone, Debug)]
pub(super) struct PodInfo {
    pub(super) labels: Arc<BTreeMap<String, String>>,
    pub(super) workload: Workload,
    pub(super) locality: Locality,
    /// Name of its node.
    pub(super) node: Option<Arc<str>>,
    /// Its service account, `NAMESPACE/NAME`.
    pub(super) account: Arc<str>,
}

/// Pods by address; of several with one address the last by namespace and name counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Pods(PersistentMap<(IpAddr, Arc<str>, Arc<str>), Arc<Resource>>);

/// Finds pods and describes each at most once.
pub(super) struct Workloads<'a> {
    objects: &'a Objects,
    pods: Pods,
    cluster: Arc<str>,
    described: BTreeMap<ResourceKey, Arc<PodInfo>>,
    /// The last that [`Self::unknown`] gave, with the namespace and name of its service.
    unknown: Option<(Arc<str>, Arc<str>, Workload)>,
    no_labels: Arc<BTreeMap<String, String>>,
}

// === impl Pods ===

impl Pods {
    pub(super) fn update(&mut self, key: &ResourceKey, change: &Change) {
        let name = |address| (address, key.namespace.clone(), key.name.clone());
        for address in change.before.iter().flat_map(found_at) {
            self.0.remove(&name(address));
        }
        if let Some(pod) = &change.after {
            for address in found_at(pod) {
                self.0.insert(name(address), pod.clone());
            }
        }
    }

    pub(super) fn at(&self, address: IpAddr) -> Option<&Arc<Resource>> {
        self.0
            .iter_from(|(known, _, _)| *known < address)
            .take_while(|((known, _, _), _)| *known == address)
            .map(|(_, pod)| pod)
            .last()
    }
}

/// The addresses under which a pod is known as the only one there.
fn found_at(resource: &Arc<Resource>) -> Vec<IpAddr> {
    match &resource.object {
        Object::Pod(pod) if !uses_host_network(pod) && !is_over(pod) => addresses(pod),
        _ => Vec::new(),
    }
}

/// The pods of which changed objects may have changed what endpoints see of them: the pods themselves, and those of owners.
pub(super) fn concerned_pods(changes: &ChangeSet, objects: &Objects) -> Vec<Change> {
    let mut pods: Vec<Change> = changes
        .of(Kind::Pod)
        .map(|(_, change)| change.clone())
        .collect();
    for kind in [Kind::ReplicaSet, Kind::Job] {
        for (key, _) in changes.of(kind) {
            let owned = objects
                .within(Kind::Pod, &key.namespace)
                .filter(|resource| {
                    let Object::Pod(pod) = &resource.object else {
                        return false;
                    };
                    controller_of(pod.metadata.owner_references.as_deref())
                        .is_some_and(|owner| *owner.name == *key.name)
                });
            pods.extend(owned.map(|pod| Change {
                before: None,
                after: Some(pod.clone()),
            }));
        }
    }
    pods
}

/// The namespaces in which pods came, went, or have other labels or other ports.
pub(super) fn namespaces_with_other_pods(changes: &ChangeSet) -> BTreeSet<Arc<str>> {
    let seen = |pod: &Option<Arc<Resource>>| {
        let resource = pod.as_ref()?;
        let Object::Pod(pod) = &resource.object else {
            return None;
        };
        let containers = pod.spec.iter().flat_map(|spec| {
            let init = spec.init_containers.iter().flatten();
            spec.containers.iter().chain(init)
        });
        let ports: Vec<_> = containers
            .flat_map(|container| container.ports.iter().flatten())
            .map(|port| (port.name.clone(), port.container_port))
            .collect();
        Some((resource.meta.labels.clone(), ports))
    };
    changes
        .of(Kind::Pod)
        .filter(|(_, change)| seen(&change.before) != seen(&change.after))
        .map(|(key, _)| key.namespace.clone())
        .collect()
}

/// The node that a pod runs on.
pub(super) fn node(resource: &Resource) -> Option<&str> {
    match &resource.object {
        Object::Pod(pod) => pod.spec.as_ref()?.node_name.as_deref(),
        _ => None,
    }
}

// === impl Workloads ===

impl<'a> Workloads<'a> {
    pub(super) fn new(objects: &'a Objects, pods: &Pods, cluster: &str) -> Self {
        Self {
            objects,
            pods: pods.clone(),
            cluster: cluster.into(),
            described: BTreeMap::new(),
            unknown: None,
            no_labels: Arc::default(),
        }
    }

    /// The pod of a reference, or else the one with the address.
    pub(super) fn pod(
        &mut self,
        reference: Option<(&str, &str)>,
        address: IpAddr,
    ) -> Option<Arc<PodInfo>> {
        let resource = reference
            .and_then(|(namespace, name)| self.objects.find(Kind::Pod, namespace, name))
            .or_else(|| self.pods.at(address))
            .cloned()?;
        self.describe(&resource)
    }

    /// What endpoints see of a pod.
    pub(super) fn describe(&mut self, resource: &Arc<Resource>) -> Option<Arc<PodInfo>> {
        if let Some(info) = self.described.get(&resource.key) {
            return Some(info.clone());
        }
        let Object::Pod(pod) = &resource.object else {
            return None;
        };
        let name = workload_name(self.objects, resource, pod);
        let node = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.node_name.as_deref())
            .unwrap_or_default();
        let info = Arc::new(PodInfo {
            labels: Arc::new(resource.meta.labels.clone()),
            workload: self.workload(&name, &resource.key.namespace, &resource.meta.labels),
            locality: match resource.meta.labels.get(LOCALITY_LABEL) {
                Some(text) => parse_locality(text, '.'),
                None => self.node_locality(node),
            },
            node: (!node.is_empty()).then(|| node.into()),
            account: account(
                &resource.key.namespace,
                pod.spec
                    .as_ref()
                    .and_then(|spec| spec.service_account_name.as_deref())
                    .unwrap_or("default"),
            ),
        });
        self.described.insert(resource.key.clone(), info.clone());
        Some(info)
    }

    /// What stands for a workload of a service of which no pod is known: one for all of them, as there may be thousands.
    pub(super) fn unknown(
        &mut self,
        service: &MeshService,
    ) -> (Workload, Arc<BTreeMap<String, String>>) {
        let MeshService {
            namespace, name, ..
        } = service;
        let known = self.unknown.take();
        let known = known.filter(|(a, b, _)| (a, b) == (namespace, name));
        let (_, _, workload) = known.unwrap_or_else(|| {
            let workload = self.workload(name, namespace, &self.no_labels);
            (namespace.clone(), name.clone(), workload)
        });
        self.unknown = Some((namespace.clone(), name.clone(), workload.clone()));
        (workload, self.no_labels.clone())
    }

    /// The workload with its canonical names from labels.
    pub(super) fn workload(
        &self,
        name: &str,
        namespace: &Arc<str>,
        labels: &BTreeMap<String, String>,
    ) -> Workload {
        let first = |keys: [&str; 3], default: &str| -> Arc<str> {
            keys.iter()
                .find_map(|key| labels.get(*key))
                .map_or(default, String::as_str)
                .into()
        };
        Workload {
            name: name.into(),
            namespace: namespace.clone(),
            canonical_name: first(
                [
                    "service.istio.io/canonical-name",
                    "app.kubernetes.io/name",
                    "app",
                ],
                name,
            ),
            canonical_revision: first(
                [
                    "service.istio.io/canonical-revision",
                    "app.kubernetes.io/version",
                    "version",
                ],
                "latest",
            ),
            cluster: self.cluster.clone(),
        }
    }

    /// The locality of a node from its labels.
    pub(super) fn node_locality(&self, node: &str) -> Locality {
        let Some(node) = self.objects.find(Kind::Node, "", node) else {
            return Locality::default();
        };
        let label =
            |key: &str| -> Arc<str> { node.meta.labels.get(key).map_or("", String::as_str).into() };
        Locality {
            region: label(REGION_LABEL),
            zone: label(ZONE_LABEL),
            subzone: label(SUBZONE_LABEL),
        }
    }
}

/// A service account as instances name it.
pub(super) fn account(namespace: &str, name: &str) -> Arc<str> {
    [namespace, "/", name].concat().into()
}

/// Labels with those that say where something runs, as far as it is known: by these `failoverPriority` compares as well.
pub(crate) fn with_topology_labels(
    labels: &BTreeMap<String, String>,
    locality: &Locality,
    cluster: &str,
    network: &str,
) -> BTreeMap<String, String> {
    let mut all = labels.clone();
    for (key, value) in [
        (REGION_LABEL, &*locality.region),
        (ZONE_LABEL, &*locality.zone),
        (SUBZONE_LABEL, &*locality.subzone),
        (CLUSTER_LABEL, cluster),
        (NETWORK_LABEL, network),
    ] {
        if !value.is_empty() {
            all.insert(key.to_owned(), value.to_owned());
        }
    }
    all
}

/// Region, zone and subzone of a text with a separator between them.
pub(super) fn parse_locality(text: &str, separator: char) -> Locality {
    let mut parts = text.splitn(3, separator);
    let mut next = || -> Arc<str> { parts.next().unwrap_or_default().into() };
    Locality {
        region: next(),
        zone: next(),
        subzone: next(),
    }
}

/// The addresses of a pod.
pub(super) fn addresses(pod: &Pod) -> Vec<IpAddr> {
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    let more = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
    let mut addresses: Vec<IpAddr> = status
        .pod_ip
        .as_deref()
        .into_iter()
        .chain(more)
        .filter_map(|ip| ip.parse().ok())
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// The container ports of a name, of the pods whose labels are wanted.
pub(super) fn named_ports(
    objects: &Objects,
    namespace: &str,
    wanted: &dyn Fn(&BTreeMap<String, String>) -> bool,
    name: &str,
) -> BTreeSet<u16> {
    let pods = objects.within(Kind::Pod, namespace);
    let mut ports = BTreeSet::new();
    for resource in pods.filter(|pod| wanted(&pod.meta.labels)) {
        let Object::Pod(pod) = &resource.object else {
            continue;
        };
        let containers = pod.spec.iter().flat_map(|spec| {
            let init = spec.init_containers.iter().flatten();
            spec.containers.iter().chain(init)
        });
        let named = containers
            .flat_map(|container| container.ports.iter().flatten())
            .filter(|port| port.name.as_deref() == Some(name))
            .filter_map(|port| u16::try_from(port.container_port).ok());
        ports.extend(named);
    }
    ports
}

/// Whether the pod's condition `Ready` holds.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| &status.conditions);
    conditions
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn is_over(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn uses_host_network(pod: &Pod) -> bool {
    pod.spec
        .as_ref()
        .is_some_and(|spec| spec.host_network == Some(true))
}

/// The name of what owns a pod in the end, as Istio names workloads: the Deployment rather than its ReplicaSet, the CronJob
/// rather than its Job, the pod itself when it has no owner.
fn workload_name(objects: &Objects, resource: &Resource, pod: &Pod) -> String {
    let Some(owner) = controller_of(pod.metadata.owner_references.as_deref()) else {
        return resource.key.name.to_string();
    };
    let namespace = &resource.key.namespace;
    match owner.kind.as_str() {
        "ReplicaSet" => replica_set_owner(objects, namespace, &owner.name)
            .or_else(|| without_suffix(&owner.name, resource.meta.labels.get(HASH_LABEL)?)),
        "Job" => job_owner(objects, namespace, &owner.name),
        _ => None,
    }
    .unwrap_or_else(|| owner.name.clone())
}

fn controller_of(owners: Option<&[OwnerReference]>) -> Option<&OwnerReference> {
    let owners = owners?;
    owners
        .iter()
        .find(|owner| owner.controller == Some(true))
        .or_else(|| owners.first())
}

fn replica_set_owner(objects: &Objects, namespace: &str, name: &str) -> Option<String> {
    let found = objects.find(Kind::ReplicaSet, namespace, name)?;
    let Object::ReplicaSet(set) = &found.object else {
        return None;
    };
    controller_of(set.metadata.owner_references.as_deref()).map(|owner| owner.name.clone())
}

/// The CronJob of a Job: its owner where the Job is known (a control plane does not watch Jobs), or else what the name tells.
fn job_owner(objects: &Objects, namespace: &str, name: &str) -> Option<String> {
    let Some(found) = objects.find(Kind::Job, namespace, name) else {
        return cron_job_of(name).map(str::to_owned);
    };
    let Object::Job(job) = &found.object else {
        return None;
    };
    controller_of(job.metadata.owner_references.as_deref())
        .filter(|owner| owner.kind == "CronJob")
        .map(|owner| owner.name.clone())
}

/// The CronJob that a Job's name tells: Kubernetes appends the minute of the start to it, a number of 8 to 10 digits.
pub(crate) fn cron_job_of(job: &str) -> Option<&str> {
    let (name, minute) = job.rsplit_once('-')?;
    let is_minute = (8..=10).contains(&minute.len()) && minute.bytes().all(|b| b.is_ascii_digit());
    (is_minute && !name.is_empty()).then_some(name)
}

fn without_suffix(name: &str, hash: &str) -> Option<String> {
    name.strip_suffix(hash)
        .and_then(|name| name.strip_suffix('-'))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_jobs_tell_their_cron_jobs() {
        for (job, cron_job) in [
            ("report-28912345", Some("report")),
            ("nightly-report-1700000000", Some("nightly-report")),
            ("report-1234567", None),
            ("report-12345678901", None),
            ("report-2891234x", None),
            ("-28912345", None),
            ("28912345", None),
        ] {
            assert_eq!(cron_job_of(job), cron_job, "{job}");
        }
    }
}
