//! Addresses of the services that a namespace sees, under all their names.

use std::net::IpAddr;
use std::sync::Arc;

use mesh_ir::NameTable;

use crate::snapshot::{MeshService, Resolution, is_wildcard};
use crate::translate::naming::host_forms;
use crate::translate::view::View;

/// The table; services without addresses of their own have those of their instances, and none if they are resolved by DNS.
pub(super) fn name_table(view: &View<'_>) -> NameTable {
    // Only the shortest names differ from namespace to namespace.
    let common = view.cache.names(&view.key, || common(view));
    let mut table = (*common).clone();
    let own = |service: &&Arc<MeshService>| &*service.namespace == view.namespace;
    for service in view.services.iter().filter(own) {
        for form in host_forms(service, view.namespace, view.domain) {
            if let Some(addresses) = table.hosts.get(&service.host).cloned() {
                insert(&mut table, form, &addresses);
            }
        }
    }
    table
}

fn common(view: &View<'_>) -> NameTable {
    let mut table = NameTable::default();
    for service in &view.services {
        let addresses = addresses(view, service);
        if !addresses.is_empty() && !is_wildcard(&service.host) {
            for form in host_forms(service, "", view.domain) {
                insert(&mut table, form, &addresses);
            }
        }
    }
    table
}

fn insert(table: &mut NameTable, form: Arc<str>, addresses: &[IpAddr]) {
    if !form.ends_with('.') {
        table
            .hosts
            .entry(form)
            .or_insert_with(|| addresses.to_vec());
    }
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
