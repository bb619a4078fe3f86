//! Statuses, as lines of `type=status/reason`.

use serde_json::Value;

use super::*;
use crate::snapshot::testing::snapshot;

/// The wanted status of an object, by kind and name.
#[track_caller]
fn status(text: &str, kind: &str, name: &str) -> Value {
    let (snapshot, _) = snapshot(text);
    let all = statuses(&snapshot);
    let mut found = all
        .iter()
        .filter(|(key, _)| key.kind.name() == kind && &*key.name == name);
    let found = found.next();
    found.map_or(Value::Null, |(_, wanted)| wanted.fields.clone())
}

/// The conditions of a part of a status, in short.
fn short(part: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let conditions = part["conditions"].as_array().into_iter().flatten();
    conditions
        .map(|one| {
            format!(
                "{}={}/{}",
                text(&one["type"]),
                text(&one["status"]),
                text(&one["reason"])
            )
        })
        .collect()
}

const GATEWAY: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: edge, generation: 3}
spec:
  gatewayClassName: istio
  listeners:
  - {name: http, port: 80, protocol: HTTP, hostname: "*.example", allowedRoutes: {namespaces: {from: All}}}
  - {name: own, port: 8080, protocol: HTTP}
---
apiVersion: v1
kind: Service
metadata: {name: front-istio, namespace: edge}
spec: {type: LoadBalancer, clusterIP: 10.0.0.1, ports: [{name: a, port: 80}, {name: b, port: 8080}]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.7}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: front-istio-1, namespace: edge, labels: {kubernetes.io/service-name: front-istio}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.1], conditions: {ready: true}}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.2, ports: [{name: http, port: 80}]}
"#;

const ROUTE: &str = r#"
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop, generation: 2}
spec:
  parentRefs: [{name: front, namespace: edge}]
  hostnames: [web.example]
  rules: [{backendRefs: [{name: web, port: 80}]}]
"#;

#[test]
fn a_gateway_that_is_served_has_addresses_and_counts_its_routes() {
    let status = status(&[GATEWAY, ROUTE].concat(), "Gateway", "front");
    assert_eq!(
        short(&status),
        ["Accepted=True/Accepted", "Programmed=True/Programmed"]
    );
    assert_eq!(status["conditions"][0]["observedGeneration"], 3);
    assert_eq!(status["addresses"][0]["value"], "192.0.2.7");
    let listener = &status["listeners"][0];
    assert_eq!(listener["attachedRoutes"], 1);
    assert_eq!(listener["supportedKinds"][0]["kind"], "HTTPRoute");
    assert_eq!(
        short(listener),
        [
            "Accepted=True/Accepted",
            "Conflicted=False/NoConflicts",
            "Programmed=True/Programmed",
            "ResolvedRefs=True/ResolvedRefs"
        ]
    );
    // The route is of another namespace.
    assert_eq!(status["listeners"][1]["attachedRoutes"], 0);
}

#[test]
fn why_clients_cannot_reach_a_gateway_is_told() {
    for (from, to, reason) in [
        ("name: front-istio, ", "name: other, ", "AddressNotAssigned"),
        ("[{ip: 192.0.2.7}]", "[]", "AddressNotAssigned"),
        (
            "{name: b, port: 8080}",
            "{name: b, port: 9090}",
            "AddressNotAssigned",
        ),
        ("ready: true", "ready: false", "Pending"),
    ] {
        let status = status(&GATEWAY.replace(from, to), "Gateway", "front");
        let expected = format!("Programmed=False/{reason}");
        assert_eq!(short(&status)[1], expected, "{to}");
    }
    let cluster_ip = GATEWAY.replace("type: LoadBalancer", "type: ClusterIP");
    let status = status(&cluster_ip, "Gateway", "front");
    let address = &status["addresses"][0];
    assert_eq!(address["value"], "front-istio.edge.svc.cluster.local");
}

