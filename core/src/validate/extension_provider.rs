//! Entries of `extensionProviders`, as far as they are authorizers, by the rules of Istio's own validation.

use super::common::duration;
use super::names::{fqdn, is_label};
use super::{At, Violations};
use crate::model::{DurationText, ExtAuthzRequestBody, ExtensionProvider};

/// Most of a body that proxies keep for an authorizer.
const MOST_BYTES: u32 = 8 << 20;

pub(super) fn check(provider: &ExtensionProvider, at: &At<'_>, violations: &mut Violations) {
    let ExtensionProvider {
        name,
        envoy_ext_authz_http,
        envoy_ext_authz_grpc,
        // What is told about traffic.
        ..
    } = provider;
    if name.is_empty() {
        violations.add(&at.key("name"), "the name is missing");
    }
    if let Some(http) = envoy_ext_authz_http {
        let at = at.key("envoyExtAuthzHttp");
        check_service(&http.service, http.port, &at, violations);
        let body = http.include_request_body_in_check.as_ref();
        check_asking(http.timeout, &http.status_on_error, body, &at, violations);
        let prefix = &http.path_prefix;
        if !prefix.is_empty() && !prefix.starts_with('/') {
            let message = format!("{prefix:?} does not begin with a slash");
            violations.add(&at.key("pathPrefix"), message);
        }
        for (key, names) in [
            ("includeHeadersInCheck", &http.include_headers_in_check),
            (
                "includeRequestHeadersInCheck",
                &http.include_request_headers_in_check,
            ),
            (
                "headersToUpstreamOnAllow",
                &http.headers_to_upstream_on_allow,
            ),
            (
                "headersToDownstreamOnDeny",
                &http.headers_to_downstream_on_deny,
            ),
            (
                "headersToDownstreamOnAllow",
                &http.headers_to_downstream_on_allow,
            ),
        ] {
            let at = at.key(key);
            for (position, name) in names.iter().enumerate() {
                violations.check(&at.index(position), header_name(name));
            }
        }
        let added = at.key("includeAdditionalHeadersInCheck");
        for (name, value) in &http.include_additional_headers_in_check {
            if value.contains('%') {
                let message = "values with command operators are not supported";
                violations.add(&added.key(name), message);
            }
        }
    }
    if let Some(grpc) = envoy_ext_authz_grpc {
        let at = at.key("envoyExtAuthzGrpc");
        check_service(&grpc.service, grpc.port, &at, violations);
        let body = grpc.include_request_body_in_check.as_ref();
        check_asking(grpc.timeout, &grpc.status_on_error, body, &at, violations);
    }
}

fn check_service(service: &str, port: u32, at: &At<'_>, violations: &mut Violations) {
    violations.check(&at.key("service"), namespaced_host(service));
    violations.check(&at.key("port"), super::common::port(port));
}

fn check_asking(
    timeout: Option<DurationText>,
    status: &str,
    body: Option<&ExtAuthzRequestBody>,
    at: &At<'_>,
    violations: &mut Violations,
) {
    if let Some(timeout) = timeout {
        violations.check(&at.key("timeout"), duration(timeout, false));
    }
    let is_status = |status: &u16| (200..600).contains(status);
    if !status.is_empty() && !status.parse().is_ok_and(|status| is_status(&status)) {
        let message = format!("{status:?} is not a status code");
        violations.add(&at.key("statusOnError"), message);
    }
    if let Some(body) = body
        && !(1..=MOST_BYTES).contains(&body.max_request_bytes)
    {
        let at = at.key("includeRequestBodyInCheck");
        let message = format!("maxRequestBytes is not in the range 1 to {MOST_BYTES}");
        violations.add(&at.key("maxRequestBytes"), message);
    }
}

/// `[NAMESPACE/]HOST`.
fn namespaced_host(service: &str) -> Result<(), String> {
    if service.is_empty() {
        return Err("the service is missing".to_owned());
    }
    match service.split_once('/') {
        Some((namespace, _)) if !is_label(namespace) => {
            Err(format!("{namespace:?} is not the name of a namespace"))
        }
        Some((_, host)) => fqdn(host),
        None => fqdn(service),
    }
}

/// A star counts at one end.
fn header_name(name: &str) -> Result<(), String> {
    let bare = name.strip_prefix('*').or_else(|| name.strip_suffix('*'));
    let bare = bare.unwrap_or(name);
    let is_valid = !name.is_empty() && !bare.contains(['*', ' ', ':']);
    is_valid
        .then_some(())
        .ok_or_else(|| format!("{name:?} is not the name of a header"))
}
