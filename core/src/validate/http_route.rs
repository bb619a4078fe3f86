//! HTTP rules of a `VirtualService`.

use std::collections::BTreeMap;

use base64::Engine as _;
use mesh_ir::RetryOn;

use super::common::{
    duration, gateway_names, header_name, labels, percent, port, regex, string_match, weights,
};
use super::virtual_service::{check_destination, check_namespace};
use super::{At, Violations, cors, fault_injection, headers};
use crate::model::{
    HttpBody, HttpDirectResponse, HttpMatchRequest, HttpMirrorPolicy, HttpRedirect, HttpRetry,
    HttpRewrite, HttpRoute, StringMatch,
};

/// Parts of a request that HTTP/2 writes as headers.
const PSEUDO_HEADERS: [&str; 5] = [":method", ":scheme", ":authority", ":path", ":status"];

/// Body of a direct response in bytes from which it weighs on the control plane.
const LARGE_BODY: usize = 100 << 10;

/// Largest body of a direct response in bytes, as Istio limits it.
const MAX_BODY: usize = 1 << 20;

/// What holds for all HTTP rules of an object.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The object is a delegate of others.
    pub(super) in_delegate: bool,
    /// All its rules are for gateways, which alone know the claims of tokens when they route.
    pub(super) for_gateways: bool,
}

pub(super) fn check(route: &HttpRoute, place: Place, at: &At<'_>, violations: &mut Violations) {
    check_action(route, place.in_delegate, at, violations);
    for (position, condition) in route.matches.iter().enumerate() {
        let key = at.key("match");
        let at = key.index(position);
        check_match(condition, place, &at, violations);
    }
    let destinations = at.key("route");
    for (position, entry) in route.route.iter().enumerate() {
        let at = destinations.index(position);
        check_destination(&entry.destination, &at.key("destination"), violations);
        headers::check(entry.headers.as_ref(), &at.key("headers"), violations);
    }
    let all: Vec<Option<i32>> = route.route.iter().map(|entry| entry.weight).collect();
    weights(&all, &destinations, violations);
    if let Some(redirect) = &route.redirect {
        let redirect_at = at.key("redirect");
        check_redirect(redirect, &redirect_at, violations);
        check_prefix(redirect, &route.matches, &redirect_at, violations);
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
        cors::check(cors, &at.key("corsPolicy"), violations);
    }
    headers::check(route.headers.as_ref(), &at.key("headers"), violations);
    headers::check_host(
        route.rewrite.as_ref(),
        route.headers.as_ref(),
        at,
        violations,
    );
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

fn check_match(
    condition: &HttpMatchRequest,
    place: Place,
    at: &At<'_>,
    violations: &mut Violations,
) {
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
                violations.warn(
                    &at,
                    "without exact, prefix or regex this matches everything",
                );
            }
            // Every path begins with nothing; the other texts are compared by Envoy, which knows no empty prefix.
            let is_any = key == "uri" && text.prefix.as_deref() == Some("");
            if !is_any {
                string_match(text, &at, violations);
            }
        }
    }
    check_header_matches(headers, place, false, &at.key("headers"), violations);
    let without = at.key("withoutHeaders");
    check_header_matches(without_headers, place, true, &without, violations);
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
    place: Place,
    may_be_any: bool,
    at: &At<'_>,
    violations: &mut Violations,
) {
    for (name, text) in headers {
        let at = at.key(name);
        // `@request.auth.claims.x`, or with brackets, stands for a claim of a token.
        let claim = claim(name);
        if claim.is_some_and(|claim| claim.len() > 1 && claim.starts_with(['.', '['])) {
            if !place.for_gateways {
                let message = "claims of tokens can be matched only in rules for gateways";
                violations.add_hint(&at, message, "list gateways without mesh");
            }
        } else if !PSEUDO_HEADERS.contains(&name.as_str()) {
            violations.check(&at, header_name(name));
        }
        // Istio takes this for "whatever the value"; it is no regular expression.
        if !(may_be_any && text.regex.as_deref() == Some("*")) {
            string_match(text, &at, violations);
        }
    }
}

/// What follows the name by which a header match means the claims of a token.
fn claim(name: &str) -> Option<&str> {
    const CLAIMS: &str = "@request.auth.claims";
    let (start, rest) = name.split_at_checked(CLAIMS.len())?;
    start.eq_ignore_ascii_case(CLAIMS).then_some(rest)
}

/// A new prefix stands in place of one that was matched.
fn check_prefix(
    redirect: &HttpRedirect,
    matches: &[HttpMatchRequest],
    at: &At<'_>,
    violations: &mut Violations,
) {
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    if !given(&redirect.prefix_rewrite) {
        return;
    }
    let at = at.key("prefixRewrite");
    if given(&redirect.uri) {
        violations.add(&at, "only one of uri and prefixRewrite can be set");
    }
    let other = |condition: &HttpMatchRequest| {
        condition
            .uri
            .as_ref()
            .is_some_and(|uri| uri.prefix.is_none())
    };
    if matches.iter().any(other) {
        let message = "a prefix can be replaced only where all matches of the path are prefixes";
        violations.add(&at, message);
    }
}