#[test]
fn each_route_tells_why_it_is_not_taken() {
    let granted = "RefNotPermitted";
    for (from, to, expected) in [
        (
            "",
            "",
            ["Accepted=True/Accepted", "ResolvedRefs=True/ResolvedRefs"],
        ),
        (
            "namespace: edge}",
            "namespace: edge, sectionName: none}",
            [
                "Accepted=False/NoMatchingParent",
                "ResolvedRefs=True/ResolvedRefs",
            ],
        ),
        (
            "namespace: edge}",
            "namespace: edge, sectionName: own}",
            [
                "Accepted=False/NotAllowedByListeners",
                "ResolvedRefs=True/ResolvedRefs",
            ],
        ),
        (
            "[web.example]",
            "[web.test]",
            [
                "Accepted=False/NoMatchingListenerHostname",
                "ResolvedRefs=True/ResolvedRefs",
            ],
        ),
        (
            "{name: web, port: 80}",
            "{name: nothing, port: 80}",
            [
                "Accepted=True/Accepted",
                "ResolvedRefs=False/BackendNotFound",
            ],
        ),
        (
            "{name: web, port: 80}",
            "{name: web, port: 81}",
            [
                "Accepted=True/Accepted",
                "ResolvedRefs=False/BackendNotFound",
            ],
        ),
        (
            "{name: web, port: 80}",
            "{name: front-istio, namespace: edge, port: 80}",
            [
                "Accepted=True/Accepted",
                &format!("ResolvedRefs=False/{granted}"),
            ],
        ),
        (
            "{name: web, port: 80}",
            "{group: a.example, kind: Bucket, name: web}",
            ["Accepted=True/Accepted", "ResolvedRefs=False/InvalidKind"],
        ),
    ] {
        let text = [GATEWAY, &ROUTE.replace(from, to)].concat();
        let status = status(&text, "HTTPRoute", "web");
        assert_eq!(status["parents"].as_array().unwrap().len(), 1);
        let parent = &status["parents"][0];
        assert_eq!(parent["controllerName"], "istio.io/gateway-controller");
        assert_eq!(parent["parentRef"]["name"], "front");
        assert_eq!(short(parent), expected, "{to}");
    }
}

#[test]
fn gateways_of_others_are_left_to_them() {
    let other = GATEWAY.replace("gatewayClassName: istio", "gatewayClassName: other");
    let text = [&*other, ROUTE].concat();
    assert_eq!(status(&text, "Gateway", "front"), Value::Null);
    let route = status(&text, "HTTPRoute", "web");
    assert_eq!(route["parents"], serde_json::json!([]));
}

#[test]
fn listeners_tell_what_is_wrong_with_them() {
    let text = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: edge}
spec:
  gatewayClassName: istio
  listeners:
  - {name: own, port: 15021, protocol: HTTP}
  - {name: udp, port: 53, protocol: UDP}
  - {name: a, port: 80, protocol: HTTP}
  - {name: b, port: 80, protocol: TCP}
  - {name: tls, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: missing}]}}
  - {name: other, port: 444, protocol: HTTPS, tls: {certificateRefs: [{name: c, namespace: shop}]}}
  - {name: kinds, port: 81, protocol: HTTP, allowedRoutes: {kinds: [{kind: TCPRoute}, {kind: GRPCRoute}]}}
"#;
    let status = status(text, "Gateway", "front");
    assert_eq!(short(&status)[0], "Accepted=True/ListenersNotValid");
    let listeners = status["listeners"].as_array().unwrap().iter();
    let wrong: Vec<String> = listeners
        .map(|listener| {
            let all = short(listener);
            let wrong = all.iter().filter(|one| match one.split_once('=') {
                Some(("Conflicted", status)) => status.starts_with("True"),
                Some((_, status)) => status.starts_with("False"),
                None => true,
            });
            wrong.cloned().collect::<Vec<_>>().join(" ")
        })
        .collect();
    let conflict =
        "Accepted=False/ProtocolConflict Conflicted=True/ProtocolConflict Programmed=False/Invalid";
    assert_eq!(
        wrong,
        [
            "Accepted=False/PortUnavailable Programmed=False/Invalid",
            "Accepted=False/UnsupportedProtocol Programmed=False/Invalid",
            conflict,
            conflict,
            "Programmed=False/Invalid ResolvedRefs=False/InvalidCertificateRef",
            "Programmed=False/Invalid ResolvedRefs=False/RefNotPermitted",
            "ResolvedRefs=False/InvalidRouteKinds",
        ]
    );
    let kinds = &status["listeners"][6]["supportedKinds"];
    assert_eq!(kinds.as_array().unwrap().len(), 1);
}

