//! Everything known at one moment, immutable and indexed once.
//!
//! ```text
//! resources --> ChangeSet --next--> Snapshot { services, instances, rules by host } --> translate, analyze, shift
//! ```

mod host;
mod protocol;
mod service;

mod aliases;
mod allocation;
mod build;
mod changes;
pub(crate) mod derived;
mod destination_rules;
mod entries;
mod gateways;
mod instances;
mod key_sets;
mod kubernetes;
mod labels;
mod legacy;
mod mesh;
mod objects;
mod peer_authentications;
pub(crate) mod policy;
mod policy_targets;
mod references;
pub(crate) mod report;
mod services;
mod telemetries;
mod virtual_services;
mod visibility;
mod workload_entries;
mod workloads;

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use allocation::{Allocation, HostAddress};
use build::oldest_first;
pub use changes::{Change, ChangeSet, Difference};
pub use derived::status::{WantedStatus, statuses};
pub use destination_rules::EffectiveDestinationRule;
pub use gateways::MeshGateway;
pub use host::{HostMap, by_specificity, expand_host, host_covers, hosts_overlap, is_wildcard};
use mesh_ir::Locality;
pub use objects::Resources;
pub use peer_authentications::PeerAuthentication;
pub use policy_targets::GATEWAY_LABEL;
pub(crate) use policy_targets::PolicyTargets;
pub use protocol::{protocol_from_name, select_protocol};
pub use service::{
    Alias, DnsEndpoint, Instance, MeshService, Protocol, Registry, Resolution, ServicePort,
    TargetPort, TrafficDistribution, Visibility,
};
pub(crate) use telemetries::MeshTelemetry;
pub use virtual_services::{MESH_GATEWAY, MeshVirtualService};
pub(crate) use virtual_services::{delegate_key, resolve_gateways};
pub use visibility::visibility;
pub(crate) use workloads::{
    NODE_LABEL, SAME_NODE_LABELS, SAME_ZONE_LABELS, TLS_MODE_ISTIO, TLS_MODE_LABEL, cron_job_of,
    with_topology_labels,
};

use crate::diag::Diagnostic;
use crate::model::{Credential, MeshConfig};
use crate::resource::{Kind, Object, Resource, ResourceKey};

/// What a snapshot depends on beside its objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// DNS domain of the cluster.
    pub dns_domain: Arc<str>,
    /// Name of the cluster in workload names.
    pub cluster_id: Arc<str>,
}

/// Tells snapshots apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotId(u64);

/// Everything known at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    id: SnapshotId,
    /// The snapshot that this one was made from, and what is not as it was there.
    previous: Option<SnapshotId>,
    difference: Difference,
    options: SnapshotOptions,
    mesh: Arc<MeshConfig>,
    /// What is wrong with them.
    mesh_findings: Arc<[Diagnostic]>,
    objects: objects::Objects,
    services: services::Services,
    instances: instances::Instances,
    virtual_services: virtual_services::VirtualServices,
    destination_rules: destination_rules::DestinationRules,
    /// The oldest first.
    gateways: Arc<[Arc<MeshGateway>]>,
    relevant_labels: labels::RelevantLabels,
    key_sets: key_sets::KeySets,
    /// Gateways and VirtualServices that other objects stand for.
    derived: derived::Derived,
    /// What objects of Istio's first API versions are converted to.
    legacy: legacy::LegacyObjects,
    peer_authentications: peer_authentications::PeerAuthentications,
}

// === impl SnapshotId ===

