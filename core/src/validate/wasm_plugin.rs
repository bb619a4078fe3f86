//! `WasmPlugin`.

use super::policy::check_targets;
use super::{At, Violations};
use crate::model::WasmPluginSpec;

pub(crate) fn check(object: &WasmPluginSpec, at: &At<'_>, violations: &mut Violations) {
    let (one, many) = (object.target_ref.as_ref(), &object.target_refs);
    check_targets(object.selector.as_ref(), one, many, at, violations);
}
