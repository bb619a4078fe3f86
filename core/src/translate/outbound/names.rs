//! Addresses of the services that a view sees, under all their names.

use std::net::IpAddr;

use mesh_ir::NameTable;

use super::unit::HostUnit;
use crate::snapshot::{MeshService, Resolution, Snapshot, is_wildcard};
use crate::translate::naming::host_forms;
use crate::translate::view::View;

/// The table of units in the order of their hosts. Where names of several are the same, long names win over short ones, then the first.
pub(super) fn name_table<'a>(
    view: &View<'_>,
    units: impl Iterator<Item = &'a HostUnit>,
) -> NameTable {
    let mut table = NameTable::default();
    let mut own = Vec::new();
    for unit in units {
        let Some((service, _)) = unit.service.as_ref().filter(|_| !unit.addresses.is_empty())
        else {
            continue;
        };
        // Only the shortest names differ from namespace to namespace.
        for form in host_forms(service, "", view.domain) {
            if !form.ends_with('.') {
                let hosts = &mut table.hosts;
                hosts.entry(form).or_insert_with(|| unit.addresses.clone());
            }
        }
        if *service.namespace == *view.namespace {
            own.push((service, unit));
        }
    }
    for (service, unit) in own {
        for form in host_forms(service, view.namespace, view.domain) {
            if !form.ends_with('.') {
                let hosts = &mut table.hosts;
                hosts.entry(form).or_insert_with(|| unit.addresses.clone());
            }
        }
    }
    table
}

/// The addresses of a service: those of its instances where it has none of its own; none if its name is not resolved here, because
/// it is resolved by DNS or stands for several.
pub(super) fn addresses(snapshot: &Snapshot, service: &MeshService) -> Vec<IpAddr> {
    if is_wildcard(&service.host) {
        return Vec::new();
    }
    if !service.addresses.is_empty() {
        return service.addresses.clone();
    }
    if service.resolution == Resolution::Dns {
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
