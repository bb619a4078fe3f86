//! Old objects with what has to become of them.

use serde_json::Value;

use super::{ConvertedText, Input, convert_texts};
use crate::source::parse;

#[track_caller]
fn converted(yaml: &str) -> ConvertedText {
    let input = Input {
        name: "old.yaml",
        text: yaml,
    };
    convert_texts(&[input], "default", "istio-system").expect("readable")
}

fn values(yaml: &str) -> Vec<Value> {
    let (documents, findings) = parse("", yaml);
    assert!(findings.is_empty(), "{findings:?}");
    documents
        .into_iter()
        .map(|document| Value::clone(&document.value))
        .collect()
}

/// Converts, and compares objects, and notes as `LINE FIELD: MESSAGE`. What comes out is valid today.
#[track_caller]
fn check(old: &str, new: &str, notes: &[&str]) {
    let found = converted(old);
    assert_eq!(values(&found.text), values(new), "{}", found.text);
    let told: Vec<String> = found
        .notes
        .iter()
        .map(|note| format!("{} {}: {}", note.span.line, note.path, note.message))
        .collect();
    assert_eq!(told, notes);
    for object in &found.objects {
        let origin = crate::source::Origin::Builtin;
        let (resource, findings) = crate::resource::decode_value(object.clone(), origin, None);
        let own = resource
            .map(|resource| resource.findings)
            .unwrap_or_default();
        let all: Vec<_> = findings.iter().chain(&own).collect();
        assert!(all.is_empty(), "{object:#}: {all:#?}");
    }
}

#[test]
fn rules_of_a_host_are_one_virtual_service_by_precedence() {
    check(
        "\
apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: {name: reviews-default}
spec:
  destination: {name: reviews}
  precedence: 1
  route:
  - labels: {version: v1}
---
apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: {name: reviews-test-v2}
spec:
  destination: {name: reviews}
  precedence: 2
  match:
    request:
      headers:
        cookie: {regex: '^(.*?;)?(user=jason)(;.*)?$'}
        uri: {prefix: /reviews}
  route:
  - labels: {version: v2}
---
apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: {name: details-default}
spec:
  destination: {name: details, namespace: other}
  route:
  - labels: {version: v1}
    weight: 50
  - labels: {version: v2, track: canary}
    weight: 50
",
        "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - match:
    - uri: {prefix: /reviews}
      headers:
        cookie: {regex: '^(.*?;)?(user=jason)(;.*)?$'}
    route:
    - destination: {host: reviews, subset: v2}
  - route:
    - destination: {host: reviews, subset: v1}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: details.other.svc.cluster.local}
spec:
  hosts: [details.other.svc.cluster.local]
  http:
  - route:
    - destination: {host: details.other.svc.cluster.local, subset: v1}
      weight: 50
    - destination: {host: details.other.svc.cluster.local, subset: track-canary-version-v2}
      weight: 50
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: details.other.svc.cluster.local}
spec:
  host: details.other.svc.cluster.local
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: track-canary-version-v2, labels: {track: canary, version: v2}}
",
        &[],
    );
}

