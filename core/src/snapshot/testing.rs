//! Objects for tests from YAML text.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::{ChangeSet, Snapshot, SnapshotOptions};
use crate::diag::Diagnostic;
use crate::resource::{Resource, ResourceKey, decode};
use crate::source::parse;

/// The snapshot of the documents in a text.
#[track_caller]
pub(crate) fn snapshot(text: &str) -> (Snapshot, Vec<Diagnostic>) {
    Snapshot::build(resources(text), &SnapshotOptions::default())
}

/// The objects of the documents in a text, which must all be in order.
#[track_caller]
pub(crate) fn resources(text: &str) -> Vec<Arc<Resource>> {
    let (documents, mut findings) = parse("input.yaml", text);
    let mut resources = Vec::new();
    for document in &documents {
        let (resource, more) = decode(document, None);
        resources.extend(resource.map(Arc::new));
        findings.extend(more);
    }
    assert_eq!(findings, []);
    resources
}

/// What happens step by step: in each step some objects of the world get another version or go.
pub(crate) type History = Vec<Vec<(usize, Option<usize>)>>;

/// Any history.
pub(crate) fn history() -> impl Strategy<Value = History> {
    let event = (0..WORLD.len(), prop::option::weighted(0.8, 0usize..5));
    let step = prop::collection::vec(event, 1..4);
    let first = prop::collection::vec((0..WORLD.len(), Just(Some(0))), 0..24);
    (first, prop::collection::vec(step, 1..10)).prop_map(|(first, mut steps)| {
        steps.insert(0, first);
        steps
    })
}

/// Makes the changes of a step to the objects.
pub(crate) fn changes(
    step: &[(usize, Option<usize>)],
    objects: &mut BTreeMap<ResourceKey, Arc<Resource>>,
) -> ChangeSet {
    let mut changes = ChangeSet::default();
    for &(object, version) in step {
        let versions = versions(object);
        let Some(key) = versions.first().map(|first| first.key.clone()) else {
            continue;
        };
        let after = version.and_then(|version| versions.get(version % versions.len()).cloned());
        let before = match &after {
            Some(after) => objects.insert(key.clone(), after.clone()),
            None => objects.remove(&key),
        };
        changes.record(&key, before, after);
    }
    changes
}

/// The versions of an object of the world.
fn versions(object: usize) -> Vec<Arc<Resource>> {
    let (head, specs) = WORLD[object];
    specs
        .iter()
        .flat_map(|spec| resources(&[head, "\n", spec, "\n"].concat()))
        .collect()
}

