//! The instances of service ports: EndpointSlices joined with pods, `Endpoints` where there are no slices, what ServiceEntries list or
//! select, and WorkloadEntries that Services select.
//!
//! Unready endpoints are left out, as Istio does unless it is told otherwise; terminating ones that still serve are draining.

mod found;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use mesh_ir::policy::PeerAuthenticationMode;
use mesh_ir::{Locality, PersistentMap};

use super::kubernetes::service_host;
use super::objects::Objects;
use super::peer_authentications::PeerAuthentications;
use super::references::{self, PodReference};
use super::services::{HostServices, Services};
use super::workload_entries::{self, WorkloadEntries};
use super::workloads::{self, Pods, Workloads};
use super::{Change, ChangeSet, DnsEndpoint, Instance, MeshService, Registry, ServicePort};
use crate::model::EndpointSlice;
use crate::resource::{Kind, Object, Resource, ResourceKey};

pub(super) const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// Instances by host, and what finds the hosts that a changed object concerns.
#[derive(Clone, Debug, Default)]
pub(super) struct Instances {
    by_host: PersistentMap<Arc<str>, Arc<HostInstances>>,
    slices: Slices,
    pods: Pods,
    /// Hosts by the pods that their endpoints refer to.
    users: PersistentMap<(PodReference, Arc<str>), ()>,
    entries: WorkloadEntries,
}

/// EndpointSlices by namespace and name of their Service, and by their own name.
pub(super) type Slices = PersistentMap<SliceKey, Arc<Resource>>;

type SliceKey = (Arc<str>, Arc<str>, Arc<str>);

/// The instances of the services of a host by the services' objects and ports.
#[derive(Debug, Default, PartialEq)]
struct HostInstances {
    ports: Vec<(ResourceKey, u16, PortInstances)>,
}

/// The instances of a service port.
#[derive(Clone, Debug, PartialEq)]
struct PortInstances {
    addresses: Arc<[Instance]>,
    names: Arc<[DnsEndpoint]>,
}

/// All that instances are made from.
#[derive(Clone, Copy)]
pub(super) struct InstanceSources<'a> {
    pub(super) objects: &'a Objects,
    pub(super) services: &'a Services,
    pub(super) peer_authentications: &'a PeerAuthentications,
    pub(super) cluster: &'a str,
    pub(super) domain: &'a str,
}

/// Instances by address and port: each counts once.
type Found = BTreeMap<(IpAddr, u16), Instance>;

// === impl Instances ===

impl Instances {
    /// Brings the instances up to date, after the services; gives the hosts whose instances differ. `hosts` are those whose services
    /// or plans for endpoints differ, `before` the objects as they were; beside the changes, the namespaces whose PeerAuthentications
    /// differ.
    pub(super) fn update(
        &mut self,
        (changes, peer_authentications): (&ChangeSet, &BTreeSet<Arc<str>>),
        before: &Objects,
        sources: InstanceSources<'_>,
        mut hosts: BTreeSet<Arc<str>>,
    ) -> BTreeSet<Arc<str>> {
        let old_slices = self.slices.clone();
        for (_, change) in changes.of(Kind::EndpointSlice) {
            hosts.extend(self.update_slice(change, sources.domain));
        }
        for (key, _) in changes.of(Kind::Endpoints) {
            hosts.insert(service_host(&key.name, &key.namespace, sources.domain));
        }
        for (key, change) in changes.of(Kind::Pod) {
            self.pods.update(key, change);
        }
        for (key, change) in changes.of(Kind::WorkloadEntry) {
            self.entries.update(key, change);
            hosts.extend(workload_entries::users(change, sources.services));
        }
        for pod in workloads::concerned_pods(changes, sources.objects) {
            hosts.extend(self.users_of(&pod, sources.services));
        }
        for (key, change) in changes.of(Kind::Node) {
            let labels =
                |node: &Option<Arc<Resource>>| node.as_ref().map(|node| node.meta.labels.clone());
            if labels(&change.before) != labels(&change.after) {
                hosts.extend(self.on_node(&key.name, sources));
            }
        }
        for namespace in peer_authentications {
            hosts.extend(self.with_workloads_of(namespace, sources));
        }
        let mut workloads = Workloads::new(sources.objects, &self.pods, sources.cluster);
        let mut changed = BTreeSet::new();
        let mut users = self.users.clone();
        for host in hosts {
            let services = sources.services.of_host(&host);
            let old = references::of_host(before, &old_slices, &host, sources.domain);
            let new = references::of_host(sources.objects, &self.slices, &host, sources.domain);
            for gone in old.difference(&new) {
                users.remove(&(gone.clone(), host.clone()));
            }
            for added in new.difference(&old) {
                users.insert((added.clone(), host.clone()), ());
            }
            let known = self.by_host.get(&host).cloned();
            let made = services
                .map(|services| self.build(services, sources, &mut workloads, known.as_deref()));
            if made.as_ref() == known.as_deref() {
                continue;
            }
            match made {
                Some(made) => self.by_host.insert(host.clone(), Arc::new(made)),
                None => self.by_host.remove(&host),
            };
            changed.insert(host);
        }
        self.users = users;
        changed
    }