impl SnapshotId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
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

    /// Whether the settings of the mesh are among the objects.
    pub(crate) fn has_mesh_config(&self) -> bool {
        let mut maps = self.resources(Kind::ConfigMap).iter();
        maps.any(|resource| matches!(resource.object, Object::MeshConfig(_)))
    }

    pub(crate) fn id(&self) -> SnapshotId {
        self.id
    }

    /// What is not as it was in an earlier snapshot; everything if it is not the one that this was made from.
    pub(crate) fn difference_from(&self, earlier: SnapshotId) -> Difference {
        if earlier == self.id {
            Difference::default()
        } else if self.previous == Some(earlier) {
            self.difference.clone()
        } else {
            Difference::everything()
        }
    }

    /// The objects of a kind, sorted by namespace and name.
    pub fn resources(&self, kind: Kind) -> Resources<'_> {
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

    /// All services by host, wildcards before others. A host may occur more than once; the preferred service comes first.
    pub fn services(&self) -> impl Iterator<Item = &Arc<MeshService>> {
        self.services.hosts().flat_map(|host| &host.services)
    }

    /// The services of exactly a host or pattern, the preferred one first.
    pub fn services_of(&self, host: &str) -> &[Arc<MeshService>] {
        let services = self.services.of_host(host);
        services.map_or(&[], |host| &host.services)
    }

    /// How many services there are.
    pub fn service_count(&self) -> usize {
        self.services.len()
    }

    /// The services that a namespace sees by host, one for each host (as [`Snapshot::find_service`] decides).
    pub fn services_visible_from<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Arc<MeshService>> {
        self.services
            .hosts()
            .filter_map(move |host| host.preferred(namespace))
    }

    /// The services that a namespace sees of the hosts that a host or pattern covers, one for each host.
    pub(crate) fn services_covered_by<'a>(
        &'a self,
        pattern: &'a str,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Arc<MeshService>> {
        self.services
            .covered_by(pattern)
            .filter_map(move |host| host.preferred(namespace))
    }

    /// The hosts of services, and the patterns, that a pattern covers.
    pub(crate) fn hosts_covered_by<'a>(
        &'a self,
        pattern: &'a str,
    ) -> impl Iterator<Item = &'a Arc<str>> {
        self.services.covered_by(pattern).map(|host| &host.host)
    }

    /// The service of exactly a host or pattern that a namespace sees.
    pub(crate) fn service_of(&self, host: &str, namespace: &str) -> Option<&Arc<MeshService>> {
        self.services.of_host(host)?.preferred(namespace)
    }

    /// The service of a fully qualified host that a namespace sees: of exactly this host, or else of the longest wildcard that
    /// covers it. Among several of one host Kubernetes' own comes first, then the namespace's own, then the oldest.
    pub fn find_service(&self, host: &str, namespace: &str) -> Option<&Arc<MeshService>> {
        self.services
            .matches(host)
            .find_map(|host| host.preferred(namespace))
    }

    /// The hosts that the services of a namespace have.
    pub(crate) fn hosts_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<str>> {
        self.services.hosts_in(namespace)
    }

    /// All hosts of services.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &Arc<str>> {
        self.services.hosts().map(|host| &host.host)
    }

    /// Hosts and patterns that clients of a namespace may see otherwise than clients of a namespace that nothing is said of: hosts
    /// whose services are not the same to all, and what conditional rules are about.
    pub(crate) fn conditional_hosts<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Arc<str>> {
        self.services
            .conditional()
            .chain(self.destination_rules.conditional(namespace))
            .chain(self.virtual_services.conditional())
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
                locality: Locality::default(),
                weight: 1,
            });
        }
        endpoints
    }

    /// All VirtualServices, the oldest first.
    pub fn virtual_services(&self) -> impl Iterator<Item = &Arc<MeshVirtualService>> {
        self.virtual_services.iter()
    }

    /// How many VirtualServices there are.
    pub fn virtual_service_count(&self) -> usize {
        self.virtual_services.len()
    }

    /// The VirtualServices that a namespace sees, in the order in which they win: private ones, then those exported to
    /// some namespaces, then public ones; of each those with delegates last; then the oldest first, then by name and namespace.
    pub fn virtual_services_visible_from(&self, namespace: &str) -> Vec<Arc<MeshVirtualService>> {
        let mut visible: Vec<Arc<MeshVirtualService>> = self
            .virtual_services
            .iter()
            .filter(|rules| rules.visibility.sees(namespace))
            .cloned()
            .collect();
        visible.sort_by_key(|rules| rules.precedence());
        visible
    }

    /// The VirtualService that sidecars of a namespace apply to a host: of the most specific host or pattern that has any, the first
    /// in the order of [`Self::virtual_services_visible_from`].
    pub(crate) fn rules_for_host(
        &self,
        host: &str,
        namespace: &str,
    ) -> Option<&Arc<MeshVirtualService>> {
        self.virtual_services.for_host(host, namespace)
    }

    /// The VirtualService that sidecars of a namespace apply to exactly a host or pattern.
    pub(crate) fn rules_of_host(
        &self,
        host: &str,
        namespace: &str,
    ) -> Option<&Arc<MeshVirtualService>> {
        self.virtual_services.of_host(host, namespace)
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

    /// Whether any rule or service prefers endpoints by where clients are.
    pub(crate) fn topology_matters(&self) -> bool {
        let mesh = self.mesh.locality_lb_setting();
        mesh.has_shares() || self.hosts_by_topology().next().is_some()
    }

    /// Hosts and patterns whose rules, and hosts whose services, prefer endpoints by where clients are.
    pub(crate) fn hosts_by_topology(&self) -> impl Iterator<Item = &Arc<str>> {
        let rules = self.destination_rules.by_topology();
        rules.chain(self.services.distributed())
    }

    /// Keys of the labels of clients that rules order endpoints by.
    pub(crate) fn failover_labels(&self) -> BTreeSet<&str> {
        let of_mesh = destination_rules::failover_labels(self.mesh.locality_lb_setting());
        let of_rules = self.destination_rules.failover_labels();
        let distributed = self.services.distributed().next().is_some();
        let of_services = distributed.then_some(SAME_NODE_LABELS);
        of_mesh
            .chain(of_rules)
            .chain(of_services.into_iter().flatten())
            .collect()
    }

    /// The certificates to trust that a BackendTLSPolicy names: `NAMESPACE/NAMES`.
    pub(crate) fn policy_trust(&self, name: &str) -> Result<String, String> {
        let (namespace, names) = name.split_once('/').unwrap_or_default();
        derived::backend_tls::trusted(&self.objects, namespace, names)
    }

    /// What objects of Istio's are derived from.
    pub(crate) fn deriver(&self) -> derived::Deriver<'_> {
        derived::Deriver::new(&self.objects, &self.mesh, &self.options.dns_domain)
    }

    /// What a Secret holds of certificates.
    pub(crate) fn credential(&self, namespace: &str, name: &str) -> Option<&Credential> {
        let found = self.objects.find(Kind::Secret, namespace, name)?;
        match &found.object {
            Object::Secret(credential) => Some(credential),
            _ => None,
        }
    }

    /// Names of the Secrets by which DestinationRules have proxies speak TLS.
    pub(crate) fn client_credentials(&self) -> BTreeSet<&str> {
        let rules = self.objects.of(Kind::DestinationRule).iter();
        let derived = self.derived.of(Kind::DestinationRule);
        rules
            .chain(derived)
            .filter_map(|rule| match &rule.object {
                Object::DestinationRule(spec) => Some(spec),
                _ => None,
            })
            .flat_map(|spec| spec.credentials())
            .collect()
    }

    /// The pod that alone has an address.
    pub(crate) fn pod_at(&self, address: IpAddr) -> Option<&Arc<Resource>> {
        self.instances.pod_at(address)
    }

    /// Name of the node on which the pod with an address runs.
    pub(crate) fn node_at(&self, address: IpAddr) -> Option<&str> {
        match &self.pod_at(address)?.object {
            Object::Pod(pod) => pod.spec.as_ref()?.node_name.as_deref(),
            _ => None,
        }
    }

    /// Where the pod with an address runs; none if there is no such pod.
    pub(crate) fn locality_at(&self, address: IpAddr) -> Option<Locality> {
        let cluster = &self.options.cluster_id;
        self.instances.locality_at(address, &self.objects, cluster)
    }

    /// The Gateways that a gateway pod applies, the oldest first. They may be in any namespace, but for those of the Gateway API that have pods of
    /// their own.
    pub fn gateways_for(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Vec<Arc<MeshGateway>> {
        self.gateways
            .iter()
            .filter(|gateway| gateway.is_for(namespace))
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
        let mut selecting: Vec<Arc<MeshService>> = labels
            .iter()
            .flat_map(|(key, value)| self.services.with_label(namespace, (key, value)))
            .filter(|service| selects(&service.selector, labels))
            .cloned()
            .collect();
        selecting.sort_by(|a, b| a.host.cmp(&b.host));
        selecting
    }

    /// Whether some ServiceEntry lists an address as an endpoint, or a WorkloadEntry has it.
    pub fn lists(&self, address: IpAddr) -> bool {
        let mut entries = self.instances.entries_at(address);
        self.services.listing(address).next().is_some() || entries.next().is_some()
    }

    /// The services of which ServiceEntries list an address as an endpoint or select a WorkloadEntry with it, as far as a namespace sees
    /// them: with each port that the address serves, and the number of its own port.
    pub fn services_listing(
        &self,
        address: IpAddr,
        namespace: &str,
    ) -> Vec<(Arc<MeshService>, ServicePort, u16)> {
        let hosts = self.services.listing(address);
        let listed = hosts
            .flat_map(|host| host.listing(address))
            .map(|(service, port, number)| (service.clone(), port.clone(), number));
        let entries = self.instances.entries_at(address);
        // An entry is of the namespace of its workload.
        let own = entries.filter(|entry| &*entry.key.namespace == namespace);
        let selected = own.flat_map(|entry| self.served_by(entry));
        listed
            .chain(selected)
            .filter(|(service, ..)| service.visibility.sees(namespace))
            .collect()
    }

    /// The services that select a WorkloadEntry, with each port and the number of the entry's own.
    fn served_by(&self, entry: &Resource) -> Vec<(Arc<MeshService>, ServicePort, u16)> {
        let Object::WorkloadEntry(spec) = &entry.object else {
            return Vec::new();
        };
        let labels = workload_entries::labels(entry);
        let services = self.services_selecting(&entry.key.namespace, &labels);
        let mut served = Vec::new();
        for service in services {
            for port in &service.ports {
                let number = entries::endpoint_port(spec, port);
                served.extend(number.map(|number| (service.clone(), port.clone(), number)));
            }
        }
        served
    }

    /// How the workloads of a namespace that have these labels take connections.
    pub fn peer_authentication(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> PeerAuthentication {
        self.peer_authentications.of_workload(namespace, labels)
    }

    /// Whether some rule looks at this label of clients (`sourceLabels`, `workloadSelector`): two clients of one namespace that agree
    /// on all such labels are treated alike.
    pub fn is_relevant_label(&self, key: &str, value: &str) -> bool {
        self.relevant_labels.has(key, value)
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

    pub(crate) fn shared_instances(
        &self,
        service: &MeshService,
        port: &ServicePort,
    ) -> &Arc<[Instance]> {
        self.instances.addresses(service, port)
    }

    fn dns_name(&self, service: &MeshService) -> Arc<str> {
        let external_name = self.get(&service.object).and_then(|resource| {
            let Object::Service(service) = &resource.object else {
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
