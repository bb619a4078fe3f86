//! ServiceEntries as services of the mesh: one per host; entries that agree share a host's ports.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::protocol::{protocol_from_name, select_protocol};
use super::report::{invalid, unsupported};
use super::visibility::visibility;
use super::{MeshService, Registry, Resolution, ServicePort, TargetPort, is_wildcard};
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
        let ports = self.ports(resource, spec);
        let addresses = self.addresses(resource, spec);
        for (index, host) in spec.hosts.iter().enumerate() {
            let host = host.to_ascii_lowercase();
            let path = FieldPath::parse("spec.hosts").index(index);
            let names_one = !is_wildcard(&host) || !spec.endpoints.is_empty();
            if host.is_empty() || host == "*" {
                let message = format!("host {host:?} of a ServiceEntry must have a name");
                self.diagnostics.push(invalid(resource, path, message));
                continue;
            }
            if resolution(spec) == Resolution::Dns && !names_one {
                let message = format!("host {host} has a wildcard and cannot be resolved by DNS");
                self.diagnostics.push(invalid(resource, path, message));
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

    fn ports(&mut self, resource: &Resource, spec: &ServiceEntrySpec) -> Vec<ServicePort> {
        let mut ports: Vec<ServicePort> = Vec::new();
        for (index, port) in spec.ports.iter().enumerate() {
            let path = FieldPath::parse("spec.ports").index(index);
            match entry_port(port) {
                Ok(Some(port)) if ports.iter().any(|known| known.port == port.port) => {
                    let message = format!("port {} is listed twice", port.port);
                    self.diagnostics
                        .push(invalid(resource, path.key("number"), message));
                }
                Ok(port) => ports.extend(port),
                Err((field, message)) => {
                    self.diagnostics
                        .push(invalid(resource, path.key(field), message))
                }
            }
        }
        ports
    }

    fn addresses(&mut self, resource: &Resource, spec: &ServiceEntrySpec) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        for (index, text) in spec.addresses.iter().enumerate() {
            match single_address(text) {
                Some(address) => addresses.push(address),
                None => {
                    let path = FieldPath::parse("spec.addresses").index(index);
                    self.diagnostics.push(if text.contains('/') {
                        let message =
                            format!("network {text} is not supported yet; list single addresses");
                        unsupported(resource, path, message)
                    } else {
                        invalid(resource, path, format!("{text:?} is not an address"))
                    });
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

/// The port; none for UDP. An error names the field and says what is wrong with it.
fn entry_port(port: &ServiceEntryPort) -> Result<Option<ServicePort>, (&'static str, String)> {
    let number = |field, value: u32| {
        u16::try_from(value)
            .ok()
            .filter(|value| *value > 0)
            .ok_or_else(|| (field, format!("port {value} is not between 1 and 65535")))
    };
    let own = number("number", port.number)?;
    let target = match port.target_port {
        None => own,
        Some(target) => number("targetPort", target)?,
    };
    let protocol = match port.protocol.as_deref() {
        None | Some("") => select_protocol(None, &port.name, own),
        Some(text) if text.eq_ignore_ascii_case("udp") => return Ok(None),
        Some(text) => match protocol_from_name(text) {
            Some(protocol) => protocol,
            None => {
                let message = format!(
                    "protocol {text:?} is not one of HTTP, HTTP2, GRPC, HTTPS, TLS, TCP and MONGO"
                );
                return Err(("protocol", message));
            }
        },
    };
    Ok(Some(ServicePort {
        name: port.name.as_str().into(),
        port: own,
        target: TargetPort::Number(target),
        protocol,
    }))
}
