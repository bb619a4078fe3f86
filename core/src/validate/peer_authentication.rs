//! `PeerAuthentication`.

use super::policy::check_selector;
use super::{At, Violations};
use crate::model::PeerAuthenticationSpec;

pub(crate) fn check(object: &PeerAuthenticationSpec, at: &At<'_>, violations: &mut Violations) {
    let PeerAuthenticationSpec {
        selector,
        mtls: _,
        port_level_mtls: _,
    } = object;
    check_selector(selector.as_ref(), at, violations);
}
