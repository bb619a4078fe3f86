//! HTTP rules of a `VirtualService`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::common::{
    duration, gateway_names, header_name, labels, percent, port, regex, string_match, weights,
};
use super::names::{fqdn, is_ip};
use super::virtual_service::{check_destination, check_namespace};
use super::{At, Violations, fault_injection};
use crate::model::{
    Destination, HeaderOperations, Headers, HttpDirectResponse, HttpMatchRequest, HttpRedirect,
    HttpRetry, HttpRewrite, HttpRoute, StringMatch,
};

/// Failures that `retryOn` knows.
const RETRY_ON: &[&str] = &[
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

pub(super) fn check(
    route: &HttpRoute,
    in_delegate: bool,
    at: &At<'_>,
    violations: &mut Violations,
) {
    check_action(route, in_delegate, at, violations);
    for (position, condition) in route.matches.iter().enumerate() {
        check_match(condition, &at.key("match").index(position), violations);
    }
    let destinations = at.key("route");
    for (position, entry) in route.route.iter().enumerate() {
        let at = destinations.index(position);
        check_destination(&entry.destination, &at.key("destination"), violations);
        check_headers(entry.headers.as_ref(), &at.key("headers"), violations);
    }
    let all: Vec<Option<i32>> = route.route.iter().map(|entry| entry.weight).collect();
    weights(&all, &destinations, violations);
    if let Some(redirect) = &route.redirect {
        check_redirect(redirect, &at.key("redirect"), violations);
    }
    if let Some(response) = &route.direct_response {
        check_direct_response(response, &at.key("directResponse"), violations);
    }
    if let Some(rewrite) = &route.rewrite {
        check_rewrite(rewrite, &at.key("rewrite"), violations);
    }
    if let Some(timeout) = route.timeout {
        violations.check(&at.key("timeout"), duration(timeout, true));
    }
    if let Some(retries) = &route.retries {
        check_retries(retries, &at.key("retries"), violations);
    }
    check_mirrors(route, at, violations);
    if let Some(fault) = &route.fault {
        fault_injection::check(fault, &at.key("fault"), violations);
    }
    if let Some(cors) = &route.cors_policy {
        check_cors(cors, &at.key("corsPolicy"), violations);
    }
    check_headers(route.headers.as_ref(), &at.key("headers"), violations);
}

/// A rule does exactly one thing: forward, redirect, answer, or leave it to a delegate.
fn check_action(route: &HttpRoute, in_delegate: bool, at: &At<'_>, violations: &mut Violations) {
    let actions: Vec<&str> = [
        ("route", !route.route.is_empty()),
        ("redirect", route.redirect.is_some()),
        ("directResponse", route.direct_response.is_some()),
        ("delegate", route.delegate.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, given)| given.then_some(name))
    .collect();
    match actions.as_slice() {
        [] => violations.add_hint(
            at,
            "the rule does nothing: a route, redirect or directResponse is missing",
            "add route with at least one destination",
        ),
        [_] => {}
        [first, others @ ..] => {
            for other in others {
                let message = format!("a rule cannot have both {first} and {other}");
                violations.add(&at.key(other), message);
            }
        }
    }
    let answered = actions
        .iter()
        .find(|name| ["redirect", "directResponse"].contains(name));
    if let Some(action) = answered {
        for (name, given) in [
            ("fault", route.fault.is_some()),
            ("rewrite", route.rewrite.is_some()),
        ] {
            if given {
                let message = format!("a rule cannot have both {action} and {name}");
                violations.add(&at.key(name), message);
            }
        }
    }
    if let Some(delegate) = &route.delegate {
        let at = at.key("delegate");
        if in_delegate {
            violations.add(&at, "a delegate cannot delegate again");
        }
        if delegate.name.is_empty() {
            violations.add(&at, "the delegate's name is missing");
        }
        check_namespace(
            delegate.namespace.as_deref(),
            &at.key("namespace"),
            violations,
        );
    }
}

fn check_match(condition: &HttpMatchRequest, at: &At<'_>, violations: &mut Violations) {
    let HttpMatchRequest {
        name: _,
        uri,
        scheme,
        method,
        authority,
        headers,
        without_headers,
        query_params,
        ignore_uri_case: _,
        port: number,
        source_labels,
        source_namespace,
        gateways,
        stat_prefix: _,
    } = condition;
    for (key, text) in [
        ("uri", uri),
        ("scheme", scheme),
        ("method", method),
        ("authority", authority),
    ] {
        if let Some(text) = text {
            let at = at.key(key);
            if *text == StringMatch::default() {
                violations.add(&at, "one of exact, prefix and regex is missing");
            }
            string_match(text, &at, violations);
        }
    }
    check_header_matches(headers, &at.key("headers"), violations);
    check_header_matches(without_headers, &at.key("withoutHeaders"), violations);
    for (key, text) in query_params {
        let params = at.key("queryParams");
        let at = params.key(key);
        if key.is_empty() {
            violations.add(&at, "the name of a query parameter is missing");
        }
        string_match(text, &at, violations);
    }
    if let Some(number) = number {
        violations.check(&at.key("port"), port(*number));
    }
    labels(source_labels, &at.key("sourceLabels"), violations);
    check_namespace(
        source_namespace.as_deref(),
        &at.key("sourceNamespace"),
        violations,
    );
    gateway_names(gateways, &at.key("gateways"), violations);
}

fn check_header_matches(
    headers: &BTreeMap<String, StringMatch>,
    at: &At<'_>,
    violations: &mut Violations,
) {
    for (name, text) in headers {
        let at = at.key(name);
        // `@request.auth.claims.x` stands for a claim of a token.
        if !name.starts_with('@') {
            violations.check(&at, header_name(name));
        }
        string_match(text, &at, violations);
    }
}

fn check_redirect(redirect: &HttpRedirect, at: &At<'_>, violations: &mut Violations) {
    if *redirect == HttpRedirect::default() {
        violations.add(
            at,
            "a redirect needs uri, authority, port, scheme or redirectCode",
        );
    }
    let HttpRedirect {
        uri: _,
        authority,
        port: number,
        derive_port,
        scheme,
        redirect_code,
    } = redirect;
    if let Some(code) = redirect_code
        && ![301, 302, 303, 307, 308].contains(code)
    {
        let message = format!("{code} is not a redirect code; 301, 302, 303, 307 and 308 are");
        violations.add(&at.key("redirectCode"), message);
    }
    check_authority(authority.as_deref(), &at.key("authority"), violations);
    if let Some(number) = number {
        violations.check(&at.key("port"), port(*number));
    }
    if let Some(derive) = derive_port {
        let at = at.key("derivePort");
        if number.is_some() {
            violations.add(&at, "only one of port and derivePort can be set");
        }
        if !["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"].contains(&derive.as_str()) {
            let message =
                format!("{derive:?} is neither FROM_PROTOCOL_DEFAULT nor FROM_REQUEST_PORT");
            violations.add(&at, message);
        }
    }
    if let Some(scheme) = scheme
        && !["http", "https"].contains(&scheme.as_str())
    {
        violations.add(
            &at.key("scheme"),
            format!("{scheme:?} is neither http nor https"),
        );
    }
}

/// A host, perhaps with a port.
fn check_authority(authority: Option<&str>, at: &At<'_>, violations: &mut Violations) {
    let Some(authority) = authority.filter(|text| !text.is_empty()) else {
        return;
    };
    let host = match authority.rsplit_once(':') {
        Some((host, digits)) if digits.parse::<u16>().is_ok() => host,
        _ => authority,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if !is_ip(host) {
        violations.check(at, fqdn(host));
    }
}

fn check_direct_response(response: &HttpDirectResponse, at: &At<'_>, violations: &mut Violations) {
    let HttpDirectResponse { status, body } = response;
    if !(200..=599).contains(status) {
        let message = format!("status {status} is not in the range 200 to 599");
        violations.add(&at.key("status"), message);
    }
    if let Some(body) = body
        && body.string.is_some()
        && body.bytes.is_some()
    {
        violations.add(&at.key("body"), "only one of string and bytes can be set");
    }
}

fn check_rewrite(rewrite: &HttpRewrite, at: &At<'_>, violations: &mut Violations) {
    let HttpRewrite {
        uri,
        authority,
        uri_regex_rewrite,
    } = rewrite;
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    if !given(uri) && !given(authority) && uri_regex_rewrite.is_none() {
        violations.add(at, "a rewrite needs uri, authority or uriRegexRewrite");
    }
    if let Some(expression) = uri_regex_rewrite {
        let at = at.key("uriRegexRewrite");
        if given(uri) {
            violations.add(&at, "only one of uri and uriRegexRewrite can be set");
        }
        if expression.pattern.is_empty() {
            violations.add(&at, "the expression to match is missing");
        }
        violations.check(&at.key("match"), regex(&expression.pattern));
    }
    check_authority(authority.as_deref(), &at.key("authority"), violations);
}

fn check_retries(retries: &HttpRetry, at: &At<'_>, violations: &mut Violations) {
    let HttpRetry {
        attempts,
        per_try_timeout,
        retry_on,
        backoff,
        retry_remote_localities: _,
        retry_ignore_previous_hosts: _,
    } = retries;
    let retry_on = retry_on.as_deref().filter(|text| !text.is_empty());
    if *attempts < 0 {
        let message = format!("{attempts} attempts are less than none");
        violations.add(&at.key("attempts"), message);
    }
    if *attempts == 0 && (per_try_timeout.is_some() || retry_on.is_some()) {
        violations.add_hint(
            at,
            "attempts is 0, which turns retries off, but other settings of retries are given",
            "set attempts to at least 1, or leave only attempts: 0",
        );
    }
    for (key, value) in [("perTryTimeout", per_try_timeout), ("backoff", backoff)] {
        if let Some(value) = value {
            violations.check(&at.key(key), duration(*value, false));
        }
    }
    for policy in retry_on.unwrap_or_default().split(',') {
        let policy = policy.trim();
        let status = policy
            .parse::<u16>()
            .is_ok_and(|code| (100..=599).contains(&code));
        if !policy.is_empty() && !status && !RETRY_ON.contains(&policy) {
            let known = nearest(policy, RETRY_ON);
            let at = at.key("retryOn");
            let message =
                format!("{policy:?} is neither a failure that retryOn knows nor a status code");
            match known {
                Some(known) => {
                    violations.add_hint(&at, message, format!("did you mean {known:?}?"))
                }
                None => violations.add(&at, message),
            }
        }
    }
}

/// The most similar name, if one is similar enough to be a slip of the pen.
pub(super) fn nearest<'n>(name: &str, names: &[&'n str]) -> Option<&'n str> {
    const SIMILAR: f64 = 0.75;
    names
        .iter()
        .map(|known| {
            let lower =
                strsim::jaro_winkler(&name.to_ascii_lowercase(), &known.to_ascii_lowercase());
            (lower, *known)
        })
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}

