//! `EnvoyFilter`.

use mesh_envoy::{InvalidMessage, Segment, from_json};
use serde_json::{Map, Value};

use super::common::{REGEX_LENGTH, regex};
use super::policy::{at_most_one, check_target_refs, check_workload_selector};
use super::{At, Violations};
use crate::model::{
    ApplyTo, EnvoyConfigObjectMatch, EnvoyConfigObjectPatch, EnvoyFilterSpec, EnvoyPatch,
    FilterMatch, PatchContext, PatchOperation,
};

/// Names of the filter that has HTTP filters inside, the current one first.
const HTTP_CONNECTION_MANAGER: [&str; 2] = [
    "envoy.filters.network.http_connection_manager",
    "envoy.http_connection_manager",
];

pub(crate) fn check(object: &EnvoyFilterSpec, at: &At<'_>, violations: &mut Violations) {
    let EnvoyFilterSpec {
        workload_selector,
        target_refs,
        config_patches,
        priority: _,
    } = object;
    check_workload_selector(workload_selector.as_ref(), at, violations);
    check_target_refs(target_refs, at, violations);
    for (position, patch) in config_patches.iter().enumerate() {
        let key = at.key("configPatches");
        check_patch(patch, &key.index(position), violations);
    }
}

fn check_patch(object: &EnvoyConfigObjectPatch, at: &At<'_>, violations: &mut Violations) {
    let EnvoyConfigObjectPatch {
        apply_to,
        matches,
        patch,
    } = object;
    let context = matches.as_ref().and_then(|matches| matches.context);
    if context == Some(PatchContext::Waypoint) {
        // Waypoints are configured in another way, which the other rules do not know.
        violations.no_effect(
            &at.key("match"),
            "there are no waypoints yet; the patch has no effect",
        );
        return;
    }
    let apply_to = apply_to.filter(|apply_to| *apply_to != ApplyTo::Invalid);
    match apply_to {
        None => violations.add(&at.key("applyTo"), "applyTo is missing"),
        Some(ApplyTo::Bootstrap) => violations.no_effect(
            &at.key("applyTo"),
            "the bootstrap of proxies is not patched; the patch has no effect",
        ),
        Some(ApplyTo::ExtensionConfig) => violations.no_effect(
            &at.key("applyTo"),
            "extensions are not discovered (ECDS) yet; the patch has no effect",
        ),
        Some(_) => {}
    }
    match patch {
        None => violations.add(&at.key("patch"), "the patch is missing"),
        Some(patch) => check_value(patch, apply_to, &at.key("patch"), violations),
    }
    if let Some(matches) = matches {
        check_match(matches, apply_to, &at.key("match"), violations);
    }
}

fn check_value(
    patch: &EnvoyPatch,
    apply_to: Option<ApplyTo>,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let EnvoyPatch {
        operation,
        value,
        // Where a filter goes is said by the operation; no proxy reads its class.
        filter_class: _,
    } = patch;
    match operation {
        None | Some(PatchOperation::Invalid) => {
            violations.add(&at.key("operation"), "the operation is missing");
            return;
        }
        Some(PatchOperation::Remove) => return,
        Some(PatchOperation::MergeAndReplaceList) => violations.no_effect(
            &at.key("operation"),
            "lists are not replaced by patches yet; the patch has no effect",
        ),
        Some(_) => {}
    }
    let at = at.key("value");
    let Some(value) = value else {
        violations.add(&at, "the value is missing");
        return;
    };
    if let Some(Err(invalid)) = apply_to.map(|apply_to| encode(apply_to, value)) {
        let InvalidMessage { path, reason } = invalid;
        add_within(&path, &at, reason, violations);
    }
}

/// Reports what is wrong below a field.
fn add_within(path: &[Segment], at: &At<'_>, reason: String, violations: &mut Violations) {
    match path {
        [] => violations.add(at, reason),
        [Segment::Key(key), rest @ ..] => add_within(rest, &at.key(key), reason, violations),
        [Segment::Index(index), rest @ ..] => {
            add_within(rest, &at.index(*index), reason, violations);
        }
    }
}

