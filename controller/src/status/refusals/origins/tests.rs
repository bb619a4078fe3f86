//! The objects of every resource of a sidecar and of a gateway.

use std::sync::Arc;

use mesh_core::snapshot::SnapshotOptions;
use mesh_core::source;
use mesh_core::translate::Translator;

use super::*;

const CONFIG: &str = "
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {clusterIP: 10.0.0.1, selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: ingress, namespace: default}
spec: {clusterIP: 10.0.0.2, selector: {app: ingress}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: out, namespace: default}
spec:
  hosts: [db.example.com]
  addresses: [10.9.0.1]
  resolution: STATIC
  ports: [{name: tcp, number: 3306, protocol: TCP}]
  endpoints: [{address: 10.9.9.9}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews-rule, namespace: default}
spec: {host: reviews, trafficPolicy: {loadBalancer: {simple: RANDOM}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews-route, namespace: default}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews}}]}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  selector: {app: ingress}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: front-cert}}
";

/// What is refused, by type and name, and the objects that are told.
type Case = (ResourceType, &'static str, &'static [&'static str]);

#[track_caller]
fn check(kind: ProxyKind, app: &str, cases: &[Case]) {
    let (documents, findings) = source::parse("test", CONFIG);
    assert!(findings.is_empty(), "{findings:?}");
    let decode = |document| mesh_core::resource::decode(document, None).0.map(Arc::new);
    let objects = documents.iter().filter_map(decode).collect();
    let (snapshot, _) = Snapshot::build(objects, &SnapshotOptions::default());
    let translator = Translator::new(Arc::new(snapshot));
    let mut node = NodeInfo::new(kind, None, "p-1", "default");
    node.set_labels(&[("app".to_owned(), app.to_owned())].into());
    let config = translator.translate(&node.scope()).config;
    let origins = Origins {
        config: &config,
        snapshot: translator.snapshot(),
        node: &node,
    };
    for (kind, name, expected) in cases {
        let found = origins.of(*kind, name);
        let found: Vec<String> = found
            .iter()
            .map(|key| format!("{:?}/{}", key.kind, key.name))
            .collect();
        assert_eq!(found, *expected, "{kind} {name}");
    }
}

#[test]
fn of_a_sidecar() {
    let reviews = "outbound|9080||reviews.default.svc.cluster.local";
    let database = "outbound|3306||db.example.com";
    check(
        ProxyKind::Sidecar,
        "client",
        &[
            (
                ResourceType::Cluster,
                reviews,
                &["DestinationRule/reviews-rule"],
            ),
            (
                ResourceType::Endpoints,
                reviews,
                &["DestinationRule/reviews-rule"],
            ),
            (ResourceType::Cluster, database, &["ServiceEntry/out"]),
            (ResourceType::Endpoints, database, &["ServiceEntry/out"]),
            (
                ResourceType::Route,
                "9080",
                &["VirtualService/reviews-route"],
            ),
            (
                ResourceType::VirtualHost,
                "9080/reviews.default.svc.cluster.local:9080",
                &["VirtualService/reviews-route"],
            ),
            (ResourceType::VirtualHost, "9080/other:9080", &[]),
            (
                ResourceType::Listener,
                "10.9.0.1_3306",
                &["ServiceEntry/out"],
            ),
            (ResourceType::Listener, "0.0.0.0_9080", &[]),
            (ResourceType::Secret, "kubernetes://front-cert", &[]),
        ],
    );
}

#[test]
fn of_a_gateway() {
    check(
        ProxyKind::Gateway,
        "ingress",
        &[
            (ResourceType::Listener, "0.0.0.0_8080", &["Gateway/front"]),
            (
                ResourceType::Secret,
                "kubernetes://front-cert",
                &["Gateway/front"],
            ),
            (
                ResourceType::Secret,
                "kubernetes://default/front-cert-cacert",
                &["Gateway/front"],
            ),
            (ResourceType::Secret, "kubernetes://other", &[]),
        ],
    );
}
