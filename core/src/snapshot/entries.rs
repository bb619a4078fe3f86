//! ServiceEntries as services of the mesh: one per host; entries that agree share a host's ports.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::kubernetes::{DISTRIBUTION_ANNOTATION, distribution};
use super::protocol::{protocol_from_name, select_protocol};
use super::report::{partial_effect, unsupported};
use super::visibility::visibility;
use super::{MeshService, Registry, Resolution, ServicePort, TargetPort, is_wildcard};
use crate::diag::{Diagnostic, FieldPath};
use crate::model::{
    MeshConfig, ServiceEntryLocation, ServiceEntryPort, ServiceEntryResolution, ServiceEntrySpec,
    WorkloadEntrySpec,
};
use crate::resource::{Object, Resource};

/// Where the endpoints of an entry's ports come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct EntryPlan {
    pub(super) by_port: BTreeMap<u16, PlannedEndpoints>,
}

/// Where the endpoints of one port come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum PlannedEndpoints {
    /// The entry lists them.
    Listed {
        source: Arc<str>,
        endpoints: Arc<[WorkloadEntrySpec]>,
    },
    /// Pods and WorkloadEntries of the entry's namespace.
    Selected {
        labels: Arc<BTreeMap<String, String>>,
    },
}

// === impl PlannedEndpoints ===

impl PlannedEndpoints {
    /// The endpoints that an entry lists.
    pub(super) fn listed(&self) -> &[WorkloadEntrySpec] {
        match self {
            Self::Listed { endpoints, .. } => endpoints,
            Self::Selected { .. } => &[],
        }
    }
}

/// The port on which an endpoint that is no pod serves a service port: its own number for the port's name, or else the target port.
pub(super) fn endpoint_port(endpoint: &WorkloadEntrySpec, port: &ServicePort) -> Option<u16> {
    match (endpoint.ports.get(&*port.name), &port.target) {
        (Some(number), _) => u16::try_from(*number).ok().filter(|number| *number > 0),
        (None, TargetPort::Number(number)) => Some(*number),
        (None, TargetPort::Name(name)) => {
            let number = endpoint.ports.get(&**name)?;
            u16::try_from(*number).ok().filter(|number| *number > 0)
        }
    }
}

/// The hosts that an entry names.
pub(super) fn hosts(spec: &ServiceEntrySpec) -> impl Iterator<Item = Arc<str>> {
    spec.hosts
        .iter()
        .map(|host| host.to_ascii_lowercase().into())
}

/// What of an entry is left out because nothing can act on it yet; nothing for other kinds.
pub(super) fn check(resource: &Resource) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    if let Object::ServiceEntry(spec) = &resource.object {
        addresses(resource, spec, &mut diagnostics);
        if spec.resolution == Some(ServiceEntryResolution::DynamicDns) {
            let message = "resolution DYNAMIC_DNS works as NONE for patterns of hosts, whose requests go to their original destination, and as DNS for others: \
                           hosts of requests are not resolved yet";
            let path = FieldPath::parse("spec.resolution");
            diagnostics.push(partial_effect(resource, path, message));
        }
    }
    diagnostics
}

/// The services that entries make of a host, with the plans for their endpoints. Entries that agree share one service, in which the
/// oldest entry decides about a port.
pub(super) fn services(
    host: &Arc<str>,
    objects: &[&Arc<Resource>],
    mesh: &MeshConfig,
) -> Vec<(MeshService, EntryPlan)> {
    let mut services: Vec<(MeshService, EntryPlan)> = Vec::new();
    for resource in super::oldest_first(objects.iter().copied()) {
        let Object::ServiceEntry(spec) = &resource.object else {
            continue;
        };
        if !names_host(resource, spec, host) {
            continue;
        }
        let service = service(resource, spec, host, mesh);
        let agrees = |(older, _): &&mut (MeshService, EntryPlan)| {
            older.namespace == service.namespace
                && older.resolution == service.resolution
                && older.selector == service.selector
                && older.external == service.external
                && older.visibility == service.visibility
        };
        let plan = planned(resource, spec);
        match services.iter_mut().find(agrees) {
            None => {
                let ports = service.ports.iter();
                let by_port = ports.map(|port| (port.port, plan.clone())).collect();
                services.push((service, EntryPlan { by_port }));
            }
            Some((older, plans)) => {
                for port in service.ports {
                    if older.ports.iter().all(|known| known.port != port.port) {
                        plans.by_port.insert(port.port, plan.clone());
                        older.ports.push(port);
                    }
                }
            }
        }
    }
    services
}

