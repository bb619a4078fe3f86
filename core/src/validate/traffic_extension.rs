//! `TrafficExtension`. Bounds and the choice between WebAssembly and Lua are the schema's.

use super::policy::check_targets;
use super::{At, Violations};
use crate::model::TrafficExtensionSpec;

pub(crate) fn check(object: &TrafficExtensionSpec, at: &At<'_>, violations: &mut Violations) {
    let targets = &object.target_refs;
    check_targets(object.selector.as_ref(), None, targets, at, violations);
}
