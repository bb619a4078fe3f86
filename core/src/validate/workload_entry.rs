//! `WorkloadEntry`.

use super::common::{bind_address, labels, port, port_name};
use super::names::{fqdn, is_ip};
use super::{At, Violations};
use crate::model::WorkloadEntrySpec;

pub(crate) fn check(object: &WorkloadEntrySpec, at: &At<'_>, violations: &mut Violations) {
    let address = object.address.as_deref().unwrap_or_default();
    let address_at = at.key("address");
    if address.starts_with("unix://") {
        violations.check(&address_at, bind_address(address));
        if !object.ports.is_empty() {
            violations.add(&at.key("ports"), "a Unix socket has no ports");
        }
    } else if address.is_empty() {
        if object.network.as_deref().unwrap_or_default().is_empty() {
            violations.add(&address_at, "the address is missing");
        }
    } else if !is_ip(address) && fqdn(address).is_err() {
        let message = format!("{address:?} is neither an address nor a host name");
        violations.add(&address_at, message);
    }
    for (name, number) in &object.ports {
        let key = at.key("ports");
        violations.check(&key.key(name), port_name(name).and_then(|()| port(*number)));
    }
    labels(&object.labels, &at.key("labels"), violations);
}