/// The message that a value is for; none where no proxy is patched.
fn message(apply_to: ApplyTo) -> Option<&'static str> {
    Some(match apply_to {
        ApplyTo::Listener => "envoy.config.listener.v3.Listener",
        ApplyTo::FilterChain => "envoy.config.listener.v3.FilterChain",
        ApplyTo::ListenerFilter => "envoy.config.listener.v3.ListenerFilter",
        ApplyTo::NetworkFilter => "envoy.config.listener.v3.Filter",
        ApplyTo::HttpFilter => {
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter"
        }
        ApplyTo::RouteConfiguration => "envoy.config.route.v3.RouteConfiguration",
        ApplyTo::VirtualHost => "envoy.config.route.v3.VirtualHost",
        ApplyTo::HttpRoute => "envoy.config.route.v3.Route",
        ApplyTo::Cluster => "envoy.config.cluster.v3.Cluster",
        ApplyTo::ExtensionConfig => "envoy.config.core.v3.TypedExtensionConfig",
        ApplyTo::Invalid | ApplyTo::Bootstrap => return None,
    })
}

/// The encoded message of a value; none where no proxy is patched.
///
/// # Errors
/// When the value is no such message.
pub(crate) fn encode(
    apply_to: ApplyTo,
    value: &Map<String, Value>,
) -> Result<Option<Vec<u8>>, InvalidMessage> {
    let Some(message) = message(apply_to) else {
        return Ok(None);
    };
    let value = Value::Object(value.clone());
    from_json(message, &value).map(|encoded| Some(encoded.to_vec()))
}

/// The block of a match that objects of a kind are found by.
fn block_of(apply_to: ApplyTo) -> Option<&'static str> {
    match apply_to {
        ApplyTo::Listener | ApplyTo::FilterChain | ApplyTo::NetworkFilter | ApplyTo::HttpFilter => {
            Some("listener")
        }
        ApplyTo::RouteConfiguration | ApplyTo::VirtualHost | ApplyTo::HttpRoute => {
            Some("routeConfiguration")
        }
        ApplyTo::Cluster => Some("cluster"),
        ApplyTo::Invalid
        | ApplyTo::ExtensionConfig
        | ApplyTo::Bootstrap
        | ApplyTo::ListenerFilter => None,
    }
}

fn check_match(
    matches: &EnvoyConfigObjectMatch,
    apply_to: Option<ApplyTo>,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let EnvoyConfigObjectMatch {
        context: _,
        proxy,
        listener,
        route_configuration,
        cluster,
        waypoint,
    } = matches;
    let version = proxy
        .as_ref()
        .and_then(|proxy| proxy.proxy_version.as_deref());
    if let Some(version) = version {
        let at = at.key("proxy");
        let at = at.key("proxyVersion");
        if version.len() > REGEX_LENGTH {
            let message =
                format!("the expression is longer than {REGEX_LENGTH} bytes and does not count");
            violations.warn(&at, message);
        } else {
            violations.check(&at, regex(version));
        }
    }
    let given = [
        ("listener", listener.is_some()),
        ("routeConfiguration", route_configuration.is_some()),
        ("cluster", cluster.is_some()),
        ("waypoint", waypoint.is_some()),
    ];
    at_most_one(&given, at, violations);
    if let Some(wanted) = apply_to.and_then(block_of) {
        // Parts of waypoints are found by a block of their own, whatever they are.
        let fits = |name: &str| name == wanted || name == "waypoint";
        for (name, _) in given.iter().filter(|(name, given)| *given && !fits(name)) {
            let message = format!("what this patch applies to is found by {wanted}, not by {name}");
            violations.add(&at.key(name), message);
        }
    }
    let filter = listener
        .as_ref()
        .and_then(|listener| listener.filter_chain.as_ref())
        .and_then(|chain| chain.filter.as_ref());
    if let Some(filter) = filter {
        let at = at.key("listener");
        let at = at.key("filterChain");
        check_filter(filter, apply_to, &at.key("filter"), violations);
    }
}

fn check_filter(
    filter: &FilterMatch,
    apply_to: Option<ApplyTo>,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let FilterMatch { name, sub_filter } = filter;
    if matches!(apply_to, Some(ApplyTo::Listener | ApplyTo::FilterChain)) {
        violations.warn(
            at,
            "a filter is not looked at for listeners and filter chains",
        );
    }
    if name.is_empty() {
        violations.add(&at.key("name"), "the filter's name is missing");
    }
    let Some(inside) = sub_filter else { return };
    let at = at.key("subFilter");
    if apply_to.is_some_and(|apply_to| apply_to != ApplyTo::HttpFilter) {
        violations.add(
            &at,
            "a filter inside another can be named with applyTo HTTP_FILTER only",
        );
    } else if !name.is_empty() && !HTTP_CONNECTION_MANAGER.contains(&name.as_str()) {
        let message = format!("only {} has filters inside", HTTP_CONNECTION_MANAGER[0]);
        violations.add(&at, message);
    }
    if inside.name.is_empty() {
        violations.add(&at.key("name"), "the filter's name is missing");
    }
}
