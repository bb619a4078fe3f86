//! Limits of rates, as users ask for them by an `EnvoyFilter`.

use mesh_tests::eventually;

use crate::drain::ECHO;
use crate::mesh::{LIMIT, Mesh};

/// A filter in front of all others of the workload, and a limit for its bucket.
const FOR_ALL: &str = r#"---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: rate-limit, namespace: default}
spec:
  workloadSelector:
    labels: {app: echo}
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: SIDECAR_INBOUND
      listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.local_ratelimit
        typed_config:
          "@type": type.googleapis.com/udpa.type.v1.TypedStruct
          type_url: type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
          value:
            stat_prefix: http_local_rate_limiter
            token_bucket: {max_tokens: 4, tokens_per_fill: 4, fill_interval: 3600s}
            filter_enabled:
              runtime_key: enabled
              default_value: {numerator: 100, denominator: HUNDRED}
            filter_enforced:
              runtime_key: enforced
              default_value: {numerator: 100, denominator: HUNDRED}
            response_headers_to_add:
            - append_action: OVERWRITE_IF_EXISTS_OR_ADD
              header: {key: x-local-rate-limit, value: "true"}
"#;

/// A filter that limits nothing, and a limit for the routes of one port.
const FOR_A_PORT: &str = r#"---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: rate-limit, namespace: default}
spec:
  workloadSelector:
    labels: {app: echo}
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: SIDECAR_INBOUND
      listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.local_ratelimit
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
          stat_prefix: http_local_rate_limiter
  - applyTo: HTTP_ROUTE
    match:
      context: SIDECAR_INBOUND
      routeConfiguration: {vhost: {name: "inbound|http|8080", route: {action: ANY}}}
    patch:
      operation: MERGE
      value:
        typed_per_filter_config:
          envoy.filters.http.local_ratelimit:
            "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
            stat_prefix: http_local_rate_limiter
            token_bucket: {max_tokens: 2, tokens_per_fill: 2, fill_interval: 3600s}
            filter_enabled: {default_value: {numerator: 100, denominator: HUNDRED}}
            filter_enforced: {default_value: {numerator: 100, denominator: HUNDRED}}
"#;

/// The codes of so many requests, once the limit is in force.
fn codes(filter: &str, count: usize) -> (Mesh, Vec<u16>) {
    let mut mesh = Mesh::start(&ECHO, filter);
    let echo = mesh.pod("echo");
    eventually("the limit is in force", LIMIT, || {
        let stats = echo.admin("/stats").body;
        stats
            .contains("http_local_rate_limiter.http_local_rate_limit.enabled: 0")
            .then_some(())
    });
    let mut connection = mesh.pod("client").outbound();
    let codes = (0..count)
        .map(|_| connection.get("http://echo:8080/", &[]).unwrap().status)
        .collect();
    (mesh, codes)
}

#[test]
fn requests_beyond_a_workloads_bucket_are_refused() {
    let (mut mesh, codes) = codes(FOR_ALL, 6);
    assert_eq!(codes, [200, 200, 200, 200, 429, 429]);
    let answer = mesh
        .pod("client")
        .outbound()
        .get("http://echo:8080/", &[])
        .unwrap();
    assert_eq!(answer.header("x-local-rate-limit"), Some("true"));
    assert_eq!(answer.body, "local_rate_limited");
    let echo = mesh.pod("echo");
    for (name, expected) in [
        ("enabled", 7),
        ("ok", 4),
        ("rate_limited", 3),
        ("enforced", 3),
    ] {
        let stat = format!("http_local_rate_limiter.http_local_rate_limit.{name}");
        assert_eq!(echo.stat(&stat), expected, "{name}");
    }
}

#[test]
fn a_route_has_a_limit_of_its_own() {
    let (_mesh, codes) = codes(FOR_A_PORT, 4);
    assert_eq!(codes, [200, 200, 429, 429]);
}
