//! Patches of EnvoyFilters that have no effect, or whose effect depends on the order of objects (IST0151 to IST0155).

use std::collections::BTreeSet;

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::{ApplyTo, EnvoyConfigObjectPatch, EnvoyPatch, PatchOperation};
use crate::resource::{Kind, Object};

pub(super) const RULE: Rule = Rule {
    name: "envoyfilter.EnvoyPatchAnalyzer",
    summary: "patches have an effect, and one that does not depend on the order of objects",
    codes: &["IST0151", "IST0152", "IST0153", "IST0154", "IST0155"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    // Names of what earlier patches are about that are for some versions of proxies only.
    let mut versioned: BTreeSet<String> = BTreeSet::new();
    for resource in context.snapshot.resources(Kind::EnvoyFilter) {
        let Object::EnvoyFilter(filter) = &resource.object else {
            continue;
        };
        for (position, change) in filter.config_patches.iter().enumerate() {
            // Istio reads no further than to the first entry without a patch.
            let Some(patch) = &change.patch else { break };
            let name = subject(change, patch);
            let has_priority = filter.priority.is_some_and(|priority| priority != 0);
            let is_versioned = versioned.contains(&name);
            if let Some((code, level, message, hint)) =
                problem(change, patch, has_priority, is_versioned)
            {
                let path = FieldPath::parse("spec.configPatches").index(position);
                let path = path.key("patch").key("operation");
                let mut found = finding(code, level, resource, path, message.to_owned());
                found.hint = Some(hint.to_owned());
                findings.push(found);
            }
            let proxy = change.matches.as_ref().and_then(|it| it.proxy.as_ref());
            let version = proxy.and_then(|proxy| proxy.proxy_version.as_ref());
            if version.is_some_and(|version| !version.is_empty()) {
                versioned.insert(name);
            }
        }
    }
}

/// What is wrong with a patch, and what to do.
fn problem(
    change: &EnvoyConfigObjectPatch,
    patch: &EnvoyPatch,
    has_priority: bool,
    is_versioned: bool,
) -> Option<(&'static str, Level, &'static str, &'static str)> {
    use ApplyTo::{HttpFilter, HttpRoute, NetworkFilter, RouteConfiguration, VirtualHost};
    use PatchOperation as Op;
    let of_routes = matches!(change.apply_to, Some(RouteConfiguration | HttpRoute));
    let is_relative = match patch.operation {
        Some(Op::Add) if of_routes => {
            return Some((
                "IST0153",
                Level::Error,
                "ADD has no effect on ROUTE_CONFIGURATION and HTTP_ROUTE",
                "use MERGE, or INSERT_FIRST for routes",
            ));
        }
        Some(Op::Remove) if of_routes => {
            return Some((
                "IST0154",
                Level::Error,
                "REMOVE has no effect on ROUTE_CONFIGURATION and HTTP_ROUTE",
                "change the object that makes the route instead",
            ));
        }
        Some(Op::Replace)
            if !matches!(
                change.apply_to,
                Some(NetworkFilter | HttpFilter | VirtualHost)
            ) =>
        {
            return Some((
                "IST0152",
                Level::Error,
                "REPLACE has an effect on HTTP_FILTER, NETWORK_FILTER and VIRTUAL_HOST only",
                "use MERGE",
            ));
        }
        Some(Op::Remove | Op::Replace | Op::InsertBefore | Op::InsertAfter | Op::Merge) => true,
        _ => false,
    };
    if !is_relative || has_priority {
        return None;
    }
    const HINT: &str = "set priority, or use INSERT_FIRST or ADD";
    Some(if is_versioned {
        (
            "IST0155",
            Level::Warning,
            "the operation depends on what other EnvoyFilters did before, one of which is for some versions of proxies, and the object has no priority",
            HINT,
        )
    } else {
        (
            "IST0151",
            Level::Warning,
            "the operation depends on what other EnvoyFilters did before, and the object has no priority",
            HINT,
        )
    })
}

/// The name of what a patch is about: of its value, or else of the filter that it matches. The two are not the same thing, as in
/// Istio.
fn subject(change: &EnvoyConfigObjectPatch, patch: &EnvoyPatch) -> String {
    let Some(value) = &patch.value else {
        return String::new();
    };
    if let Some(name) = value.get("name") {
        return format!("value {name}");
    }
    let listener = change.matches.as_ref().and_then(|it| it.listener.as_ref());
    let chain = listener.and_then(|listener| listener.filter_chain.as_ref());
    let filter = chain.and_then(|chain| chain.filter.as_ref());
    filter.map_or_else(String::new, |filter| format!("filter {}", filter.name))
}
