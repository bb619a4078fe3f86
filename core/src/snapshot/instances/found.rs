//! What each source of a service's instances says: EndpointSlices, `Endpoints`, ServiceEntries and the pods that they select.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use mesh_ir::{EndpointHealth, Locality};

use super::Found;
use crate::model::{EndpointSlice, SliceConditions, WorkloadEntrySpec};
use crate::resource::{Kind, Object, Resource};
use crate::snapshot::entries::{PlannedEndpoints, endpoint_port};
use crate::snapshot::objects::Objects;
use crate::snapshot::workload_entries;
use crate::snapshot::workloads::{self, PodInfo, Workloads};
use crate::snapshot::{DnsEndpoint, Instance, MeshService, ServicePort, TargetPort, selects};

pub(super) fn add_entry(
    objects: &Objects,
    workloads: &mut Workloads<'_>,
    plan: Option<&PlannedEndpoints>,
    (service, port): (&MeshService, &ServicePort),
    found: &mut Found,
    names: &mut Vec<DnsEndpoint>,
) {
    match plan {
        Some(PlannedEndpoints::Listed { source, endpoints }) => {
            for endpoint in endpoints.iter() {
                add_entry_endpoint(workloads, service, source, port, endpoint, found, names);
            }
        }
        Some(PlannedEndpoints::Selected { labels }) => {
            for pod in objects.within(Kind::Pod, &service.namespace) {
                if selects(labels, &pod.meta.labels) {
                    add_pod(workloads, port, pod, found);
                }
            }
            add_workload_entries(objects, workloads, labels, (service, port), found, names);
        }
        None => {}
    }
}

/// WorkloadEntries of the service's namespace that a selector takes.
pub(super) fn add_workload_entries(
    objects: &Objects,
    workloads: &Workloads<'_>,
    selector: &BTreeMap<String, String>,
    (service, port): (&MeshService, &ServicePort),
    found: &mut Found,
    names: &mut Vec<DnsEndpoint>,
) {
    for (name, endpoint) in workload_entries::selected(objects, &service.namespace, selector) {
        add_entry_endpoint(workloads, service, &name, port, &endpoint, found, names);
    }
}

pub(super) fn add_slice(
    workloads: &mut Workloads<'_>,
    service: &MeshService,
    port: &ServicePort,
    slice: &EndpointSlice,
    found: &mut Found,
) {
    let ports = slice.ports.iter().flatten();
    let number = ports
        .filter(|slice_port| slice_port.name.as_deref().unwrap_or_default() == &*port.name)
        .find_map(|slice_port| u16::try_from(slice_port.port?).ok());
    let Some(number) = number else {
        return;
    };
    for endpoint in slice.endpoints.iter().flatten() {
        let Some(health) = health(endpoint.conditions) else {
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
        for &address in &endpoint.addresses {
            let pod = workloads.pod(reference, address);
            let instance = match &pod {
                Some(pod) => of_pod(pod, address, number, health),
                None => {
                    let mut locality = locality_of(workloads, endpoint.node_name.as_deref());
                    if let Some(zone) = &endpoint.zone {
                        locality.zone = Arc::from(&**zone);
                    }
                    let (workload, labels) = workloads.unknown(service);
                    Instance {
                        address,
                        port: number,
                        workload,
                        labels,
                        locality,
                        node: endpoint.node_name.as_deref().map(Arc::from),
                        health,
                        weight: 1,
                        offers_mtls: false,
                        account: None,
                    }
                }
            };
            found.insert((address, number), instance);
        }
    }
}

/// Ready unless told otherwise; terminating endpoints that still serve are draining, the others are not used.
fn health(conditions: Option<SliceConditions>) -> Option<EndpointHealth> {
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
        node: pod.node.clone(),
        health,
        weight: 1,
        offers_mtls: false,
        account: Some(pod.account.clone()),
    }
}

fn locality_of(workloads: &Workloads<'_>, node: Option<&str>) -> Locality {
    workloads.node_locality(node.unwrap_or_default())
}

pub(super) fn add_endpoints_object(
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
                    let (workload, labels) = workloads.unknown(service);
                    Instance {
                        address,
                        port: number,
                        workload,
                        labels,
                        locality: locality_of(workloads, listed.node_name.as_deref()),
                        node: listed.node_name.as_deref().map(Arc::from),
                        health: EndpointHealth::Healthy,
                        weight: 1,
                        offers_mtls: false,
                        account: None,
                    }
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
    let number = endpoint_port(endpoint, port);
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
            node: None,
            health: EndpointHealth::Healthy,
            weight,
            offers_mtls: false,
            account: endpoint
                .service_account
                .as_deref()
                .filter(|name| !name.is_empty())
                .map(|name| workloads::account(&service.namespace, name)),
        },
    );
}
