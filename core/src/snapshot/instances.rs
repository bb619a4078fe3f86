//! The instances of service ports: EndpointSlices joined with pods, `Endpoints` where there are no slices, and what
//! ServiceEntries list or select.
//!
//! Unready endpoints are left out, as Istio does unless it is told otherwise; terminating ones that still serve are draining.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointSlice};
use mesh_ir::{EndpointHealth, Locality};

use super::entries::{EntryPlan, PlannedEndpoints};
use super::objects::Objects;
use super::workloads::{self, PodInfo, Workloads};
use super::{DnsEndpoint, Instance, MeshService, Registry, ServicePort, TargetPort};
use crate::model::WorkloadEntrySpec;
use crate::resource::{Kind, Object, Resource, ResourceKey};

const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// Instances and names by object and service port; several hosts of one ServiceEntry share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Instances {
    addresses: BTreeMap<ResourceKey, BTreeMap<u16, Arc<[Instance]>>>,
    names: BTreeMap<ResourceKey, BTreeMap<u16, Vec<DnsEndpoint>>>,
}

type Found = BTreeMap<(IpAddr, u16), Instance>;

// === impl Instances ===

impl Instances {
    pub(super) fn build(
        objects: &Objects,
        cluster: &str,
        services: &[Arc<MeshService>],
        plans: &BTreeMap<ResourceKey, EntryPlan>,
    ) -> Self {
        let mut workloads = Workloads::new(objects, cluster);
        let slices = slices_by_service(objects);
        let mut instances = Self::default();
        for service in services {
            match service.registry {
                Registry::Kubernetes => {
                    instances.add_kubernetes(objects, &mut workloads, &slices, service);
                }
                Registry::ServiceEntry => {
                    instances.add_entry(objects, &mut workloads, plans, service);
                }
            }
        }
        instances
    }

    pub(super) fn addresses(&self, service: &MeshService, port: &ServicePort) -> &Arc<[Instance]> {
        static NONE: std::sync::LazyLock<Arc<[Instance]>> =
            std::sync::LazyLock::new(|| Arc::from([]));
        self.addresses
            .get(&service.object)
            .and_then(|ports| ports.get(&port.port))
            .unwrap_or(&NONE)
    }

    pub(super) fn names(&self, service: &MeshService, port: &ServicePort) -> &[DnsEndpoint] {
        self.names
            .get(&service.object)
            .and_then(|ports| ports.get(&port.port))
            .map_or(&[], Vec::as_slice)
    }

    fn add_kubernetes(
        &mut self,
        objects: &Objects,
        workloads: &mut Workloads<'_>,
        slices: &BTreeMap<(&str, &str), Vec<&EndpointSlice>>,
        service: &MeshService,
    ) {
        let key = (&*service.namespace, &*service.name);
        let slices = slices.get(&key).map_or(&[][..], Vec::as_slice);
        for port in &service.ports {
            let mut found = Found::new();
            for slice in slices {
                add_slice(workloads, service, port, slice, &mut found);
            }
            if slices.is_empty() {
                add_endpoints_object(objects, workloads, service, port, &mut found);
            }
            self.put(service, port, found);
        }
    }

    fn add_entry(
        &mut self,
        objects: &Objects,
        workloads: &mut Workloads<'_>,
        plans: &BTreeMap<ResourceKey, EntryPlan>,
        service: &MeshService,
    ) {
        for port in &service.ports {
            let plan = plans
                .get(&service.object)
                .and_then(|plan| plan.by_port.get(&port.port));
            let mut found = Found::new();
            match plan {
                Some(PlannedEndpoints::Listed { source, endpoints }) => {
                    let mut names = Vec::new();
                    for endpoint in endpoints.iter() {
                        add_entry_endpoint(
                            workloads, service, source, port, endpoint, &mut found, &mut names,
                        );
                    }
                    if !names.is_empty() {
                        self.names
                            .entry(service.object.clone())
                            .or_default()
                            .insert(port.port, names);
                    }
                }
                Some(PlannedEndpoints::Selected { labels }) => {
                    for pod in objects.within(Kind::Pod, &service.namespace) {
                        if super::selects(labels, &pod.meta.labels) {
                            add_pod(workloads, port, pod, &mut found);
                        }
                    }
                }
                None => {}
            }
            self.put(service, port, found);
        }
    }

    fn put(&mut self, service: &MeshService, port: &ServicePort, found: Found) {
        if !found.is_empty() {
            self.addresses
                .entry(service.object.clone())
                .or_default()
                .insert(port.port, found.into_values().collect());
        }
    }
}

fn slices_by_service(objects: &Objects) -> BTreeMap<(&str, &str), Vec<&EndpointSlice>> {
    let mut slices: BTreeMap<(&str, &str), Vec<&EndpointSlice>> = BTreeMap::new();
    for resource in objects.of(Kind::EndpointSlice) {
        if let (Object::EndpointSlice(slice), Some(service)) = (
            &resource.object,
            resource.meta.labels.get(SERVICE_NAME_LABEL),
        ) {
            slices
                .entry((&*resource.key.namespace, service))
                .or_default()
                .push(slice);
        }
    }
    slices
}

