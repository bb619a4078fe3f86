//! ServiceEntries as services of the mesh: one per host; entries that agree share a host's ports.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::protocol::{protocol_from_name, select_protocol};
use super::report::unsupported;
use super::visibility::visibility;
use super::{MeshService, Registry, Resolution, ServicePort, TargetPort};
use crate::diag::{Diagnostic, FieldPath};
use crate::model::{
    MeshConfig, ServiceEntryLocation, ServiceEntryPort, ServiceEntryResolution, ServiceEntrySpec,
    WorkloadEntrySpec,
};
use crate::resource::{Object, Resource, ResourceKey};

/// Where the endpoints of an entry's ports come from.
#[derive(Clone, Debug, Default)]
pub(super) struct EntryPlan {
    pub(super) by_port: BTreeMap<u16, PlannedEndpoints>,
}

/// Where the endpoints of one port come from.
#[derive(Clone, Debug)]
pub(super) enum PlannedEndpoints {
    /// The entry lists them.
    Listed {
        source: Arc<str>,
        endpoints: Arc<[WorkloadEntrySpec]>,
    },
    /// Pods of the entry's namespace.
    Selected {
        labels: Arc<BTreeMap<String, String>>,
    },
}

/// The services of all entries, with the plans for their endpoints.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) services: Vec<MeshService>,
    pub(super) plans: BTreeMap<ResourceKey, EntryPlan>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

// === impl Entries ===

impl Entries {
    pub(super) fn build(resources: &[Arc<Resource>], mesh: &MeshConfig) -> Self {
        let mut entries = Self::default();
        for resource in super::oldest_first(resources) {
            if let Object::ServiceEntry(spec) = &resource.object {
                entries.add(resource, spec, mesh);
            }
        }
        entries
    }

    fn add(&mut self, resource: &Resource, spec: &ServiceEntrySpec, mesh: &MeshConfig) {
        let ports = Self::ports(resource, spec);
        let addresses = self.addresses(resource, spec);
        for (index, host) in spec.hosts.iter().enumerate() {
            let host = host.to_ascii_lowercase();
            let path = FieldPath::parse("spec.hosts").index(index);
            if host.is_empty() || resource.refuses(&path) {
                continue;
            }
            self.add_service(
                MeshService {
                    name: host.as_str().into(),
                    host: host.into(),
                    namespace: resource.key.namespace.clone(),
                    object: resource.key.clone(),
                    registry: Registry::ServiceEntry,
                    ports: ports.clone(),
                    addresses: addresses.clone(),
                    resolution: resolution(spec),
                    visibility: visibility(
                        spec.export_to.iter().map(String::as_str),
                        &mesh.default_service_export_to,
                        &resource.key.namespace,
                    ),
                    selector: selector(spec),
                    external: spec.location != Some(ServiceEntryLocation::MeshInternal),
                    created: resource.meta.created,
                },
                &planned(resource, spec),
            );
        }
    }

    /// Adds a service, or its ports to an older one of the same host that it agrees with.
    fn add_service(&mut self, service: MeshService, planned: &PlannedEndpoints) {
        let older = self.services.iter_mut().find(|older| {
            older.host == service.host
                && older.namespace == service.namespace
                && older.resolution == service.resolution
                && older.selector == service.selector
                && older.external == service.external
                && older.visibility == service.visibility
        });
        let numbers = service.ports.iter().map(|port| port.port);
        let object = older
            .as_ref()
            .map_or(&service.object, |older| &older.object);
        let plan = self.plans.entry(object.clone()).or_default();
        for number in numbers {
            plan.by_port
                .entry(number)
                .or_insert_with(|| planned.clone());
        }
        match older {
            None => self.services.push(service),
            Some(older) => {
                for port in service.ports {
                    if older.ports.iter().all(|known| known.port != port.port) {
                        older.ports.push(port);
                    }
                }
            }
        }
    }

    /// The ports that were not refused when the object was compiled.
    fn ports(resource: &Resource, spec: &ServiceEntrySpec) -> Vec<ServicePort> {
        let accepted = |(index, _): &(usize, &ServiceEntryPort)| {
            !resource.refuses(&FieldPath::parse("spec.ports").index(*index))
        };
        let ports = spec.ports.iter().enumerate().filter(accepted);
        ports.filter_map(|(_, port)| service_port(port)).collect()
    }

    fn addresses(&mut self, resource: &Resource, spec: &ServiceEntrySpec) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        for (index, text) in spec.addresses.iter().enumerate() {
            match single_address(text) {
                Some(address) => addresses.push(address),
                None => {
                    let path = FieldPath::parse("spec.addresses").index(index);
                    if !resource.refuses(&path) {
                        let message =
                            format!("network {text} is not supported yet; list single addresses");
                        let found = unsupported(resource, path, message);
                        self.diagnostics.push(found);
                    }
                }
            }
        }
        if addresses.is_empty() {
            addresses = allocated(resource);
        }
        addresses
    }
}

/// An address, or a network of exactly one: `/32` for IPv4, `/128` for IPv6.
fn single_address(text: &str) -> Option<IpAddr> {
    let Some((address, length)) = text.split_once('/') else {
        return text.parse().ok();
    };
    let address: IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { "32" } else { "128" };
    (length == bits).then_some(address)
}

/// Addresses that a control plane allocated, `status.addresses`.
fn allocated(resource: &Resource) -> Vec<IpAddr> {
    let listed = resource.raw.pointer("/status/addresses");
    listed
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|address| address.get("value")?.as_str()?.parse().ok())
        .collect()
}

fn planned(resource: &Resource, spec: &ServiceEntrySpec) -> PlannedEndpoints {
    match &spec.workload_selector {
        Some(selector) => PlannedEndpoints::Selected {
            labels: Arc::new(selector.labels.clone()),
        },
        None => PlannedEndpoints::Listed {
            source: resource.key.name.clone(),
            endpoints: spec.endpoints.as_slice().into(),
        },
    }
}

fn selector(spec: &ServiceEntrySpec) -> BTreeMap<String, String> {
    spec.workload_selector
        .as_ref()
        .map(|selector| selector.labels.clone())
        .unwrap_or_default()
}

fn resolution(spec: &ServiceEntrySpec) -> Resolution {
    match spec.resolution {
        None | Some(ServiceEntryResolution::None) => Resolution::Passthrough,
        Some(ServiceEntryResolution::Static) => Resolution::Endpoints,
        Some(
            ServiceEntryResolution::Dns
            | ServiceEntryResolution::DnsRoundRobin
            | ServiceEntryResolution::DynamicDns,
        ) => Resolution::Dns,
    }
}

/// The port; none for UDP, and for numbers and protocols that compiling the object refuses.
fn service_port(port: &ServiceEntryPort) -> Option<ServicePort> {
    let number = |value: u32| u16::try_from(value).ok().filter(|value| *value > 0);
    let own = number(port.number)?;
    let protocol = match port.protocol.as_deref() {
        None | Some("") => select_protocol(None, &port.name, own),
        Some(text) => protocol_from_name(text)?,
    };
    Some(ServicePort {
        name: port.name.as_str().into(),
        port: own,
        target: TargetPort::Number(port.target_port.map_or(Some(own), number)?),
        protocol,
    })
}
