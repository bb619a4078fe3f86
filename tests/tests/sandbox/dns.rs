//! DNS of pods, answered by their proxies: hosts that no DNS server knows, addresses that the control plane gives, pods of headless
//! Services, and everything else by the cluster's server.

use mesh_tests::eventually;

use crate::exec;
use crate::namespaces::{has, is_possible, up};
use crate::sandbox::SETTLED;

/// A server at a port that nobody knows, a headless Service of two pods with names, and a client.
const APPS: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: legacy}
spec:
  clusterIP: 10.96.7.7
  selector: {app: legacy}
  ports: [{name: http, port: 4154}]
---
apiVersion: v1
kind: Pod
metadata: {name: legacy, labels: {app: legacy}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: legacy, image: example.test/web}]
---
apiVersion: v1
kind: Service
metadata: {name: peers}
spec:
  clusterIP: None
  selector: {app: peers}
  ports: [{name: http, port: 4154}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: peer}
spec:
  serviceName: peers
  replicas: 2
  selector: {matchLabels: {app: peers}}
  template:
    metadata: {labels: {app: peers}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: peer, image: example.test/web}]
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: client, image: example.test/shell}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: myapp}
spec:
  hosts: [myapp.local]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.96.7.7, ports: {http: 4154}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: store}
spec:
  hosts: [store.local]
  ports: [{number: 7000, name: tcp, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 10.96.7.7, ports: {tcp: 4154}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: tenants}
spec:
  hosts: ["*.tenants.local"]
  addresses: [240.240.7.8]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.96.7.7, ports: {http: 4154}}]
"#;

#[test]
fn hosts_without_dns_are_reached_by_their_names() {
    if !is_possible() || !has(&["curl", "/usr/bin/python3", "getent"]) {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("apps.yaml");
    std::fs::write(&file, APPS).unwrap();
    let file = file.display().to_string();
    let sandbox = up(
        "dns",
        &[
            "-f",
            &file,
            "--image",
            "web=/usr/bin/python3 -m http.server 4154 --directory /usr/share/doc",
            "--image",
            "shell=sleep 1000000",
            "--set",
            "meshConfig.defaultConfig.proxyMetadata.ISTIO_META_DNS_CAPTURE=true",
            "--set",
            "meshConfig.accessLogFile=/dev/stdout",
        ],
    );
    let run = |command: &str| exec::run(&sandbox, "client", "client", &["sh", "-c", command]);
    let address = |name: &str| run(&format!("getent ahostsv4 {name} | head -1 || true"));
    let code = |url: &str| {
        run(&format!(
            "curl -s -m 5 -o /dev/null -w '%{{http_code}}' {url} || true"
        ))
    };

    // A host that only a ServiceEntry knows, and hosts that a pattern covers.
    eventually("the proxy knows the host", SETTLED, || {
        address("myapp.local").starts_with("240.240.").then_some(())
    });
    assert_eq!(code("http://myapp.local/"), "200");
    assert!(address("a.tenants.local").starts_with("240.240.7.8 "));
    assert_eq!(code("http://a.tenants.local/"), "200");
    // Connections, which name no host, are told by the address that the host was given.
    assert_eq!(code("http://store.local:7000/"), "200");
    let log = eventually("all is logged", SETTLED, || {
        let log = sandbox.run(&["sandbox", "logs", "client", "--container", "istio-proxy"]);
        log.contains("outbound|7000||store.local").then_some(log)
    });
    assert!(log.contains("outbound|80||myapp.local"), "{log}");
    assert!(!log.contains("PassthroughCluster"), "{log}");

    // Services and pods of a headless one, in all forms of their names.
    for name in [
        "legacy",
        "legacy.default",
        "legacy.default.svc",
        "legacy.default.svc.cluster.local",
    ] {
        assert!(address(name).starts_with("10.96.7.7 "), "{name}");
    }
    assert_eq!(code("http://peer-0.peers.default:4154/"), "200");

    // The cluster's server is asked for others, and its answers arrive.
    assert_eq!(address("nobody.default.svc.cluster.local"), "");
    assert!(address("kubernetes.default").starts_with("10.96."));
    let reverse = run("getent hosts 10.96.7.7 || true");
    assert!(
        reverse.contains("legacy.default.svc.cluster.local"),
        "{reverse}"
    );
}
