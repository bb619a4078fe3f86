//! What compiling an object accepts is translated without another complaint, and survives the wire: for VirtualServices and
//! DestinationRules whose fields are made up at random.

use std::fmt::Debug;
use std::sync::Arc;

use mesh_core::diag::Diagnostic;
use mesh_core::resource::{Resource, decode, decode_value};
use mesh_core::snapshot::{Snapshot, SnapshotOptions};
use mesh_core::source::{Origin, parse};
use mesh_core::translate::translate;
use mesh_ir::{ProxyKind, ProxyScope};
use mesh_xds::resource::XdsResource;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

const WORLD: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.0.0.1, selector: {app: web}, ports: [{name: http, port: 80}, {name: tcp, port: 81}]}
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {clusterIP: 10.0.0.2, ports: [{name: grpc, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 80}, {name: tcp, port: 81}]
endpoints: [{addresses: [10.1.0.1]}, {addresses: [10.1.0.2]}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec:
  hosts: [out.example.com]
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: https, protocol: HTTPS}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway}
spec:
  selector: {app: web}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}, {port: {number: 81, name: tcp, protocol: TCP}, hosts: ['*']}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: delegate}
spec:
  http: [{match: [{uri: {prefix: /a/b}}], route: [{destination: {host: api}}]}, {route: [{destination: {host: web}}]}]
";

type Made = BoxedStrategy<Value>;

fn of(values: Vec<Value>) -> Made {
    select(values).boxed()
}

fn texts(values: &'static [&'static str]) -> Made {
    select(values).prop_map(Value::from).boxed()
}

fn numbers(values: &'static [i64]) -> Made {
    select(values).prop_map(Value::from).boxed()
}

fn list(item: Made, most: usize) -> Made {
    proptest::collection::vec(item, 1..=most)
        .prop_map(Value::from)
        .boxed()
}