    /// The pod that alone has an address.
    pub(super) fn pod_at(&self, address: IpAddr) -> Option<&Arc<Resource>> {
        self.pods.at(address)
    }

    /// Where the pod with an address runs.
    pub(super) fn locality_at(
        &self,
        address: IpAddr,
        objects: &Objects,
        cluster: &str,
    ) -> Option<Locality> {
        let pod = self.pods.at(address)?;
        let mut workloads = Workloads::new(objects, &self.pods, cluster);
        Some(workloads.describe(pod)?.locality.clone())
    }

    /// The WorkloadEntries with an address.
    pub(super) fn entries_at(&self, address: IpAddr) -> impl Iterator<Item = &Arc<Resource>> {
        self.entries.at(address)
    }

    pub(super) fn addresses(&self, service: &MeshService, port: &ServicePort) -> &Arc<[Instance]> {
        static NONE: std::sync::LazyLock<Arc<[Instance]>> =
            std::sync::LazyLock::new(|| Arc::from([]));
        self.port(service, port)
            .map_or(&NONE, |port| &port.addresses)
    }

    pub(super) fn names(&self, service: &MeshService, port: &ServicePort) -> &[DnsEndpoint] {
        self.port(service, port).map_or(&[], |port| &port.names)
    }

    fn port(&self, service: &MeshService, port: &ServicePort) -> Option<&PortInstances> {
        self.by_host
            .get(&service.host)?
            .get(&service.object, port.port)
    }

    /// Notes a slice; gives the hosts whose slice it was or is.
    fn update_slice(&mut self, change: &Change, domain: &str) -> Vec<Arc<str>> {
        let mut hosts = Vec::new();
        let service = |slice: &Arc<Resource>| {
            let service: Arc<str> = slice.meta.labels.get(SERVICE_NAME_LABEL)?.as_str().into();
            Some((slice.key.namespace.clone(), service, slice.key.name.clone()))
        };
        if let Some(key) = change.before.as_ref().and_then(service) {
            self.slices.remove(&key);
            hosts.push(service_host(&key.1, &key.0, domain));
        }
        if let Some(slice) = &change.after
            && let Some(key) = service(slice)
        {
            hosts.push(service_host(&key.1, &key.0, domain));
            self.slices.insert(key, slice.clone());
        }
        hosts
    }

    /// The hosts that have something of a pod: by reference, by address, or because they select it.
    fn users_of(&self, pod: &Change, services: &Services) -> BTreeSet<Arc<str>> {
        let mut hosts = BTreeSet::new();
        for resource in pod.both() {
            for reference in references::of_pod(resource) {
                let users = self
                    .users
                    .iter_from(|(known, _)| *known < reference)
                    .take_while(|((known, _), ())| *known == reference);
                hosts.extend(users.map(|((_, host), ())| host.clone()));
            }
            for label in &resource.meta.labels {
                let label = (label.0.as_str(), label.1.as_str());
                let selecting = services.with_label(&resource.key.namespace, label);
                // A Service's pods come by its slices.
                let selecting =
                    selecting.filter(|service| service.registry == Registry::ServiceEntry);
                hosts.extend(selecting.map(|service| service.host.clone()));
            }
        }
        hosts
    }

    /// The hosts with endpoints on a node, itself or by their pods.
    fn on_node(&self, node: &str, sources: InstanceSources<'_>) -> BTreeSet<Arc<str>> {
        let mut hosts: BTreeSet<Arc<str>> = self
            .slices
            .iter()
            .filter(|(_, slice)| match &slice.object {
                Object::EndpointSlice(slice) => slice
                    .endpoints
                    .iter()
                    .flatten()
                    .any(|endpoint| endpoint.node_name.as_deref() == Some(node)),
                _ => false,
            })
            .map(|((namespace, service, _), _)| service_host(service, namespace, sources.domain))
            .collect();
        for resource in sources.objects.of(Kind::Endpoints) {
            let key = &resource.key;
            hosts.insert(service_host(&key.name, &key.namespace, sources.domain));
        }
        for pod in sources.objects.of(Kind::Pod) {
            if workloads::node(pod) == Some(node) {
                let pod = Change {
                    before: None,
                    after: Some(pod.clone()),
                };
                hosts.extend(self.users_of(&pod, sources.services));
            }
        }
        hosts
    }

