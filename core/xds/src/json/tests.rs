//! JSON beside the values that it was written from.

use std::sync::Arc;
use std::time::Duration;

use mesh_ir::{
    ClientPolicy, Cluster, ClusterKind, Endpoint, EndpointHealth, Endpoints, HttpProtocol, Limits,
    LocalityEndpoints, Secret, SecretKind, SecretText, ServiceRef,
};
use serde_json::json;

use super::*;
use crate::XdsResource;

fn endpoints() -> Endpoints {
    Endpoints {
        cluster: "a".into(),
        localities: vec![LocalityEndpoints::new(
            mesh_ir::Locality::default(),
            vec![Endpoint {
                weight: 3,
                health: EndpointHealth::Draining,
                ..Endpoint::new(([127, 0, 0, 1], 80).into())
            }],
        )],
    }
}

#[test]
fn clusters_look_like_envoys() {
    let cluster = Cluster {
        client: ClientPolicy {
            connect_timeout: Duration::from_millis(1_500),
            protocol: HttpProtocol::Http2,
            limits: Limits {
                max_connections: Some(7),
                idle_timeout: Some(Duration::from_secs(60)),
                ..Limits::default()
            },
            ..ClientPolicy::default()
        },
        services: vec![ServiceRef {
            host: "a.default.svc".into(),
            name: "a".into(),
            namespace: "default".into(),
        }],
        ..Cluster::new("a", ClusterKind::Static(Arc::new(endpoints())))
    };
    let limit = u32::MAX;
    assert_eq!(
        any_to_json(&cluster.encode()).unwrap(),
        json!({
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": "a",
            "type": "STATIC",
            "connect_timeout": "1.500s",
            "lb_policy": "LEAST_REQUEST",
            "load_assignment": {
                "cluster_name": "a",
                "endpoints": [{
                    "locality": {},
                    "lb_endpoints": [{
                        "endpoint": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": 80 } } },
                        "health_status": "DRAINING",
                        "load_balancing_weight": 3,
                    }],
                }],
            },
            "circuit_breakers": { "thresholds": [{
                "max_connections": 7,
                "max_pending_requests": limit,
                "max_requests": limit,
                "max_retries": limit,
                "track_remaining": true,
            }] },
            "metadata": { "filter_metadata": { "istio": { "services": [
                { "host": "a.default.svc", "name": "a", "namespace": "default" },
            ] } } },
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "common_http_protocol_options": { "idle_timeout": "60s" },
                    "explicit_http_config": { "http2_protocol_options": {} },
                },
            },
        })
    );
}

#[test]
fn private_keys_are_not_shown() {
    let secret = Secret {
        name: "default".into(),
        kind: SecretKind::Certificate {
            chain: "CHAIN".into(),
            key: SecretText("KEY".into()),
        },
    };
    let shown = any_to_json(&secret.encode()).unwrap().to_string();
    // CHAIN, KEY and [redacted] in base64.
    assert!(shown.contains("Q0hBSU4="), "{shown}");
    assert!(!shown.contains("KEY") && !shown.contains("S0VZ"), "{shown}");
    assert!(shown.contains("W3JlZGFjdGVkXQ=="), "{shown}");
}
