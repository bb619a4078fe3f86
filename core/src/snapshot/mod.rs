//! Everything known at one moment, immutable and indexed once.
//!
//! ```text
//! resources --build--> Snapshot { services, instances, rules by host } --> translate, analyze, shift
//! ```

mod host;
mod protocol;
mod service;

mod build;
mod destination_rules;
mod entries;
mod gateways;
mod instances;
mod kubernetes;
mod mesh;
mod objects;
pub(crate) mod policy;
pub(crate) mod report;
mod virtual_services;
mod visibility;
mod workloads;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use build::oldest_first;
pub use destination_rules::EffectiveDestinationRule;
pub use gateways::MeshGateway;
pub use host::{HostMap, by_specificity, expand_host, host_covers, hosts_overlap, is_wildcard};
pub use protocol::{protocol_from_name, select_protocol};
pub use service::{
    DnsEndpoint, Instance, MeshService, Protocol, Registry, Resolution, ServicePort, TargetPort,
    Visibility,
};
pub(crate) use virtual_services::resolve_gateways;
pub use virtual_services::{MESH_GATEWAY, MeshVirtualService};
pub use visibility::visibility;
pub(crate) use workloads::cron_job_of;

use crate::model::MeshConfig;
use crate::resource::{Kind, Resource, ResourceKey};

/// What a snapshot depends on beside its objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// DNS domain of the cluster.
    pub dns_domain: Arc<str>,
    /// Name of the cluster in workload names.
    pub cluster_id: Arc<str>,
}

/// Services that select pods, by namespace and the first label of their selector.
type Selecting = BTreeMap<Arc<str>, BTreeMap<(String, String), Vec<Arc<MeshService>>>>;

/// Everything known at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    options: SnapshotOptions,
    mesh: Arc<MeshConfig>,
    objects: objects::Objects,
    /// By host; of one host in the order of preference.
    services: Vec<Arc<MeshService>>,
    by_host: HostMap<Vec<Arc<MeshService>>>,
    selecting: Selecting,
    instances: instances::Instances,
    /// The oldest first.
    virtual_services: Vec<Arc<MeshVirtualService>>,
    destination_rules: destination_rules::DestinationRules,
    /// The oldest first.
    gateways: Vec<Arc<MeshGateway>>,
    relevant_labels: BTreeSet<String>,
    treats_clients_alike: bool,
}