fn service(
    resource: &Resource,
    spec: &ServiceEntrySpec,
    host: &Arc<str>,
    mesh: &MeshConfig,
) -> MeshService {
    MeshService {
        name: host.clone(),
        host: host.clone(),
        namespace: resource.key.namespace.clone(),
        object: resource.key.clone(),
        registry: Registry::ServiceEntry,
        ports: ports(resource, spec),
        // What is wrong is told once for the object, by [`check`].
        addresses: addresses(resource, spec, &mut Vec::new()),
        allocated: match takes_addresses(resource, spec) {
            true => allocated(resource, host),
            false => Vec::new(),
        },
        resolution: resolution(spec, host),
        visibility: visibility(
            spec.export_to.iter().map(String::as_str),
            &mesh.default_service_export_to,
            &resource.key.namespace,
        ),
        selector: selector(spec),
        subject_alt_names: spec
            .subject_alt_names
            .iter()
            .map(|name| name.as_str().into())
            .collect(),
        external: spec.location != Some(ServiceEntryLocation::MeshInternal),
        distribution: distribution(resource.meta.annotations.get(DISTRIBUTION_ANNOTATION)),
        alias_of: None,
        aliases: Vec::new(),
        created: resource.meta.created,
    }
}

/// Whether an entry names a host, and that was not refused when the object was compiled.
fn names_host(resource: &Resource, spec: &ServiceEntrySpec, host: &str) -> bool {
    let mut named = hosts(spec).enumerate();
    !host.is_empty()
        && named.any(|(index, known)| {
            *known == *host && !resource.refuses(&FieldPath::parse("spec.hosts").index(index))
        })
}

/// The ports that were not refused when the object was compiled.
fn ports(resource: &Resource, spec: &ServiceEntrySpec) -> Vec<ServicePort> {
    let accepted = |(index, _): &(usize, &ServiceEntryPort)| {
        !resource.refuses(&FieldPath::parse("spec.ports").index(*index))
    };
    let ports = spec.ports.iter().enumerate().filter(accepted);
    ports.filter_map(|(_, port)| service_port(port)).collect()
}

fn addresses(
    resource: &Resource,
    spec: &ServiceEntrySpec,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for (index, text) in spec.addresses.iter().enumerate() {
        match single_address(text) {
            Some(address) => addresses.push(address),
            None => {
                let path = FieldPath::parse("spec.addresses").index(index);
                if !resource.refuses(&path) {
                    let message =
                        format!("network {text} is not supported yet; list single addresses");
                    diagnostics.push(unsupported(resource, path, message));
                }
            }
        }
    }
    addresses
}

/// Whether hosts of an entry are given addresses: it has none of its own, its connections do not go where they were meant to, and its
/// label does not refuse it.
pub(super) fn takes_addresses(resource: &Resource, spec: &ServiceEntrySpec) -> bool {
    const LABEL: &str = "networking.istio.io/enable-autoallocate-ip";
    let refused = resource.meta.labels.get(LABEL);
    spec.addresses.is_empty()
        && !matches!(
            spec.resolution,
            None | Some(ServiceEntryResolution::None | ServiceEntryResolution::DynamicDns)
        )
        && refused.is_none_or(|value| value != "false")
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

/// Addresses that a control plane allocated to a host, `status.addresses`.
pub(super) fn allocated(resource: &Resource, host: &str) -> Vec<IpAddr> {
    let listed = resource.raw.pointer("/status/addresses");
    listed
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .filter(|address| {
            let of = address.get("host").and_then(serde_json::Value::as_str);
            of.is_none_or(|of| of.is_empty() || of.eq_ignore_ascii_case(host))
        })
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

fn resolution(spec: &ServiceEntrySpec, host: &str) -> Resolution {
    match spec.resolution {
        None | Some(ServiceEntryResolution::None) => Resolution::Passthrough,
        // There is no such host to resolve.
        Some(ServiceEntryResolution::DynamicDns) if is_wildcard(host) => Resolution::Passthrough,
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
