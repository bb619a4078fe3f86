//! `WorkloadEntry`.

use super::common::labels;
use super::names::{fqdn, is_ip};
use super::{At, Violations};
use crate::model::WorkloadEntrySpec;

pub(crate) fn check(object: &WorkloadEntrySpec, at: &At<'_>, violations: &mut Violations) {
    let address = object.address.as_deref();
    if let Some(address) = address.filter(|text| !text.starts_with("unix://")) {
        let at = at.key("address");
        if address.is_empty() {
            if object.network.is_none() {
                violations.add(&at, "the address is missing");
            }
        } else if !is_ip(address) && fqdn(address).is_err() {
            violations.add(
                &at,
                format!("{address:?} is neither an address nor a host name"),
            );
        }
    }
    labels(&object.labels, &at.key("labels"), violations);
}
