//! Limits that a service counts for many proxies, as users ask for them by an `EnvoyFilter`: the filter, what routes tell, the cluster.
//!
//! ```text
//! test --HTTP--> proxy of echo --gRPC--> proxy of ratelimit --> the test's own RateLimitService
//! ```

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use mesh_tests::eventually;
use prost::Message;
use tokio::net::TcpListener;

use crate::authorization::logged;
use crate::http::{Answer, Connection};
use crate::mesh::{LIMIT, Mesh};
use crate::yaml::PodSpec;

const PODS: [PodSpec; 3] = [
    PodSpec::CLIENT,
    PodSpec::serving("echo", "echo", "v1", "echo", 8080),
    PodSpec {
        port_name: "grpc",
        ..PodSpec::serving("ratelimit", "ratelimit", "v1", PodSpec::TEST, 8081)
    },
];

/// The filter before the router, and what every route of the port tells.
const FILTERS: &str = r#"---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: filter-ratelimit, namespace: default}
spec:
  workloadSelector:
    labels: {app: echo}
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: SIDECAR_INBOUND
      listener:
        filterChain:
          filter:
            name: envoy.filters.network.http_connection_manager
            subFilter: {name: envoy.filters.http.router}
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.ratelimit
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit
          domain: shop
          failure_mode_deny: DENY
          enable_x_ratelimit_headers: DRAFT_VERSION_03
          timeout: 5s
          rate_limit_service:
            grpc_service:
              envoy_grpc:
                cluster_name: CLUSTER
                authority: ratelimit.default.svc.cluster.local
            transport_api_version: V3
  - applyTo: VIRTUAL_HOST
    match:
      context: SIDECAR_INBOUND
      routeConfiguration: {vhost: {name: "inbound|http|8080", route: {action: ANY}}}
    patch:
      operation: MERGE
      value:
        rate_limits:
        - actions:
          - generic_key: {descriptor_value: all}
          - request_headers: {header_name: ":path", descriptor_key: PATH}
        - actions:
          - header_value_match:
              descriptor_value: paid
              headers: [{name: x-tier, string_match: {exact: paid}}]
"#;

const CLUSTER: &str = "outbound|8081||ratelimit.default.svc.cluster.local";

// === the service ===

#[derive(Clone, PartialEq, Message)]
struct RateLimitRequest {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(message, repeated, tag = "2")]
    descriptors: Vec<Descriptor>,
}

#[derive(Clone, PartialEq, Message)]
struct Descriptor {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct RateLimitResponse {
    #[prost(int32, tag = "1")]
    overall_code: i32,
    #[prost(message, repeated, tag = "2")]
    statuses: Vec<DescriptorStatus>,
    #[prost(message, repeated, tag = "4")]
    request_headers_to_add: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct DescriptorStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(message, optional, tag = "2")]
    current_limit: Option<RateLimit>,
    #[prost(uint32, tag = "3")]
    limit_remaining: u32,
}

#[derive(Clone, PartialEq, Message)]
struct RateLimit {
    #[prost(uint32, tag = "1")]
    requests_per_unit: u32,
    /// 2 is a minute.
    #[prost(int32, tag = "2")]
    unit: i32,
}

/// Descriptors with how often they were told.
type Counts = Arc<Mutex<BTreeMap<String, u32>>>;

/// Three of each descriptor pass.
const MOST: u32 = 3;

fn decide(request: &RateLimitRequest, counts: &Counts) -> RateLimitResponse {
    let mut counts = counts.lock().unwrap();
    let mut over = false;
    let mut statuses = Vec::new();
    for descriptor in &request.descriptors {
        let entries = descriptor.entries.iter();
        let entries: Vec<String> = entries
            .map(|entry| format!("{}={}", entry.key, entry.value))
            .collect();
        let name = format!("{}: {}", request.domain, entries.join(","));
        let count = counts.entry(name).or_default();
        *count += 1;
        over |= *count > MOST;
        statuses.push(DescriptorStatus {
            code: if *count > MOST { 2 } else { 1 },
            current_limit: Some(RateLimit {
                requests_per_unit: MOST,
                unit: 2,
            }),
            limit_remaining: MOST.saturating_sub(*count),
        });
    }
    RateLimitResponse {
        overall_code: if over { 2 } else { 1 },
        statuses,
        request_headers_to_add: vec![Entry {
            key: "x-counted".to_owned(),
            value: "yes".to_owned(),
        }],
    }
}