/// An object with some of the fields.
fn some(fields: Vec<(&'static str, Made)>) -> Made {
    let (names, values): (Vec<_>, Vec<_>) = fields
        .into_iter()
        .map(|(name, value)| (name, proptest::option::weighted(0.3, value)))
        .unzip();
    values
        .prop_map(move |values| {
            let given = names.iter().zip(values);
            let given = given.filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
            given.collect::<Map<String, Value>>().into()
        })
        .boxed()
}

/// The first with the fields of the second.
fn with(required: Made, more: Made) -> Made {
    (required, more)
        .prop_map(|(mut required, more)| {
            if let (Value::Object(required), Value::Object(more)) = (&mut required, more) {
                required.extend(more);
            }
            required
        })
        .boxed()
}

fn one(name: &'static str, value: Made) -> Made {
    value.prop_map(move |value| json!({ name: value })).boxed()
}

fn any_of(kinds: Vec<Made>) -> Made {
    proptest::strategy::Union::new(kinds).boxed()
}

fn duration() -> Made {
    texts(&["1s", "0.5s", "100ms", "1h", "1m30s", "0.0015s"])
}

fn share() -> Made {
    select(vec![0.0, 0.01, 12.5, 33.333, 100.0])
        .prop_map(|value| json!({ "value": value }))
        .boxed()
}

fn string_match() -> Made {
    any_of(vec![
        one("exact", texts(&["/a", "b", "GET", ""])),
        one("prefix", texts(&["/a", "/a/b", "x"])),
        one("regex", texts(&["/a.*", "[a-z]+", ".*", "*", "a|b"])),
    ])
}

fn destination() -> Made {
    with(
        one(
            "host",
            texts(&["web", "api", "out.example.com", "none.example.com"]),
        ),
        some(vec![
            ("subset", texts(&["v1", "v2"])),
            ("port", one("number", numbers(&[80, 81, 443]))),
        ]),
    )
}

fn header_changes() -> Made {
    let map = of(vec![
        json!({"x-a": "1"}),
        json!({"x-b": "%REQ(x-c)% 100%"}),
        json!({"Host": "other"}),
    ]);
    let direction = some(vec![
        ("set", map.clone()),
        ("add", map),
        ("remove", list(texts(&["x-d", "server"]), 2)),
    ]);
    some(vec![
        ("request", direction.clone()),
        ("response", direction),
    ])
}

fn http_match() -> Made {
    let maps = |value: Made| {
        let names = select(vec!["x-user", "end-user", "Accept"]);
        (names, value).prop_map(|(name, value)| json!({ name: value }))
    };
    some(vec![
        ("name", texts(&["m"])),
        ("uri", string_match()),
        ("scheme", string_match()),
        ("method", string_match()),
        ("authority", string_match()),
        ("headers", maps(string_match()).boxed()),
        ("withoutHeaders", maps(string_match()).boxed()),
        ("queryParams", maps(string_match()).boxed()),
        ("ignoreUriCase", of(vec![json!(true), json!(false)])),
        ("port", numbers(&[80, 8080])),
        ("sourceLabels", of(vec![json!({"app": "web"})])),
        ("sourceNamespace", texts(&["default", "other"])),
        ("gateways", list(texts(&["gateway", "mesh", "x/y"]), 2)),
        ("statPrefix", texts(&["s"])),
    ])
}

fn retries() -> Made {
    let on = texts(&[
        "5xx",
        "gateway-error,connect-failure,503",
        "retriable-headers",
        "retriable-status-codes,418",
        "envoy-ratelimited,reset",
        "cancelled, unavailable",
    ]);
    with(
        one("attempts", numbers(&[0, 1, 3])),
        some(vec![
            ("perTryTimeout", duration()),
            ("retryOn", on),
            ("backoff", duration()),
            ("retryRemoteLocalities", of(vec![json!(true)])),
            ("retryIgnorePreviousHosts", of(vec![json!(false)])),
        ]),
    )
}

fn fault() -> Made {
    let delay = with(
        one("fixedDelay", duration()),
        some(vec![("percentage", share()), ("percent", numbers(&[5]))]),
    );
    let status = any_of(vec![
        one("httpStatus", numbers(&[200, 418, 599])),
        one("grpcStatus", texts(&["UNAVAILABLE", "OK"])),
    ]);
    let abort = with(status, some(vec![("percentage", share())]));
    some(vec![("delay", delay), ("abort", abort)])
}

fn cors() -> Made {
    some(vec![
        ("allowOrigins", list(string_match(), 2)),
        ("allowOrigin", list(texts(&["*", "https://a.example"]), 2)),
        ("allowMethods", list(texts(&["GET", "PUT", "*"]), 2)),
        ("allowHeaders", list(texts(&["x-a", "*"]), 2)),
        ("exposeHeaders", list(texts(&["x-b"]), 1)),
        ("maxAge", texts(&["1s", "24h"])),
        ("allowCredentials", of(vec![json!(true), json!(false)])),
        (
            "unmatchedPreflights",
            texts(&["FORWARD", "IGNORE", "UNSPECIFIED"]),
        ),
    ])
}

fn http_rule() -> Made {
    let entry = with(
        one("destination", destination()),
        some(vec![
            ("weight", numbers(&[0, 1, 50])),
            ("headers", header_changes()),
        ]),
    );
    let redirect = some(vec![
        ("uri", texts(&["/new"])),
        ("authority", texts(&["other.example.com", "a.example:81"])),
        ("scheme", texts(&["https", "http"])),
        ("redirectCode", numbers(&[301, 302, 308])),
        ("port", numbers(&[81])),
        (
            "derivePort",
            texts(&["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]),
        ),
    ]);
    let body = any_of(vec![
        one("string", texts(&["", "hello"])),
        one("bytes", texts(&["aGVsbG8=", "/w=="])),
    ]);
    let direct = with(
        one("status", numbers(&[200, 404, 599])),
        some(vec![("body", body)]),
    );
    let rewrite = any_of(vec![
        with(
            one("uri", texts(&["/", "/x"])),
            some(vec![("authority", texts(&["other"]))]),
        ),
        one(
            "uriRegexRewrite",
            of(vec![json!({"match": "/(.*)/y", "rewrite": "/\\1"})]),
        ),
    ]);
    let mirror = with(
        one("destination", destination()),
        some(vec![("percentage", share())]),
    );
    let action = any_of(vec![
        one("route", list(entry.clone(), 1)),
        one("route", list(entry, 3)),
        one("redirect", redirect),
        one("directResponse", direct),
        one("delegate", one("name", texts(&["delegate", "none"]))),
    ]);
    with(
        action,
        some(vec![
            ("name", texts(&["rule"])),
            ("match", list(http_match(), 2)),
            ("rewrite", rewrite),
            ("timeout", duration()),
            ("retries", retries()),
            ("fault", fault()),
            ("mirror", destination()),
            ("mirrors", list(mirror, 2)),
            ("mirrorPercentage", share()),
            ("corsPolicy", cors()),
            ("headers", header_changes()),
        ]),
    )
}

fn l4_match(more: Vec<(&'static str, Made)>) -> Made {
    let mut fields = vec![
        ("port", numbers(&[80, 81, 443])),
        ("sourceLabels", of(vec![json!({"app": "web"})])),
        ("gateways", list(texts(&["gateway", "mesh"]), 2)),
        ("destinationSubnets", list(texts(&["10.0.0.0/8"]), 1)),
    ];
    fields.extend(more);
    some(fields)
}

fn virtual_service() -> Made {
    let entry = with(
        one("destination", destination()),
        some(vec![("weight", numbers(&[0, 1, 50]))]),
    );
    let tcp = with(
        one("route", list(entry.clone(), 2)),
        some(vec![("match", list(l4_match(Vec::new()), 2))]),
    );
    let sni = with(
        one("sniHosts", list(texts(&["web", "out.example.com"]), 1)),
        l4_match(Vec::new()),
    );
    let tls = with(one("route", list(entry, 2)), one("match", list(sni, 1)));
    let rules = any_of(vec![
        one("http", list(http_rule(), 3)),
        one("tcp", list(tcp, 2)),
        one("tls", list(tls, 1)),
    ]);
    let hosts = one(
        "hosts",
        of(vec![
            json!(["web"]),
            json!(["out.example.com", "web"]),
            json!(["*.example.com"]),
        ]),
    );
    with(
        with(hosts, rules),
        some(vec![
            ("gateways", list(texts(&["gateway", "mesh"]), 2)),
            ("exportTo", list(texts(&[".", "*", "other"]), 1)),
        ]),
    )
}

fn traffic_policy() -> Made {
    let hash_key = any_of(vec![
        one("httpHeaderName", texts(&["X-User"])),
        one(
            "httpCookie",
            with(
                one("name", texts(&["c"])),
                some(vec![
                    ("path", texts(&["/", "/a"])),
                    ("ttl", texts(&["0s", "1h"])),
                ]),
            ),
        ),
        one("useSourceIp", of(vec![json!(true), json!(false)])),
        one("httpQueryParameterName", texts(&["q"])),
    ]);
    let hash_kind = any_of(vec![
        one(
            "ringHash",
            some(vec![("minimumRingSize", numbers(&[0, 1024, 9_000_000]))]),
        ),
        one(
            "maglev",
            some(vec![("tableSize", numbers(&[0, 1009, 65_537]))]),
        ),
        one("minimumRingSize", numbers(&[0, 2048])),
    ]);
    let balancer = any_of(vec![
        one(
            "simple",
            texts(&["RANDOM", "ROUND_ROBIN", "LEAST_REQUEST", "PASSTHROUGH"]),
        ),
        one("consistentHash", with(hash_key, hash_kind)),
        one(
            "localityLbSetting",
            of(vec![
                json!({"enabled": true}),
                json!({"enabled": false}),
                json!({"distribute": [{"from": "r1/*", "to": {"r1/*": 80, "r2/*": 20}}]}),
                json!({"failover": [{"from": "r1", "to": "r2"}]}),
                json!({"failoverPriority": ["topology.kubernetes.io/region"]}),
            ]),
        ),
    ]);
    let warmup = with(
        one("duration", duration()),
        some(vec![
            ("minimumPercent", numbers(&[0, 10, 100])),
            ("aggression", numbers(&[1, 2])),
        ]),
    );
    let balancer = with(balancer, some(vec![("warmup", warmup)]));
    let pool = some(vec![
        (
            "tcp",
            some(vec![
                ("maxConnections", numbers(&[1, 100])),
                ("connectTimeout", duration()),
                ("idleTimeout", duration()),
                ("maxConnectionDuration", duration()),
                (
                    "tcpKeepalive",
                    some(vec![
                        ("probes", numbers(&[0, 3])),
                        ("time", texts(&["10s", "2h"])),
                        ("interval", texts(&["75s"])),
                    ]),
                ),
            ]),
        ),
        (
            "http",
            some(vec![
                ("http1MaxPendingRequests", numbers(&[1])),
                ("http2MaxRequests", numbers(&[1])),
                ("maxRequestsPerConnection", numbers(&[0, 1])),
                ("maxRetries", numbers(&[0, 3])),
                ("idleTimeout", duration()),
                (
                    "h2UpgradePolicy",
                    texts(&["DEFAULT", "UPGRADE", "DO_NOT_UPGRADE"]),
                ),
                ("useClientProtocol", of(vec![json!(true)])),
                ("maxConcurrentStreams", numbers(&[1, 100])),
            ]),
        ),
    ]);
    let outliers = some(vec![
        ("consecutive5xxErrors", numbers(&[0, 7])),
        ("consecutiveGatewayErrors", numbers(&[0, 7])),
        ("splitExternalLocalOriginErrors", of(vec![json!(true)])),
        ("consecutiveLocalOriginFailures", numbers(&[3])),
        ("interval", duration()),
        ("baseEjectionTime", duration()),
        ("maxEjectionPercent", numbers(&[0, 50, 100])),
        ("minHealthPercent", numbers(&[0, 50])),
    ]);
    let files = json!({"clientCertificate": "/c", "privateKey": "/k", "caCertificates": "/r"});
    let tls = any_of(vec![
        with(
            one("mode", texts(&["DISABLE", "SIMPLE", "ISTIO_MUTUAL"])),
            some(vec![
                ("sni", texts(&["a.example"])),
                (
                    "subjectAltNames",
                    list(texts(&["a.example", "spiffe://a/b", "10.0.0.1"]), 2),
                ),
            ]),
        ),
        with(
            one("mode", texts(&["MUTUAL"])),
            any_of(vec![
                of(vec![files]),
                one("credentialName", texts(&["secret"])),
            ]),
        ),
        of(vec![json!({"mode": "SIMPLE", "insecureSkipVerify": true})]),
    ]);
    some(vec![
        ("loadBalancer", balancer),
        ("connectionPool", pool),
        ("outlierDetection", outliers),
        ("tls", tls),
    ])
}

fn destination_rule() -> Made {
    let port = with(
        one("port", one("number", numbers(&[80, 81]))),
        traffic_policy(),
    );
    let policy = with(
        traffic_policy(),
        some(vec![("portLevelSettings", list(port, 1))]),
    );
    let subset = |name: &'static str, policy: Made| {
        with(
            of(vec![json!({"name": name, "labels": {"version": name}})]),
            some(vec![("trafficPolicy", policy)]),
        )
    };
    let subsets = (subset("v1", policy.clone()), subset("v2", policy.clone()))
        .prop_map(|(one, other)| json!([one, other]))
        .boxed();
    with(
        one(
            "host",
            texts(&["web", "api", "out.example.com", "*.example.com", "*"]),
        ),
        some(vec![
            ("trafficPolicy", policy),
            ("subsets", subsets),
            ("exportTo", list(texts(&[".", "*"]), 1)),
            (
                "workloadSelector",
                of(vec![json!({"matchLabels": {"app": "web"}})]),
            ),
        ]),
    )
}

fn object(kind: &str, spec: &Value) -> Resource {
    let value = json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": {"name": "made", "namespace": "default"},
        "spec": spec,
    });
    let origin = Origin::File {
        name: "made".into(),
        document: 0,
    };
    let (resource, findings) = decode_value(value, origin, None);
    assert_eq!(findings, []);
    resource.expect("it is an object")
}

fn world() -> Vec<Arc<Resource>> {
    let (documents, findings) = parse("world.yaml", WORLD);
    assert_eq!(findings, []);
    let decoded = documents
        .iter()
        .filter_map(|document| decode(document, None).0);
    decoded.map(Arc::new).collect()
}

fn survives<T: XdsResource + PartialEq + Debug>(values: &[Arc<T>]) -> Result<(), TestCaseError> {
    for value in values {
        let decoded = T::decode(&value.encode());
        prop_assert_eq!(decoded.as_ref(), Ok(&**value));
    }
    Ok(())
}

fn check(resource: Resource) -> Result<(), TestCaseError> {
    prop_assume!(!resource.is_refused());
    let mut objects = world();
    objects.push(Arc::new(resource));
    let (snapshot, mut findings) = Snapshot::build(objects, &SnapshotOptions::default());
    for kind in [ProxyKind::Sidecar, ProxyKind::Gateway] {
        let labels = [("app".to_owned(), "web".to_owned())];
        let (config, more) = translate(&snapshot, &ProxyScope::new(kind, "default", labels.into()));
        findings.extend(more);
        survives(&config.clusters)?;
        survives(&config.endpoints)?;
        survives(&config.listeners)?;
        survives(&config.routes)?;
    }
    findings.retain(Diagnostic::is_of_schema);
    prop_assert_eq!(findings, []);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        max_global_rejects: 20_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn virtual_services_that_are_accepted_are_translated(spec in virtual_service()) {
        check(object("VirtualService", &spec))?;
    }

    #[test]
    fn destination_rules_that_are_accepted_are_translated(spec in destination_rule()) {
        check(object("DestinationRule", &spec))?;
    }
}