#[test]
fn everything_that_a_rule_says_is_kept_or_named() {
    check(
        "\
apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: {name: ratings, namespace: shop, labels: {team: books}}
spec:
  destination: {name: ratings}
  match:
    source: {name: reviews, labels: {version: v2}}
    request: {headers: {End-User: {exact: jason}, method: {exact: GET}}}
  rewrite: {uri: /v2}
  httpFault:
    delay: {percent: 10.5, fixedDelay: 7s, exponentialDelay: 1s}
    abort: {percent: 100, httpStatus: 500}
  httpReqTimeout: {simpleTimeout: {timeout: 10s}}
  httpReqRetries: {simpleRetry: {attempts: 3, perTryTimeout: 2s, overrideHeaderName: x-tries}}
  mirror: {name: ratings, labels: {version: v3}}
  corsPolicy: {allowOrigin: [example.com], allowMethods: [GET], maxAge: 24h, allowCredentials: true}
  appendHeaders: {x-a: b}
  websocketUpgrade: true
  route: []
",
        "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ratings, namespace: shop, labels: {team: books}}
spec:
  hosts: [ratings]
  http:
  - match:
    - sourceLabels: {app: reviews, version: v2}
      method: {exact: GET}
      headers: {end-user: {exact: jason}}
    rewrite: {uri: /v2}
    fault:
      delay: {percentage: {value: 10.5}, fixedDelay: 7s}
      abort: {percentage: {value: 100.0}, httpStatus: 500}
    route:
    - destination: {host: ratings}
    timeout: 10s
    retries: {attempts: 3, perTryTimeout: 2s}
    mirror: {host: ratings, subset: v3}
    corsPolicy: {allowOrigins: [{exact: example.com}], allowMethods: [GET], maxAge: 24h, allowCredentials: true}
    headers: {request: {add: {x-a: b}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ratings, namespace: shop, labels: {team: books}}
spec:
  host: ratings
  subsets:
  - {name: v3, labels: {version: v3}}
",
        &[
            "7 spec.match.source: is for the pods with the label app=reviews from now on, since the Service shop/reviews is not known here",
            "11 spec.httpFault.delay.exponentialDelay: has no counterpart today and is left out",
            "14 spec.httpReqRetries.simpleRetry.overrideHeaderName: has no counterpart: x-envoy-max-retries does it",
        ],
    );
}

#[test]
fn policies_of_destinations_join_the_versions() {
    check(
        "\
apiVersion: config.istio.io/v1alpha2
kind: DestinationPolicy
metadata: {name: reviews-all}
spec:
  destination: {name: reviews}
  loadBalancing: {name: LEAST_CONN}
---
apiVersion: config.istio.io/v1alpha2
kind: DestinationPolicy
metadata: {name: reviews-v1}
spec:
  source: {name: productpage}
  destination: {name: reviews, labels: {version: v1}}
  circuitBreaker:
    simpleCb:
      maxConnections: 100
      httpMaxRequestsPerConnection: 10
      httpConsecutiveErrors: 7
      sleepWindow: 15m
      httpDetectionInterval: 5m
      httpMaxEjectionPercent: 50
",
        "\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  trafficPolicy:
    loadBalancer: {simple: LEAST_REQUEST}
  subsets:
  - name: v1
    labels: {version: v1}
    trafficPolicy:
      connectionPool:
        tcp: {maxConnections: 100}
        http: {maxRequestsPerConnection: 10}
      outlierDetection:
        consecutive5xxErrors: 7
        maxEjectionPercent: 50
        interval: 5m
        baseEjectionTime: 15m
",
        &[
            "12 spec.source: has no counterpart: policies are for all clients, and this one is from now on",
        ],
    );
}

#[test]
fn egress_rules_are_service_entries_and_https_was_spoken_by_the_proxy() {
    check(
        "\
apiVersion: config.istio.io/v1alpha2
kind: EgressRule
metadata: {name: library}
spec:
  destination: {service: www.example.com}
  ports:
  - {port: 443, protocol: https}
  - {port: 80, protocol: http}
  useEgressProxy: false
---
apiVersion: config.istio.io/v1alpha2
kind: EgressRule
metadata: {name: database}
spec:
  destination: {service: 10.1.2.0/24}
  ports: [{port: 3306, protocol: tcp}]
",
        "\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: library}
spec:
  hosts: [www.example.com]
  ports:
  - {number: 443, name: http-443, protocol: HTTP}
  - {number: 80, name: http-80, protocol: HTTP}
  location: MESH_EXTERNAL
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: library}
spec:
  host: www.example.com
  trafficPolicy:
    portLevelSettings:
    - port: {number: 443}
      tls: {mode: SIMPLE, sni: www.example.com}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: database}
spec:
  hosts: [database.egress.internal]
  addresses: [10.1.2.0/24]
  ports:
  - {number: 3306, name: tcp-3306, protocol: TCP}
  location: MESH_EXTERNAL
  resolution: NONE
",
        &[
            "9 spec.useEgressProxy: has no counterpart: a VirtualService leads to the egress gateway",
        ],
    );
}