async fn answer(request: Request<RecvStream>, response: SendResponse<Bytes>, counts: Counts) {
    let mut response = response;
    let (parts, mut body) = request.into_parts();
    assert_eq!(
        parts.uri.path(),
        "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
    );
    assert_eq!(
        parts.uri.host(),
        Some("ratelimit.default.svc.cluster.local")
    );
    let mut message = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        message.extend_from_slice(&data);
    }
    let request = RateLimitRequest::decode(&message[5..]).unwrap();
    let answer = decide(&request, &counts).encode_to_vec();
    let length = u32::try_from(answer.len()).unwrap().to_be_bytes();
    let framed = [&[0][..], &length, &answer].concat();
    let head = Response::builder().header("content-type", "application/grpc");
    let mut stream = response
        .send_response(head.body(()).unwrap(), false)
        .unwrap();
    stream.send_data(framed.into(), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers).unwrap();
}

/// Serves until the test ends.
fn serve(address: Ipv4Addr) -> Counts {
    let counts = Counts::default();
    let own = counts.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind((address, 8081)).await.unwrap();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let counts = own.clone();
                tokio::spawn(async move {
                    let Ok(mut connection) = h2::server::handshake(socket).await else {
                        return;
                    };
                    while let Some(Ok((request, response))) = connection.accept().await {
                        tokio::spawn(answer(request, response, counts.clone()));
                    }
                });
            }
        });
    });
    counts
}

#[track_caller]
fn get(mesh: &mut Mesh, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut connection = Connection::open(mesh.pod("echo").at(8080)).unwrap();
    connection.get(path, fields).unwrap()
}

fn filters(cluster: &str, deny: bool) -> String {
    let deny = if deny { "true" } else { "false" };
    FILTERS.replace("CLUSTER", cluster).replace("DENY", deny)
}

#[track_caller]
fn in_force(mesh: &mut Mesh) {
    let echo = mesh.pod("echo");
    eventually("the filter is there", LIMIT, || {
        let dump = echo.admin("/config_dump?resource=dynamic_listeners").body;
        dump.contains("envoy.filters.http.ratelimit").then_some(())
    });
}

#[test]
fn a_service_counts_what_routes_tell_of_requests() {
    let mut mesh = Mesh::start(&PODS, &filters(CLUSTER, true));
    let counts = serve(mesh.pod("ratelimit").app_address);
    in_force(&mut mesh);
    for left in [2, 1, 0] {
        let answer = get(&mut mesh, "/echo", &[]);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("x-ratelimit-limit"), Some("3, 3;w=60"));
        let told = answer.header("x-ratelimit-remaining");
        assert_eq!(told, Some(&*left.to_string()));
        assert!(answer.body.contains(r#""X-Counted":"yes""#), "{answer:?}");
    }
    let answer = get(&mut mesh, "/echo", &[]);
    assert_eq!((answer.status, &*answer.body), (429, ""));
    assert_eq!(answer.header("x-envoy-ratelimited"), Some("true"));
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("0"));
    logged(mesh.pod("echo"), &["429 RL request_rate_limited"]);
    // Another path has another limit, and a header tells more.
    assert_eq!(get(&mut mesh, "/status/200", &[]).status, 200);
    let paid = [("x-tier", "paid")];
    assert_eq!(get(&mut mesh, "/status/201", &paid).status, 201);
    let counts = counts.lock().unwrap();
    let expected = [
        ("shop: generic_key=all,PATH=/echo", 4),
        ("shop: generic_key=all,PATH=/status/200", 1),
        ("shop: generic_key=all,PATH=/status/201", 1),
        ("shop: header_match=paid", 1),
    ];
    let told: Vec<(&str, u32)> = counts
        .iter()
        .map(|(name, count)| (&**name, *count))
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn when_nobody_counts_requests_pass_or_not_as_the_filter_says() {
    let mut mesh = Mesh::start(&PODS, &filters("nowhere", true));
    in_force(&mut mesh);
    let refused = get(&mut mesh, "/echo", &[]);
    assert_eq!((refused.status, &*refused.body), (500, ""));
    logged(mesh.pod("echo"), &["500 RLSE rate_limiter_error"]);
    mesh.configure(&filters("nowhere", false));
    eventually("requests pass", LIMIT, || {
        (get(&mut mesh, "/echo", &[]).status == 200).then_some(())
    });
}