fn add_slice(
    workloads: &mut Workloads<'_>,
    service: &MeshService,
    port: &ServicePort,
    slice: &EndpointSlice,
    found: &mut Found,
) {
    let number = slice
        .ports
        .iter()
        .flatten()
        .filter(|slice_port| slice_port.name.as_deref().unwrap_or_default() == &*port.name)
        .find_map(|slice_port| u16::try_from(slice_port.port?).ok());
    let Some(number) = number else {
        return;
    };
    for endpoint in &slice.endpoints {
        let Some(health) = health(endpoint.conditions.as_ref()) else {
            continue;
        };
        let reference = endpoint
            .target_ref
            .as_ref()
            .filter(|target| target.kind.as_deref().unwrap_or("Pod") == "Pod")
            .and_then(|target| {
                let namespace = target.namespace.as_deref().unwrap_or(&service.namespace);
                Some((namespace, target.name.as_deref()?))
            });
        for address in endpoint
            .addresses
            .iter()
            .filter_map(|text| text.parse().ok())
        {
            let pod = workloads.pod(reference, address);
            let instance = match &pod {
                Some(pod) => of_pod(pod, address, number, health),
                None => of_slice(workloads, service, endpoint, address, number, health),
            };
            found.insert((address, number), instance);
        }
    }
}

/// Ready unless told otherwise; terminating endpoints that still serve are draining, the others are not used.
fn health(conditions: Option<&EndpointConditions>) -> Option<EndpointHealth> {
    let Some(conditions) = conditions else {
        return Some(EndpointHealth::Healthy);
    };
    if conditions.ready.unwrap_or(true) {
        Some(EndpointHealth::Healthy)
    } else if conditions.terminating == Some(true) && conditions.serving == Some(true) {
        Some(EndpointHealth::Draining)
    } else {
        None
    }
}

fn of_pod(pod: &PodInfo, address: IpAddr, port: u16, health: EndpointHealth) -> Instance {
    Instance {
        address,
        port,
        labels: pod.labels.clone(),
        workload: pod.workload.clone(),
        locality: pod.locality.clone(),
        health,
        weight: 1,
    }
}

fn of_slice(
    workloads: &Workloads<'_>,
    service: &MeshService,
    endpoint: &Endpoint,
    address: IpAddr,
    port: u16,
    health: EndpointHealth,
) -> Instance {
    let mut locality = workloads.node_locality(endpoint.node_name.as_deref().unwrap_or_default());
    if let Some(zone) = &endpoint.zone {
        locality.zone = zone.as_str().into();
    }
    let labels = BTreeMap::new();
    Instance {
        address,
        port,
        workload: workloads.workload(&service.name, &service.namespace, &labels),
        labels: Arc::new(labels),
        locality,
        health,
        weight: 1,
    }
}

fn add_endpoints_object(
    objects: &Objects,
    workloads: &mut Workloads<'_>,
    service: &MeshService,
    port: &ServicePort,
    found: &mut Found,
) {
    let object = objects.find(Kind::Endpoints, &service.namespace, &service.name);
    let Some(Object::Endpoints(endpoints)) = object.map(|resource| &resource.object) else {
        return;
    };
    for subset in endpoints.subsets.iter().flatten() {
        let number = subset
            .ports
            .iter()
            .flatten()
            .filter(|listed| listed.name.as_deref().unwrap_or_default() == &*port.name)
            .find_map(|listed| u16::try_from(listed.port).ok());
        let Some(number) = number else {
            continue;
        };
        for listed in subset.addresses.iter().flatten() {
            let Ok(address) = listed.ip.parse() else {
                continue;
            };
            let reference = listed.target_ref.as_ref().and_then(|target| {
                let namespace = target.namespace.as_deref().unwrap_or(&service.namespace);
                Some((namespace, target.name.as_deref()?))
            });
            let pod = workloads.pod(reference, address);
            let instance = match &pod {
                Some(pod) => of_pod(pod, address, number, EndpointHealth::Healthy),
                None => {
                    let endpoint = Endpoint {
                        node_name: listed.node_name.clone(),
                        ..Endpoint::default()
                    };
                    of_slice(
                        workloads,
                        service,
                        &endpoint,
                        address,
                        number,
                        EndpointHealth::Healthy,
                    )
                }
            };
            found.insert((address, number), instance);
        }
    }
}

fn add_pod(
    workloads: &mut Workloads<'_>,
    port: &ServicePort,
    resource: &Arc<Resource>,
    found: &mut Found,
) {
    let (Object::Pod(pod), TargetPort::Number(number)) = (&resource.object, &port.target) else {
        return;
    };
    if !workloads::is_ready(pod) {
        return;
    }
    let Some(info) = workloads.describe(resource) else {
        return;
    };
    for address in workloads::addresses(pod) {
        found.insert(
            (address, *number),
            of_pod(&info, address, *number, EndpointHealth::Healthy),
        );
    }
}

fn add_entry_endpoint(
    workloads: &Workloads<'_>,
    service: &MeshService,
    source: &Arc<str>,
    port: &ServicePort,
    endpoint: &WorkloadEntrySpec,
    found: &mut Found,
    names: &mut Vec<DnsEndpoint>,
) {
    let named = endpoint.ports.get(&*port.name).copied();
    let number = match (named, &port.target) {
        (Some(number), _) => u16::try_from(number).ok().filter(|number| *number > 0),
        (None, TargetPort::Number(number)) => Some(*number),
        (None, TargetPort::Name(_)) => None,
    };
    let (Some(number), Some(text)) = (number, endpoint.address.as_deref()) else {
        return;
    };
    let locality = endpoint
        .locality
        .as_deref()
        .map_or_else(Locality::default, |text| {
            workloads::parse_locality(text, '/')
        });
    let weight = endpoint.weight.unwrap_or(1).max(1);
    let Ok(address) = text.parse::<IpAddr>() else {
        names.push(DnsEndpoint {
            host: text.to_ascii_lowercase().into(),
            port: number,
            labels: Arc::new(endpoint.labels.clone()),
            locality,
            weight,
        });
        return;
    };
    found.insert(
        (address, number),
        Instance {
            address,
            port: number,
            workload: workloads.workload(source, &service.namespace, &endpoint.labels),
            labels: Arc::new(endpoint.labels.clone()),
            locality,
            health: EndpointHealth::Healthy,
            weight,
        },
    );
}