/// Objects that have much to do with each other, each with several versions.
const WORLD: &[(&str, &[&str])] = &[
    (
        "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: x}",
        &[
            "spec: {clusterIP: 10.0.0.1, selector: {app: a}, ports: [{name: http, port: 80}]}",
            "spec: {clusterIP: 10.0.0.1, selector: {app: a}, ports: [{name: http, port: 80, targetPort: web}, {name: tcp, port: 90}]}",
            "spec: {clusterIP: None, selector: {app: special}, ports: [{name: tcp, port: 90}, {port: 80}]}",
            "spec: {clusterIP: 10.0.0.9, selector: {app: a}, ports: [{name: http, port: 8080}]}",
        ],
    ),
    (
        "apiVersion: v1\nkind: Service\nmetadata: {name: b, namespace: z}",
        &[
            "spec: {clusterIP: 10.0.0.2, ports: [{name: http, port: 80}]}",
            "spec: {clusterIP: 10.0.0.2, ports: [{name: grpc, port: 80}, {name: mysql, port: 90}]}",
            "spec: {type: ExternalName, externalName: a.com, ports: [{name: http, port: 80}]}",
            "spec: {clusterIP: 10.0.0.1, ports: [{port: 80}, {name: tcp, port: 90}]}",
        ],
    ),
    (
        "apiVersion: v1\nkind: Service\nmetadata: {name: b, namespace: x, annotations: {networking.istio.io/exportTo: '.'}}",
        &[
            "spec: {clusterIP: 10.0.0.3, ports: [{name: http, port: 80}]}",
            "spec: {clusterIP: 10.0.0.3, ports: [{name: http, port: 81}, {name: tcp, port: 90}]}",
            "spec: {clusterIP: 10.0.0.1, ports: [{port: 80}, {name: http, port: 82}]}",
        ],
    ),
    (
        "apiVersion: v1\nkind: Service\nmetadata: {name: c, namespace: z, annotations: {networking.istio.io/exportTo: 'x'}}",
        &[
            "spec: {clusterIP: 10.0.0.4, ports: [{name: http, port: 80}]}",
            "spec: {clusterIP: None, ports: [{name: http, port: 80}]}",
            "spec: {type: ExternalName, externalName: b.z.svc.cluster.local}",
        ],
    ),
    (
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: one, namespace: x, creationTimestamp: '2024-01-01T00:00:00Z'}",
        &[
            "spec: {hosts: [a.com, b.com], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: 1.1.1.1}]}",
            "spec: {hosts: [a.com], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: 1.1.1.2, labels: {version: v1}}]}",
            "spec: {hosts: [a.com], resolution: DNS, location: MESH_EXTERNAL, addresses: [10.0.0.1], ports: [{number: 90, name: tcp, protocol: TCP}, {number: 80, name: x, protocol: HTTP}]}",
            "spec: {hosts: ['*.com'], exportTo: ['.'], resolution: NONE, ports: [{number: 80, name: http, protocol: HTTP}, {number: 70000, name: bad, protocol: HTTP}]}",
        ],
    ),
    (
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: two, namespace: x, creationTimestamp: '2024-01-02T00:00:00Z'}",
        &[
            "spec: {hosts: [b.com], resolution: STATIC, ports: [{number: 8443, name: http, protocol: HTTP}], endpoints: [{address: 2.2.2.2}]}",
            "spec: {hosts: [a.com, c.b.com], resolution: STATIC, location: MESH_INTERNAL, ports: [{number: 8443, name: http, protocol: HTTP}], endpoints: [{address: 3.3.3.3}]}",
            "spec: {hosts: [a.com], resolution: STATIC, workloadSelector: {labels: {app: special}}, ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]}",
        ],
    ),
    (
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: three, namespace: z}",
        &[
            "spec: {hosts: [a.com], exportTo: ['.'], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}], endpoints: [{address: 4.4.4.4}]}",
            "spec: {hosts: [b.z, a.x], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}",
            "spec: {hosts: [b.x.svc.cluster.local, b], resolution: STATIC, addresses: [10.0.0.2], ports: [{number: 80, name: http, protocol: HTTP}, {number: 90, name: tcp, protocol: TCP}], endpoints: [{address: 5.5.5.5}]}",
        ],
    ),
    (
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a-1, namespace: x, labels: {kubernetes.io/service-name: a}}\naddressType: IPv4",
        &[
            "ports: [{name: http, port: 80}]\nendpoints: [{addresses: [10.1.0.1]}, {addresses: [10.1.0.2], targetRef: {kind: Pod, name: pod-1, namespace: x}}]",
            "ports: [{name: http, port: 80}]\nendpoints: [{addresses: [10.1.0.2], nodeName: node}]",
            "ports: [{name: tcp, port: 90}, {port: 80}]\nendpoints: [{addresses: [10.1.0.1], conditions: {ready: false}}, {addresses: [10.1.0.3]}]",
        ],
    ),
    (
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: b-1, namespace: z, labels: {kubernetes.io/service-name: b}}\naddressType: IPv4",
        &[
            "ports: [{name: http, port: 80}]\nendpoints: [{addresses: [10.1.0.2]}]",
            "ports: [{name: grpc, port: 80}, {name: mysql, port: 90}]\nendpoints: [{addresses: [10.1.0.4], targetRef: {kind: Pod, name: pod-2, namespace: x}}]",
        ],
    ),
    (
        "apiVersion: v1\nkind: Endpoints\nmetadata: {name: a, namespace: x}",
        &["subsets: [{addresses: [{ip: 10.1.0.2}], ports: [{name: http, port: 80}]}]"],
    ),
    (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: pod-1, namespace: x, labels: {app: special, version: v1}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: set, uid: u, controller: true}]}",
        &[
            "spec: {nodeName: node, containers: [{name: c, ports: [{name: web, containerPort: 8000}]}]}\nstatus: {podIP: 10.1.0.2, conditions: [{type: Ready, status: 'True'}]}",
            "spec: {containers: []}\nstatus: {podIP: 10.1.0.1}",
            "spec: {nodeName: node, containers: []}\nstatus: {podIP: 10.1.0.2, phase: Failed}",
        ],
    ),
    (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: pod-2, namespace: x, labels: {app: special, version: v2}}",
        &[
            "spec: {nodeName: node, containers: []}\nstatus: {podIP: 10.1.0.2, conditions: [{type: Ready, status: 'True'}]}",
            "spec: {containers: []}\nstatus: {podIP: 10.1.0.4}",
        ],
    ),
    (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: pod-3, namespace: z, labels: {app: special, security.istio.io/tlsMode: istio}}",
        &[
            "spec: {serviceAccountName: one, containers: []}\nstatus: {podIP: 10.1.0.3}",
            "spec: {containers: []}\nstatus: {podIP: 10.1.0.2, conditions: [{type: Ready, status: 'True'}]}",
        ],
    ),
    (
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: mesh, namespace: istio-system}",
        &[
            "spec: {mtls: {mode: STRICT}}",
            "spec: {mtls: {mode: DISABLE}}",
            "spec: {selector: {matchLabels: {app: special}}, mtls: {mode: STRICT}}",
        ],
    ),
    (
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: one, namespace: x}",
        &[
            "spec: {mtls: {mode: STRICT}}",
            "spec: {selector: {matchLabels: {app: special}}, mtls: {mode: DISABLE}, portLevelMtls: {80: {mode: STRICT}, 7777: {mode: STRICT}}}",
            "spec: {mtls: {mode: UNSET}}",
        ],
    ),
    (
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: two, namespace: z}",
        &[
            "spec: {selector: {matchLabels: {app: special}}, portLevelMtls: {80: {mode: DISABLE}}}",
            "spec: {mtls: {mode: DISABLE}}",
        ],
    ),
    (
        "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: vm, namespace: x}",
        &[
            "spec: {address: 1.1.1.2, labels: {app: special, version: v1}}",
            "spec: {address: 1.1.1.2, labels: {app: a}, ports: {http: 7777, web: 8000}}",
            "spec: {address: 1.1.1.3, labels: {app: special, security.istio.io/tlsMode: istio}, serviceAccount: vm, weight: 3}",
            "spec: {address: vm.example.com, labels: {app: special}}",
        ],
    ),
    (
        "apiVersion: v1\nkind: Node\nmetadata: {name: node, labels: {topology.kubernetes.io/region: r}}",
        &["spec: {}", "status: {}"],
    ),
    (
        "apiVersion: v1\nkind: Node\nmetadata: {name: node, labels: {topology.kubernetes.io/region: other}}",
        &["spec: {}"],
    ),
    (
        "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: set, namespace: x, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: owner, uid: u, controller: true}]}",
        &["spec: {selector: {matchLabels: {app: special}}}"],
    ),
    (
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: one, namespace: x, creationTimestamp: '2024-01-01T00:00:00Z'}",
        &[
            "spec: {host: a, subsets: [{name: v1, labels: {version: v1}}]}",
            "spec: {host: a, trafficPolicy: {loadBalancer: {simple: RANDOM}}, subsets: [{name: v1, labels: {version: v1}}, {name: v1}]}",
            "spec: {host: '*.com', exportTo: ['.'], trafficPolicy: {connectionPool: {tcp: {maxConnections: -1}}}}",
            "spec: {host: b.z.svc.cluster.local, trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}}",
            "spec: {host: b.z.svc.cluster.local, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}}",
        ],
    ),
    (
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: two, namespace: x}",
        &[
            "spec: {host: a, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}, subsets: [{name: v2, labels: {version: v2}}]}",
            "spec: {host: a.com, workloadSelector: {matchLabels: {app: special}}, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}, subsets: [{name: mine}]}",
            "spec: {host: a, trafficPolicy: {outlierDetection: {interval: 3s}}}",
        ],
    ),
    (
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: root, namespace: istio-system}",
        &[
            "spec: {host: '*.local', trafficPolicy: {connectionPool: {tcp: {idleTimeout: 5s}}}}",
            "spec: {host: '*', subsets: [{name: v9}]}",
            "spec: {host: '*.local', trafficPolicy: {outlierDetection: {interval: 3s}, loadBalancer: {localityLbSetting: {failoverPriority: [app]}}}}",
        ],
    ),
    (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: one, namespace: x, creationTimestamp: '2024-01-01T00:00:00Z'}",
        &[
            "spec: {hosts: [a], http: [{route: [{destination: {host: a, subset: v1}}]}]}",
            "spec: {hosts: [a, b.com, none.com], http: [{match: [{sourceLabels: {app: special}}], route: [{destination: {host: b.com}}]}, {route: [{destination: {host: b.z.svc.cluster.local}}]}]}",
            "spec: {hosts: ['*.com'], exportTo: ['.'], http: [{route: [{destination: {host: a.com}}]}], tcp: [{route: [{destination: {host: b}}]}]}",
            "spec: {hosts: [a], gateways: [gw], http: [{route: [{destination: {host: a}}]}]}",
            "spec: {hosts: [a, none.com], gateways: [gw, mesh], http: [{match: [{uri: {prefix: /t}}], delegate: {name: team, namespace: z}}, {route: [{destination: {host: a}}]}]}",
        ],
    ),
    (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: team, namespace: z}",
        &[
            "spec: {http: [{route: [{destination: {host: b}}]}]}",
            "spec: {exportTo: ['.'], http: [{route: [{destination: {host: b}}]}]}",
            "spec: {http: [{match: [{sourceLabels: {app: special}}], route: [{destination: {host: a.com}}]}, {route: [{destination: {host: c}}]}]}",
            "spec: {hosts: [b], http: [{match: [{uri: {prefix: /t}}], route: [{destination: {host: b}}]}]}",
        ],
    ),
    (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: two, namespace: z}",
        &[
            "spec: {hosts: [a.x.svc.cluster.local], http: [{redirect: {uri: /}}]}",
            "spec: {hosts: [b, c], exportTo: [x], http: [{match: [{sourceNamespace: x}], route: [{destination: {host: c}}]}], tcp: [{route: [{destination: {host: b}}]}]}",
            "spec: {hosts: [none.com, b], http: [{route: [{destination: {host: a.com}}]}]}",
            "spec: {hosts: ['*'], http: [{match: [{port: 80}], route: [{destination: {host: '*.com'}}]}]}",
        ],
    ),
    (
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: x}",
        &[
            "spec: {selector: {app: special}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}",
            "spec: {selector: {app: special}, servers: [{port: {number: 90, name: http, protocol: HTTP}, hosts: [a.com]}]}",
        ],
    ),
    (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}",
        &[
            "data: {mesh: 'outboundTrafficPolicy: {mode: REGISTRY_ONLY}'}",
            "data: {mesh: 'defaultServiceExportTo: [\".\"]'}",
            "data: {mesh: 'accessLogFile: /dev/stdout'}",
            "data: {mesh: 'trustDomainAliases: [old.example]'}",
            "data: {mesh: 'localityLbSetting: {distribute: [{from: r, to: {r: 100}}]}'}",
        ],
    ),
    (
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: own, namespace: x}",
        &[
            "spec: {}",
            "spec: {action: DENY, rules: [{to: [{operation: {paths: [/admin*]}}]}]}",
            "spec: {selector: {matchLabels: {app: special}}, rules: [{from: [{source: {namespaces: [x]}}]}]}",
            "spec: {selector: {matchLabels: {app: a}}, action: AUDIT, rules: [{}]}",
            "spec: {action: CUSTOM, provider: {name: none}, rules: [{to: [{operation: {paths: [/x]}}]}]}",
        ],
    ),
    (
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: mesh, namespace: istio-system}",
        &[
            "spec: {action: DENY, rules: [{to: [{operation: {ports: ['90']}}]}]}",
            "spec: {rules: [{from: [{source: {principals: [cluster.local/ns/x/sa/a]}}]}]}",
        ],
    ),
    (
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: tokens, namespace: x}",
        &[
            "spec: {jwtRules: [{issuer: a, jwksUri: 'https://a.example/keys'}]}",
            "spec: {selector: {matchLabels: {app: special}}, jwtRules: [{issuer: a, jwks: '{\"keys\": []}'}, {issuer: b, jwksUri: 'https://b.example/keys', fromHeaders: [{name: x}]}]}",
        ],
    ),
    (
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: front, namespace: x}",
        &[
            "spec: {gatewayClassName: istio, addresses: [{type: Hostname, value: a.x.svc.cluster.local}], listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]}",
            "spec: {gatewayClassName: istio, listeners: [{name: http, port: 90, protocol: HTTP}, {name: tls, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}]}",
            "spec: {gatewayClassName: other, listeners: [{name: http, port: 80, protocol: HTTP}]}",
        ],
    ),
    (
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: route, namespace: z}",
        &[
            "spec: {parentRefs: [{name: front, namespace: x}], rules: [{backendRefs: [{name: b, port: 80}]}]}",
            "spec: {parentRefs: [{group: '', kind: Service, name: b}], rules: [{matches: [{path: {value: /t}}], backendRefs: [{name: a, namespace: x, port: 80}]}]}",
            "spec: {parentRefs: [{group: '', kind: Service, name: a, namespace: x}], rules: [{backendRefs: [{name: b, port: 80}]}]}",
        ],
    ),
    (
        "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {name: grant, namespace: x}",
        &[
            "spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: z}], to: [{group: '', kind: Service}]}",
        ],
    ),
    (
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web, namespace: z}",
        &[
            "spec: {ingressClassName: istio, tls: [{secretName: cert}], rules: [{host: a.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: b, port: {number: 80}}}}]}}]}",
            "spec: {ingressClassName: istio, defaultBackend: {service: {name: b, port: {name: http}}}}",
            "spec: {defaultBackend: {service: {name: b, port: {number: 80}}}}",
        ],
    ),
];