#[test]
fn classes_of_ours_are_accepted() {
    let class = |controller: &str| {
        let text = format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: c}}\nspec: {{controllerName: {controller}}}\n"
        );
        short(&status(&text, "GatewayClass", "c"))
    };
    assert_eq!(
        class("istio.io/gateway-controller"),
        ["Accepted=True/Accepted"]
    );
    assert!(class("other.example/controller").is_empty());
}

const SET: &str = r#"
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: more, namespace: shop}
spec:
  parentRef: {name: front, namespace: edge}
  listeners:
  - {name: same, port: 80, protocol: HTTP, hostname: "*.example"}
  - {name: further, port: 8090, protocol: HTTP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: set, namespace: shop}
spec:
  parentRefs: [{kind: ListenerSet, name: more}]
  rules: [{backendRefs: [{name: web, port: 80}]}]
"#;

#[test]
fn listeners_of_a_set_belong_to_a_gateway_that_allows_them() {
    let refused = status(&[GATEWAY, SET].concat(), "ListenerSet", "more");
    assert_eq!(
        short(&refused),
        ["Accepted=False/NotAllowed", "Programmed=False/Invalid"]
    );
    let class = "gatewayClassName: istio";
    let allows = format!("{class}\n  allowedListeners: {{namespaces: {{from: All}}}}");
    let text = [&GATEWAY.replace(class, &allows), SET].concat();
    let set = status(&text, "ListenerSet", "more");
    assert_eq!(
        short(&set),
        ["Accepted=True/Accepted", "Programmed=True/Programmed"]
    );
    // What the Gateway has is its own; the route is at the other one.
    let [same, further] = [&set["listeners"][0], &set["listeners"][1]];
    assert_eq!(short(same)[0], "Accepted=False/HostnameConflict");
    assert_eq!(short(further)[0], "Accepted=True/Accepted");
    assert_eq!(further["attachedRoutes"], 1);
    let gateway = status(&text, "Gateway", "front");
    assert_eq!(gateway["listeners"].as_array().unwrap().len(), 2);
    // The Service lacks the port of the set until it is applied again.
    assert_eq!(short(&gateway)[1], "Programmed=False/AddressNotAssigned");
}

#[test]
fn policies_for_backends_are_told_for_the_gateways_that_lead_there() {
    let policy = r#"
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: web, namespace: shop}
spec:
  targetRefs: [{group: "", kind: Service, name: web}]
  validation: {hostname: web.example, wellKnownCACertificates: System}
"#;
    let with = |from: &str, to: &str| {
        let text = [GATEWAY, ROUTE, &policy.replace(from, to)].concat();
        status(&text, "BackendTLSPolicy", "web")["ancestors"].clone()
    };
    let ancestors = with("", "");
    assert_eq!(ancestors[0]["ancestorRef"]["name"], "front");
    assert_eq!(
        short(&ancestors[0]),
        ["Accepted=True/Accepted", "ResolvedRefs=True/ResolvedRefs"]
    );
    let system = "wellKnownCACertificates: System";
    let references =
        |kind: &str| format!("caCertificateRefs: [{{group: \"\", kind: {kind}, name: missing}}]");
    for (kind, reason) in [
        ("ConfigMap", "InvalidCACertificateRef"),
        ("Bucket", "InvalidKind"),
    ] {
        let ancestors = with(system, &references(kind));
        let expected = format!("ResolvedRefs=False/{reason}");
        assert_eq!(
            short(&ancestors[0]),
            ["Accepted=False/NoValidCACertificate", &expected]
        );
    }
    // No route leads there.
    assert_eq!(with("name: web}]", "name: other}]"), serde_json::json!([]));
}

#[test]
fn an_ingress_is_told_the_address_of_its_gateway() {
    let text = r#"
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: istio-system}
spec: {type: LoadBalancer, clusterIP: 10.0.0.1, ports: [{name: http2, port: 80}]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.7}, {hostname: lb.example}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop, annotations: {kubernetes.io/ingress.class: istio}}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
"#;
    let found = status(text, "Ingress", "web");
    let expected = serde_json::json!([{"ip": "192.0.2.7"}, {"hostname": "lb.example"}]);
    assert_eq!(found["loadBalancer"]["ingress"], expected);
    let foreign = text.replace("ingress.class: istio", "ingress.class: other");
    assert_eq!(status(&foreign, "Ingress", "web"), Value::Null);
}
