//! `ProxyConfig`.

use super::policy::check_selector;
use super::{At, Violations};
use crate::model::ProxyConfigSpec;

pub(crate) fn check(object: &ProxyConfigSpec, at: &At<'_>, violations: &mut Violations) {
    check_selector(object.selector.as_ref(), at, violations);
}