    /// The hosts of which workloads of a namespace may be instances; all of them for the root namespace, whose policies are for all.
    fn with_workloads_of(
        &self,
        namespace: &Arc<str>,
        sources: InstanceSources<'_>,
    ) -> BTreeSet<Arc<str>> {
        let InstanceSources {
            objects, services, ..
        } = sources;
        if sources.peer_authentications.is_root(namespace) {
            return services.hosts().map(|host| host.host.clone()).collect();
        }
        let mut hosts: BTreeSet<Arc<str>> = services.hosts_in(namespace).cloned().collect();
        for pod in objects.within(Kind::Pod, namespace) {
            let pod = Change {
                before: None,
                after: Some(pod.clone()),
            };
            hosts.extend(self.users_of(&pod, services));
        }
        hosts
    }

    fn build(
        &self,
        services: &HostServices,
        sources: InstanceSources<'_>,
        workloads: &mut Workloads<'_>,
        known: Option<&HostInstances>,
    ) -> HostInstances {
        let objects = sources.objects;
        let mut host = HostInstances::default();
        for (service, plan) in services.services.iter().zip(&services.plans) {
            for port in &service.ports {
                let (mut instances, mut names) = (Found::new(), Vec::new());
                match service.registry {
                    Registry::Kubernetes => {
                        self.add_kubernetes(objects, workloads, service, port, &mut instances);
                        found::add_workload_entries(
                            objects,
                            workloads,
                            &service.selector,
                            (service, port),
                            &mut instances,
                            &mut Vec::new(),
                        );
                    }
                    Registry::ServiceEntry => {
                        let plan = plan.by_port.get(&port.port);
                        found::add_entry(
                            objects,
                            workloads,
                            plan,
                            (service, port),
                            &mut instances,
                            &mut names,
                        );
                    }
                }
                if instances.is_empty() && names.is_empty() {
                    continue;
                }
                for instance in instances.values_mut() {
                    instance.offers_mtls = offers_mtls(instance, sources.peer_authentications);
                }
                let made = PortInstances {
                    addresses: instances.into_values().collect(),
                    names: names.into(),
                };
                let same = known.and_then(|known| known.get(&service.object, port.port));
                let made = match same {
                    Some(same) => same.kept_for(made),
                    None => made,
                };
                host.ports.push((service.object.clone(), port.port, made));
            }
        }
        host
    }

    fn add_kubernetes(
        &self,
        objects: &Objects,
        workloads: &mut Workloads<'_>,
        service: &MeshService,
        port: &ServicePort,
        instances: &mut Found,
    ) {
        let mut any = false;
        for slice in slices_of(&self.slices, &service.namespace, &service.name) {
            any = true;
            found::add_slice(workloads, service, port, slice, instances);
        }
        if !any {
            found::add_endpoints_object(objects, workloads, service, port, instances);
        }
    }
}

// === impl HostInstances ===

impl HostInstances {
    fn get(&self, object: &ResourceKey, port: u16) -> Option<&PortInstances> {
        let mut ports = self.ports.iter();
        let (_, _, found) = ports.find(|(known, number, _)| *number == port && known == object)?;
        Some(found)
    }
}

// === impl PortInstances ===

impl PortInstances {
    /// The same values as made newly, but those that are as they were stay the same `Arc`s.
    fn kept_for(&self, made: Self) -> Self {
        let Self { addresses, names } = made;
        Self {
            addresses: if self.addresses == addresses {
                self.addresses.clone()
            } else {
                addresses
            },
            names: if self.names == names {
                self.names.clone()
            } else {
                names
            },
        }
    }
}

/// Whether a workload has a proxy that takes the mesh's mutual TLS, on a port where that is not turned off.
fn offers_mtls(instance: &Instance, policies: &PeerAuthentications) -> bool {
    let mode = instance.labels.get(workloads::TLS_MODE_LABEL);
    let namespace = &instance.workload.namespace;
    mode.is_some_and(|mode| mode == workloads::TLS_MODE_ISTIO)
        && policies
            .of_workload(namespace, &instance.labels)
            .of_port(instance.port)
            != PeerAuthenticationMode::Disable
}

/// The slices of a Service.
pub(super) fn slices_of<'a>(
    slices: &'a Slices,
    namespace: &'a str,
    service: &'a str,
) -> impl Iterator<Item = &'a EndpointSlice> {
    slices
        .iter_from(move |(a, b, _)| (&**a, &**b) < (namespace, service))
        .take_while(move |((a, b, _), _)| (&**a, &**b) == (namespace, service))
        .filter_map(|(_, slice)| match &slice.object {
            Object::EndpointSlice(slice) => Some(&**slice),
            _ => None,
        })
}