// === impl SnapshotOptions ===

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self {
            dns_domain: "cluster.local".into(),
            cluster_id: "Kubernetes".into(),
        }
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// What the snapshot was built with.
    pub fn options(&self) -> &SnapshotOptions {
        &self.options
    }

    /// Settings of the whole mesh; Istio's defaults when there are none.
    pub fn mesh(&self) -> &MeshConfig {
        &self.mesh
    }

    /// The objects of a kind, sorted by namespace and name.
    pub fn resources(&self, kind: Kind) -> &[Arc<Resource>] {
        self.objects.of(kind)
    }

    /// All objects, sorted by kind, namespace and name.
    pub fn all_resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.objects.all()
    }

    /// The object of a key.
    pub fn get(&self, key: &ResourceKey) -> Option<&Arc<Resource>> {
        self.objects.get(key)
    }

    /// All services, sorted by host. A host may occur more than once; the preferred service comes first.
    pub fn services(&self) -> &[Arc<MeshService>] {
        &self.services
    }

    /// The services that a namespace sees, sorted by host, one for each host (as [`Snapshot::find_service`] decides).
    pub fn services_visible_from(&self, namespace: &str) -> Vec<Arc<MeshService>> {
        let mut visible: Vec<Arc<MeshService>> = Vec::with_capacity(self.services.len());
        for same_host in self.services.chunk_by(|a, b| a.host == b.host) {
            visible.extend(preferred(same_host, namespace).cloned());
        }
        visible
    }

    /// The service of a fully qualified host that a namespace sees: of exactly this host, or else of the longest wildcard that
    /// covers it. Among several of one host Kubernetes' own comes first, then the namespace's own, then the oldest.
    pub fn find_service(&self, host: &str, namespace: &str) -> Option<&Arc<MeshService>> {
        self.by_host
            .matches(host)
            .find_map(|services| preferred(services, namespace))
    }

    /// The instances of a service port, sorted by address.
    pub fn instances(&self, service: &MeshService, port: &ServicePort) -> &[Instance] {
        self.instances.addresses(service, port)
    }

    /// The host names that the proxy resolves for a service port; empty unless the service is resolved by DNS.
    pub fn dns_endpoints(&self, service: &MeshService, port: &ServicePort) -> Vec<DnsEndpoint> {
        if service.resolution != Resolution::Dns {
            return Vec::new();
        }
        let mut endpoints = self.instances.names(service, port).to_vec();
        endpoints.extend(
            self.instances(service, port)
                .iter()
                .map(|instance| DnsEndpoint {
                    host: instance.address.to_string().into(),
                    port: instance.port,
                    labels: instance.labels.clone(),
                    locality: instance.locality.clone(),
                    weight: instance.weight,
                }),
        );
        if let (true, TargetPort::Number(number)) = (endpoints.is_empty(), &port.target) {
            endpoints.push(DnsEndpoint {
                host: self.dns_name(service),
                port: *number,
                labels: Arc::default(),
                locality: mesh_ir::Locality::default(),
                weight: 1,
            });
        }
        endpoints
    }

    /// All VirtualServices, the oldest first.
    pub fn virtual_services(&self) -> &[Arc<MeshVirtualService>] {
        &self.virtual_services
    }

    /// The VirtualServices that a namespace sees, in the order in which they win: private ones, then those exported to
    /// some namespaces, then public ones; each the oldest first, then by name and namespace.
    pub fn virtual_services_visible_from(&self, namespace: &str) -> Vec<Arc<MeshVirtualService>> {
        let mut visible: Vec<Arc<MeshVirtualService>> = self
            .virtual_services
            .iter()
            .filter(|rules| rules.visibility.sees(namespace))
            .cloned()
            .collect();
        visible.sort_by_key(|rules| rules.candidate_class());
        visible
    }

    /// The DestinationRule for a host, as a client sees it.
    pub fn destination_rule_for(
        &self,
        host: &str,
        client_namespace: &str,
        client_labels: &BTreeMap<String, String>,
        service_namespace: &str,
    ) -> Option<Arc<EffectiveDestinationRule>> {
        self.destination_rules
            .find(host, client_namespace, client_labels, service_namespace)
    }

    /// The Gateways that a gateway pod applies, the oldest first. They may be in any namespace.
    pub fn gateways_for(
        &self,
        _namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Vec<Arc<MeshGateway>> {
        self.gateways
            .iter()
            .filter(|gateway| {
                gateway.spec.selector.is_empty() || selects(&gateway.spec.selector, labels)
            })
            .cloned()
            .collect()
    }

    /// The services whose instances a pod is one of, sorted by host.
    pub fn services_selecting(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Vec<Arc<MeshService>> {
        let by_pair = self.selecting.get(namespace);
        let mut selecting: Vec<Arc<MeshService>> = labels
            .iter()
            .filter_map(|(key, value)| by_pair?.get(&(key.clone(), value.clone())))
            .flatten()
            .filter(|service| selects(&service.selector, labels))
            .cloned()
            .collect();
        selecting.sort_by(|a, b| a.host.cmp(&b.host));
        selecting
    }

    /// The labels of clients that some rule looks at (`sourceLabels`, `workloadSelector`): two clients of one namespace that
    /// agree on them are treated alike.
    pub fn relevant_labels(&self) -> &BTreeSet<String> {
        &self.relevant_labels
    }

    /// The ports of the instances with these labels: the number itself, or what the containers of pods with these labels name so
    /// (of all the service's pods when there are none with exactly these).
    pub fn target_ports(
        &self,
        service: &MeshService,
        port: &ServicePort,
        labels: &BTreeMap<String, String>,
    ) -> BTreeSet<u16> {
        match &port.target {
            TargetPort::Number(number) => BTreeSet::from([*number]),
            TargetPort::Name(name) => {
                let named = |wanted: &dyn Fn(&BTreeMap<String, String>) -> bool| {
                    workloads::named_ports(&self.objects, &service.namespace, wanted, name)
                };
                let ports = named(&|pod| pod == labels);
                if ports.is_empty() {
                    named(&|pod| selects(&service.selector, pod))
                } else {
                    ports
                }
            }
        }
    }

    /// Whether all clients see the same services with the same DestinationRules, wherever they are.
    pub(crate) fn treats_clients_alike(&self) -> bool {
        self.treats_clients_alike
    }

    pub(crate) fn shared_instances(
        &self,
        service: &MeshService,
        port: &ServicePort,
    ) -> &Arc<[Instance]> {
        self.instances.addresses(service, port)
    }

    fn dns_name(&self, service: &MeshService) -> Arc<str> {
        let external_name = self.get(&service.object).and_then(|resource| {
            let crate::resource::Object::Service(service) = &resource.object else {
                return None;
            };
            service.spec.as_ref()?.external_name.as_deref()
        });
        external_name.map_or_else(|| service.host.clone(), Arc::from)
    }
}

/// Whether a selector selects labels; an empty selector selects nothing.
pub fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    !selector.is_empty()
        && selector
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
}

/// The first choice among services of one host, which come in the order of preference.
fn preferred<'a>(
    services: &'a [Arc<MeshService>],
    namespace: &str,
) -> Option<&'a Arc<MeshService>> {
    let mut visible = services
        .iter()
        .filter(|service| service.visibility.sees(namespace));
    let first = visible.next()?;
    if first.registry == Registry::Kubernetes || &*first.namespace == namespace {
        return Some(first);
    }
    visible
        .find(|service| &*service.namespace == namespace)
        .or(Some(first))
}
