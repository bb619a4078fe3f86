//! Addresses of the services that a namespace sees, under all their names.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use mesh_ir::NameTable;

use crate::snapshot::{MeshService, Resolution, is_wildcard};
use crate::translate::naming::host_forms;
use crate::translate::view::View;

/// The table; services without addresses of their own have those of their instances, and none if they are resolved by DNS.
pub(super) fn name_table(view: &View<'_>) -> NameTable {
    let mut hosts: BTreeMap<Arc<str>, Vec<IpAddr>> = BTreeMap::new();
    for service in view
        .services
        .iter()
        .filter(|service| !is_wildcard(&service.host))
    {
        let addresses = addresses(view, service);
        if addresses.is_empty() {
            continue;
        }
        for form in host_forms(service, view.namespace, view.domain) {
            if !form.ends_with('.') {
                hosts.entry(form).or_insert_with(|| addresses.clone());
            }
        }
    }
    NameTable { hosts }
}

fn addresses(view: &View<'_>, service: &MeshService) -> Vec<IpAddr> {
    if !service.addresses.is_empty() {
        return service.addresses.clone();
    }
    if service.resolution == Resolution::Dns {
        return Vec::new();
    }
    let mut addresses: Vec<IpAddr> = service
        .ports
        .iter()
        .flat_map(|port| view.snapshot.instances(service, port))
        .map(|instance| instance.address)
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}
