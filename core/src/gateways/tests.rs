//! Which Gateways get what, and how it looks.

use serde_json::{Value, json};

use super::*;
use crate::snapshot::testing::snapshot;

/// What is made for the Gateway of a text.
#[track_caller]
fn made(text: &str) -> Option<[Value; 3]> {
    let (snapshot, _) = snapshot(text);
    let all = managed(&snapshot, &InjectConfig::default(), "default");
    let gateway = all.into_iter().next()?;
    let values: Vec<Value> = gateway.objects.into_iter().map(|one| one.value).collect();
    Some(values.try_into().expect("three objects"))
}

const GATEWAY: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: shop, uid: u-1, annotations: {networking.istio.io/service-type: ClusterIP}}
spec:
  gatewayClassName: istio
  infrastructure:
    labels: {team: a}
    annotations: {cloud: internal}
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: a.b, port: 443, protocol: HTTPS, hostname: a.example, tls: {certificateRefs: [{name: c}]}}
  - {name: second, port: 443, protocol: HTTPS, hostname: b.example, tls: {certificateRefs: [{name: c}]}}
  - {name: udp, port: 53, protocol: UDP}
"#;

#[test]
fn a_gateway_runs_on_an_account_a_deployment_and_a_service_of_its_own() {
    let [account, deployment, service] = made(GATEWAY).unwrap();
    let managed = json!({
        "team": "a", "gateway.istio.io/managed": "istio.io-gateway-controller",
        "gateway.networking.k8s.io/gateway-name": "front",
        "gateway.networking.k8s.io/gateway-class-name": "istio",
    });
    for object in [&account, &deployment, &service] {
        let metadata = &object["metadata"];
        assert_eq!(metadata["name"], "front-istio");
        assert_eq!(metadata["namespace"], "shop");
        assert_eq!(metadata["labels"], managed);
        assert_eq!(metadata["annotations"], json!({"cloud": "internal"}));
        let owner = json!([{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "name": "front", "uid": "u-1"}]);
        assert_eq!(metadata["ownerReferences"], owner);
    }
    let selector = json!({"gateway.networking.k8s.io/gateway-name": "front"});
    let spec = &service["spec"];
    assert_eq!(spec["type"], "ClusterIP");
    assert_eq!(spec["selector"], selector);
    let ports = spec["ports"].as_array().unwrap().iter();
    let ports: Vec<(&str, i64)> = ports
        .map(|port| {
            (
                port["name"].as_str().unwrap(),
                port["port"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(ports, [("status-port", 15021), ("http", 80), ("a-b", 443)]);

    let spec = &deployment["spec"];
    assert_eq!(spec["selector"], json!({"matchLabels": selector}));
    let template = &spec["template"];
    let labels = &template["metadata"]["labels"];
    assert_eq!(labels["gateway.networking.k8s.io/gateway-name"], "front");
    assert_eq!(labels["team"], "a");
    assert_eq!(labels["sidecar.istio.io/inject"], "false");
    assert_eq!(labels["service.istio.io/canonical-name"], "front-istio");
    let pod = &template["spec"];
    assert_eq!(pod["serviceAccountName"], "front-istio");
    let sysctl = json!([{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]);
    assert_eq!(pod["securityContext"]["sysctls"], sysctl);
    let container = &pod["containers"][0];
    assert_eq!(container["name"], "istio-proxy");
    assert_eq!(container["args"][1], "router");
}

#[test]
fn only_gateways_without_pods_of_their_own_get_some() {
    let with = |from: &str, to: &str| made(&GATEWAY.replace(from, to)).is_some();
    let class = "gatewayClassName: istio";
    assert!(with("", ""));
    assert!(!with(class, "gatewayClassName: other"));
    assert!(!with(class, "gatewayClassName: istio-remote"));
    let address = |address: &str| format!("{class}\n  addresses: [{address}]");
    let hostname = "{type: Hostname, value: own.shop.svc.cluster.local}";
    assert!(!with(class, &address(hostname)));
    assert!(with(class, &address("{value: 192.0.2.1}")));
    // Another revision looks after it.
    assert!(!with(
        "uid: u-1",
        "uid: u-1, labels: {istio.io/rev: canary}"
    ));
    // Nothing in a cluster can have such a name.
    assert!(!with("name: front", &format!("name: {}", "a".repeat(60))));
}

#[test]
fn what_others_have_made_is_left_alone() {
    let (snapshot, _) = snapshot(GATEWAY);
    let all = managed(&snapshot, &InjectConfig::default(), "default");
    let service = &all[0].objects[2];
    assert!(service.may_replace(&service.value));
    assert!(!service.may_replace(&json!({"metadata": {"name": "front-istio"}})));
    let mut other = service.value.clone();
    other["metadata"]["labels"]["gateway.networking.k8s.io/gateway-name"] = json!("front-2");
    assert!(!service.may_replace(&other));
}