#[test]
fn authentication_policies_become_three_kinds() {
    check(
        "\
apiVersion: authentication.istio.io/v1alpha1
kind: MeshPolicy
metadata: {name: default}
spec: {peers: [{mtls: {mode: PERMISSIVE}}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: website}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: authentication.istio.io/v1alpha1
kind: Policy
metadata: {name: web, namespace: shop}
spec:
  targets: [{name: web, ports: [{number: 80}]}]
  peers: [{mtls: null}]
  origins:
  - jwt:
      issuer: https://issuer.example
      jwksUri: https://issuer.example/keys
      jwtHeaders: [x-token]
      triggerRules:
      - excludedPaths: [{exact: /health}, {prefix: /static/}]
  principalBinding: USE_ORIGIN
---
apiVersion: authentication.istio.io/v1alpha1
kind: Policy
metadata: {name: default, namespace: plain}
spec: {}
",
        "\
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: PERMISSIVE}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: website}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: website}}
  portLevelMtls: {'8080': {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: website}}
  jwtRules:
  - issuer: https://issuer.example
    jwksUri: https://issuer.example/keys
    fromHeaders: [{name: x-token}]
    forwardOriginalToken: true
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web-token, namespace: shop}
spec:
  selector: {matchLabels: {app: website}}
  action: DENY
  rules:
  - from: [{source: {notRequestPrincipals: ['*']}}]
    to: [{operation: {notPaths: [/health, /static/*], ports: ['8080']}}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: plain}
spec: {mtls: {mode: DISABLE}}
",
        &[
            "24 spec.principalBinding: has no counterpart: rules name certificates by principals and tokens by requestPrincipals",
        ],
    );
}

#[test]
fn roles_with_their_bindings_are_policies() {
    check(
        "\
apiVersion: rbac.istio.io/v1alpha1
kind: ClusterRbacConfig
metadata: {name: default}
spec:
  mode: ON_WITH_INCLUSION
  inclusion: {namespaces: [shop]}
---
apiVersion: rbac.istio.io/v1alpha1
kind: ServiceRole
metadata: {name: viewer, namespace: shop}
spec:
  rules:
  - services: [reviews.shop.svc.cluster.local]
    methods: [GET]
    paths: ['*']
    constraints:
    - {key: 'destination.labels[version]', values: [v1]}
    - {key: 'request.headers[x-team]', values: [a, b]}
---
apiVersion: rbac.istio.io/v1alpha1
kind: ServiceRoleBinding
metadata: {name: viewers, namespace: shop}
spec:
  subjects:
  - user: cluster.local/ns/shop/sa/page
  - properties: {source.namespace: istio-system, 'request.auth.claims[group]': admin}
  roleRef: {kind: ServiceRole, name: viewer}
---
apiVersion: rbac.istio.io/v1alpha1
kind: ServiceRole
metadata: {name: other, namespace: elsewhere}
spec: {rules: [{services: ['*']}]}
---
apiVersion: rbac.istio.io/v1alpha1
kind: ServiceRoleBinding
metadata: {name: others, namespace: elsewhere}
spec:
  subjects: [{user: '*'}]
  roleRef: {kind: ServiceRole, name: other}
",
        "\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: allow-nothing, namespace: shop}
spec: {}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: viewer, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews, version: v1}}
  action: ALLOW
  rules:
  - from: [{source: {principals: [cluster.local/ns/shop/sa/page]}}]
    to: [{operation: {methods: [GET]}}]
    when: [{key: 'request.headers[x-team]', values: [a, b]}]
  - from: [{source: {namespaces: [istio-system]}}]
    to: [{operation: {methods: [GET]}}]
    when:
    - {key: 'request.auth.claims[group]', values: [admin]}
    - {key: 'request.headers[x-team]', values: [a, b]}
",
        &[
            "11 spec: is for the pods with the label app=reviews from now on, since the Service shop/reviews is not known here",
        ],
    );
}

#[test]
fn mistakes_and_losses_are_named() {
    let found = converted(
        "\
apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: {name: a}
spec:
  destination: reviews
---
apiVersion: config.istio.io/v1alpha2
kind: memquota
metadata: {name: handler}
spec: {quotas: []}
---
apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: {name: b}
spec:
  destination: {name: b}
  precedence: high
  colour: blue
",
    );
    let told: Vec<String> = found
        .notes
        .iter()
        .map(|note| format!("{} {} {}", note.span.line, note.level, note.message))
        .collect();
    assert_eq!(
        told,
        [
            "5 Error expected a mapping, found a string",
            "5 Error names no service",
            "7 Warning memquota was for Mixer, which is no more, and is left out: limit rates by an EnvoyFilter with Envoy's local or global rate limit",
            "17 Error expected a whole number, found a string",
            "18 Warning has no counterpart today and is left out",
        ]
    );
}

#[test]
fn what_is_not_old_stays_byte_for_byte_and_comments_stay() {
    let text = "\
# The application.
apiVersion: v1
kind:   Service
metadata: {name: reviews}   # odd
spec: {selector: {app: reviews}}
---
# Everything to v1.
apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata:
  name: reviews-default
spec:
  destination:
    name: reviews
  # the only version
  route:
  - labels:
      version: v1
--- # next
apiVersion: v1
kind: Namespace
metadata: {name: a}
";
    let found = converted(text);
    let expect = "\
# The application.
apiVersion: v1
kind:   Service
metadata: {name: reviews}   # odd
spec: {selector: {app: reviews}}
---
# Everything to v1.
# the only version
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts:
  - reviews
  http:
  - route:
    - destination:
        host: reviews
        subset: v1
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: reviews
spec:
  host: reviews
  subsets:
  - name: v1
    labels:
      version: v1
--- # next
apiVersion: v1
kind: Namespace
metadata: {name: a}
";
    assert_eq!(found.text, expect);
    assert_eq!((found.legacy, found.objects.len()), (1, 4));
    let untouched = "a: 1\n---\nb: 2";
    assert_eq!(converted(untouched).text, format!("{untouched}\n"));
}

#[test]
fn names_that_are_taken_are_left_to_their_objects() {
    let found = converted(
        "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec: {hosts: [a], http: [{route: [{destination: {host: a}}]}]}
---
apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: {name: x}
spec: {destination: {name: a}}
",
    );
    assert_eq!(found.objects[1]["metadata"]["name"], "a-converted");
}