fn check_redirect(redirect: &HttpRedirect, at: &At<'_>, violations: &mut Violations) {
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let texts = [
        &redirect.uri,
        &redirect.prefix_rewrite,
        &redirect.authority,
        &redirect.scheme,
    ];
    let has_port = redirect.port.is_some() || redirect.derive_port.is_some();
    if !texts.into_iter().any(given) && !has_port {
        let message = "a redirect needs uri, prefixRewrite, authority, port or scheme";
        violations.add(at, message);
    }
    let HttpRedirect {
        uri: _,
        prefix_rewrite: _,
        authority,
        port: number,
        derive_port,
        scheme,
        redirect_code,
    } = redirect;
    if let Some(code) = redirect_code.filter(|code| *code != 0)
        && ![301, 302, 303, 307, 308].contains(&code)
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
    if let Some(scheme) = scheme.as_deref().filter(|text| !text.is_empty())
        && !["http", "https"].contains(&scheme)
    {
        violations.add(
            &at.key("scheme"),
            format!("{scheme:?} is neither http nor https"),
        );
    }
}

/// A host, perhaps with a port: whatever an address can have between `://` and the path.
fn check_authority(authority: Option<&str>, at: &At<'_>, violations: &mut Violations) {
    let Some(authority) = authority.filter(|text| !text.is_empty()) else {
        return;
    };
    let stranger = |c: char| !c.is_ascii_graphic() || "/?#@\\<>\"{}|^`".contains(c);
    if let Some(stranger) = authority.chars().find(|c| stranger(*c)) {
        violations.add(
            at,
            format!("{authority:?} is not a host: it has {stranger:?}"),
        );
    }
}

fn check_direct_response(response: &HttpDirectResponse, at: &At<'_>, violations: &mut Violations) {
    let HttpDirectResponse { status, body } = response;
    if !(200..=599).contains(status) {
        let message = format!("status {status} is not in the range 200 to 599");
        violations.add(&at.key("status"), message);
    }
    let Some(HttpBody { string, bytes }) = body else {
        return;
    };
    let at = at.key("body");
    if string.is_some() && bytes.is_some() {
        violations.add(&at, "only one of string and bytes can be set");
    }
    let mut size = string.as_deref().map_or(0, str::len);
    if let Some(bytes) = bytes {
        match base64::engine::general_purpose::STANDARD.decode(bytes) {
            Ok(bytes) if bytes.is_empty() => {
                violations.add(&at.key("bytes"), "the bytes are missing");
            }
            Ok(bytes) => size = size.max(bytes.len()),
            Err(error) => violations.add(&at.key("bytes"), format!("not base64: {error}")),
        }
    }
    if size > MAX_BODY {
        let message = format!("the body has {size} bytes; at most {MAX_BODY} are allowed");
        violations.add(&at, message);
    } else if size > LARGE_BODY {
        let message = format!("a body of {size} bytes is sent to every proxy with its routes");
        violations.warn(&at, message);
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
            violations.add(&at.key("match"), "the expression to match is missing");
        }
        if expression.rewrite.is_empty() {
            violations.add(&at.key("rewrite"), "the replacement is missing");
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
        retry_remote_localities,
        retry_ignore_previous_hosts: _,
    } = retries;
    let retry_on = retry_on.as_deref().filter(|text| !text.is_empty());
    if *attempts < 0 {
        let message = format!("{attempts} attempts are less than none");
        violations.add(&at.key("attempts"), message);
    }
    let others = per_try_timeout.is_some() || retry_on.is_some();
    if *attempts == 0 && (others || retry_remote_localities.is_some()) {
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
        if !policy.is_empty() && !status && RetryOn::from_token(policy).is_none() {
            let known = nearest(policy, &RetryOn::TOKENS.map(|(_, token)| token));
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
pub(crate) fn nearest<'n>(name: &str, names: &[&'n str]) -> Option<&'n str> {
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
    for (key, whole) in [
        ("mirrorPercent", route.mirror_percent),
        ("mirror_percent", route.mirror_percent_snake),
    ] {
        let Some(whole) = whole else { continue };
        let at = at.key(key);
        violations.warn_hint(
            &at,
            format!("{key} is deprecated"),
            "set mirrorPercentage.value",
        );
        violations.check(&at, percent(f64::from(whole)));
    }
    for (position, mirror) in route.mirrors.iter().enumerate() {
        let HttpMirrorPolicy {
            destination,
            percentage,
        } = mirror;
        let mirrors = at.key("mirrors");
        let at = mirrors.index(position);
        let destination_at = at.key("destination");
        match destination {
            Some(target) => check_destination(target, &destination_at, violations),
            None => violations.add(&destination_at, "the destination is missing"),
        }
        if let Some(share) = percentage {
            let at = at.key("percentage");
            violations.check(&at.key("value"), percent(share.value));
        }
    }
}