fn check_mirrors(route: &HttpRoute, at: &At<'_>, violations: &mut Violations) {
    if let Some(mirror) = &route.mirror {
        check_destination(mirror, &at.key("mirror"), violations);
        if !route.mirrors.is_empty() {
            violations.add(
                &at.key("mirrors"),
                "only one of mirror and mirrors can be set",
            );
        }
    }
    if let Some(share) = &route.mirror_percentage {
        violations.check(
            &at.key("mirrorPercentage").key("value"),
            percent(share.value),
        );
    }
    for (position, mirror) in route.mirrors.iter().enumerate() {
        let mirrors = at.key("mirrors");
        let at = mirrors.index(position);
        let destination = at.key("destination");
        match mirror.get("destination").map(Destination::deserialize) {
            Some(Ok(target)) => check_destination(&target, &destination, violations),
            Some(Err(error)) => violations.add(&destination, error.to_string()),
            None => violations.add(&at, "the destination is missing"),
        }
        fault_injection::check_percentage(mirror, &at, violations);
    }
}

fn check_cors(cors: &Value, at: &At<'_>, violations: &mut Violations) {
    let origins = cors.get("allowOrigins").and_then(Value::as_array);
    for (position, origin) in origins.into_iter().flatten().enumerate() {
        let key = at.key("allowOrigins");
        let at = key.index(position);
        if let Some(pattern) = origin.get("regex").and_then(Value::as_str) {
            violations.check(&at.key("regex"), regex(pattern));
        }
    }
    for key in ["allowHeaders", "exposeHeaders"] {
        let names = cors.get(key).and_then(Value::as_array);
        for (position, name) in names.into_iter().flatten().enumerate() {
            if let Some(name) = name.as_str().filter(|name| *name != "*") {
                violations.check(&at.key(key).index(position), header_name(name));
            }
        }
    }
    fault_injection::check_duration(cors, "maxAge", at, violations);
}

fn check_headers(headers: Option<&Headers>, at: &At<'_>, violations: &mut Violations) {
    let Some(Headers { request, response }) = headers else {
        return;
    };
    for (key, operations) in [("request", request), ("response", response)] {
        let at = at.key(key);
        let Some(HeaderOperations { set, add, remove }) = operations else {
            continue;
        };
        for (key, headers) in [("set", set), ("add", add)] {
            for name in headers.keys() {
                violations.check(&at.key(key).key(name), operation_name(name));
            }
        }
        for (position, name) in remove.iter().enumerate() {
            violations.check(&at.key("remove").index(position), operation_name(name));
        }
    }
}

/// A header that rules may change. Pseudo headers may be set, but have an effect only as `:authority`.
fn operation_name(name: &str) -> Result<(), String> {
    header_name(name.strip_prefix(':').unwrap_or(name))
}
