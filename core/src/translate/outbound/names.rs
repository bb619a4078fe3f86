//! Addresses of the services that a view sees, by their hosts.

use std::net::IpAddr;
use std::sync::Arc;

use mesh_ir::{NameTable, NamedHost};

use super::unit::HostUnit;
use crate::snapshot::{MeshService, Resolution, Snapshot, is_wildcard};
use crate::translate::naming::search_name;

/// The table of a namespace's services among some units; nothing if none of them is resolved.
pub(super) fn name_table<'a>(
    namespace: &Arc<str>,
    units: impl Iterator<Item = &'a HostUnit>,
) -> Option<NameTable> {
    let named = units.filter_map(|unit| Some((unit.host.clone(), unit.named()?)));
    let named = named.filter(|(_, (of, _))| *of == namespace);
    let hosts = named.map(|(host, (_, named))| (host, named.clone()));
    let table = NameTable {
        namespace: namespace.clone(),
        hosts: hosts.collect(),
    };
    (!table.hosts.is_empty()).then_some(table)
}

/// What the host of a service stands for where names are resolved.
pub(super) fn named_host(snapshot: &Snapshot, service: &MeshService, domain: &str) -> NamedHost {
    let addresses = addresses(snapshot, service);
    NamedHost {
        service: search_name(service, domain).filter(|_| !addresses.is_empty()),
        addresses,
    }
}

/// The addresses of a service: those of its instances where it has none of its own; none if its name is not resolved here, because
/// it is resolved by DNS, or stands for several that have no address in common.
fn addresses(snapshot: &Snapshot, service: &MeshService) -> Vec<IpAddr> {
    if !service.addresses.is_empty() {
        return service.addresses.clone();
    }
    if is_wildcard(&service.host) || service.resolution == Resolution::Dns {
        return Vec::new();
    }
    let ports = service.ports.iter();
    let mut addresses: Vec<IpAddr> = ports
        .flat_map(|port| snapshot.instances(service, port))
        .map(|instance| instance.address)
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}
