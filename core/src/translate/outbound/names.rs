//! Addresses of the services that a view sees, by their hosts.

use std::net::IpAddr;
use std::sync::Arc;

use mesh_ir::{NameTable, NamedHost};

use super::unit::HostUnit;
use crate::snapshot::{MeshService, Resolution, is_wildcard};
use crate::translate::naming::search_name;
use crate::translate::view::View;

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
pub(super) fn named_host(view: &View<'_>, service: &MeshService) -> NamedHost {
    let addresses = addresses(view, service);
    NamedHost {
        service: search_name(service, view.domain).filter(|_| !addresses.is_empty()),
        addresses,
    }
}

/// The addresses of a service: those of its instances where it has none of its own; none if its name is not resolved here, because
/// it is resolved by DNS, or stands for several that have no address in common.
fn addresses(view: &View<'_>, service: &MeshService) -> Vec<IpAddr> {
    let own = view.addresses(service);
    if !own.is_empty() {
        return own.to_vec();
    }
    if is_wildcard(&service.host) || service.resolution == Resolution::Dns {
        return Vec::new();
    }
    let ports = service.ports.iter();
    let mut addresses: Vec<IpAddr> = ports
        .flat_map(|port| view.snapshot.instances(service, port))
        .map(|instance| instance.address)
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}
