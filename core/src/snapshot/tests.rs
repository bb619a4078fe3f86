//! Tests of the snapshot as a whole.

use std::collections::BTreeMap;

use super::testing::snapshot;
use super::*;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

const REVIEWS: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: books}
spec:
  clusterIP: 10.0.0.7
  selector: {app: reviews}
  ports: [{name: http, port: 9080, targetPort: web}, {name: dns, port: 53, protocol: UDP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-a, namespace: books, labels: {kubernetes.io/service-name: reviews}}
addressType: IPv4
ports: [{name: http, port: 8000}]
endpoints:
- addresses: [10.1.0.2]
  conditions: {ready: true}
  targetRef: {kind: Pod, name: reviews-v1-abc-1, namespace: books}
- addresses: [10.1.0.1]
- addresses: [10.1.0.3]
  conditions: {ready: false, serving: true, terminating: true}
- addresses: [10.1.0.4]
  conditions: {ready: false}
---
apiVersion: v1
kind: Pod
metadata:
  name: reviews-v1-abc-1
  namespace: books
  labels: {app: reviews, version: v1, pod-template-hash: abc}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: reviews-v1-abc, uid: x, controller: true}]
spec: {nodeName: node-1, containers: []}
status: {podIP: 10.1.0.2}
---
apiVersion: v1
kind: Node
metadata: {name: node-1, labels: {topology.kubernetes.io/region: r, topology.kubernetes.io/zone: z}}
"#;

#[test]
fn instances_join_slices_with_pods() {
    let (snapshot, diagnostics) = snapshot(REVIEWS);
    assert_eq!(diagnostics, []);
    let service = snapshot
        .find_service("reviews.books.svc.cluster.local", "default")
        .unwrap();
    let [port] = service.ports.as_slice() else {
        panic!("UDP ports are left out");
    };
    let instances = snapshot.instances(service, port);
    let listed: Vec<String> = instances
        .iter()
        .map(|instance| {
            let Instance {
                address,
                port,
                workload,
                health,
                ..
            } = instance;
            format!("{address}:{port} {workload} {health:?}")
        })
        .collect();
    assert_eq!(
        listed,
        [
            "10.1.0.1:8000 reviews;books;reviews;latest;Kubernetes Healthy",
            "10.1.0.2:8000 reviews-v1;books;reviews;v1;Kubernetes Healthy",
            "10.1.0.3:8000 reviews;books;reviews;latest;Kubernetes Draining",
        ]
    );
    assert_eq!(&*instances[1].locality.zone, "z");
    assert_eq!(instances[1].labels["version"], "v1");
}

#[test]
fn pods_find_the_services_that_select_them() {
    let (snapshot, _) = snapshot(REVIEWS);
    let found = |namespace, pairs| snapshot.services_selecting(namespace, &labels(pairs)).len();
    assert_eq!(found("books", &[("app", "reviews"), ("x", "y")]), 1);
    assert_eq!(found("books", &[("app", "other")]), 0);
    assert_eq!(found("default", &[("app", "reviews")]), 0);
}

#[test]
fn virtual_services_come_in_the_order_in_which_they_win() {
    let object = |name: &str, created: &str, export_to: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: a, creationTimestamp: {created}}}\nspec: {{hosts: [x], exportTo: [{export_to}]}}\n"
        )
    };
    let text = [
        object("public-new", "2024-01-02T00:00:00Z", "'*'"),
        object("public-old", "2024-01-01T00:00:00Z", "'*'"),
        object(
            "shared",
            "2024-01-03T00:00:00Z",
            "'., b'".trim_matches('\''),
        ),
        object("private", "2024-01-04T00:00:00Z", "'.'"),
        object("root", "2023-01-01T00:00:00Z", "'*'")
            .replace("exportTo", "http: [{delegate: {name: x}}], exportTo"),
    ]
    .concat();
    let (snapshot, _) = snapshot(&text);
    let names = |namespace| {
        snapshot
            .virtual_services_visible_from(namespace)
            .iter()
            .map(|rules| rules.resource.key.name.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(names("a"), "private shared public-old public-new root");
    assert_eq!(names("b"), "shared public-old public-new root");
    assert_eq!(names("c"), "public-old public-new root");
}

const RULES: &str = r#"
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: late, namespace: books, creationTimestamp: "2024-01-02T00:00:00Z"}
spec:
  host: reviews
  trafficPolicy: {loadBalancer: {simple: RANDOM}}
  subsets: [{name: v1, labels: {version: wrong}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: early, namespace: books, creationTimestamp: "2024-01-01T00:00:00Z"}
spec:
  host: reviews.books.svc.cluster.local
  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}
  subsets: [{name: v1, labels: {version: v1}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: mine, namespace: client}
spec:
  host: reviews.books.svc.cluster.local
  workloadSelector: {matchLabels: {app: special}}
  subsets: [{name: mine}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: everywhere, namespace: istio-system}
spec: {host: "*.local", subsets: [{name: root}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: hidden, namespace: shop}
spec: {host: cart, exportTo: ["."], subsets: [{name: hidden}]}
"#;

#[test]
fn destination_rules_are_merged_and_looked_up_by_namespace() {
    let (snapshot, diagnostics) = snapshot(RULES);
    let subsets = |host: &str, client: &str, app: &str, service: &str| {
        let rule = snapshot.destination_rule_for(host, client, &labels(&[("app", app)]), service);
        rule.map_or_else(String::new, |rule| {
            let names = rule.subsets.iter().map(|(subset, _)| subset.name.clone());
            names.collect::<Vec<_>>().join(" ")
        })
    };
    let reviews = "reviews.books.svc.cluster.local";
    assert_eq!(subsets(reviews, "client", "any", "books"), "v1 v2");
    assert_eq!(subsets(reviews, "client", "special", "books"), "mine");
    assert_eq!(subsets(reviews, "other", "special", "books"), "v1 v2");
    let cart = "cart.shop.svc.cluster.local";
    assert_eq!(subsets(cart, "shop", "any", "shop"), "hidden");
    assert_eq!(subsets(cart, "other", "any", "shop"), "root");
    assert_eq!(subsets("example.com", "other", "any", ""), "");

    let rule = snapshot
        .destination_rule_for(reviews, "client", &BTreeMap::new(), "books")
        .unwrap();
    assert_eq!(rule.subset("v1").unwrap().labels["version"], "v1");
    let messages: Vec<&str> = diagnostics.iter().map(|found| &*found.message).collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(snapshot.is_relevant_label("app", "special"));
    assert!(!snapshot.is_relevant_label("app", "any"));
}

#[test]
fn services_of_one_host_have_an_order_of_preference() {
    let (snapshot, _) = snapshot(
        r#"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: old, namespace: a, creationTimestamp: "2024-01-01T00:00:00Z"}
spec: {hosts: [example.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: new, namespace: b, creationTimestamp: "2024-01-02T00:00:00Z"}
spec: {hosts: [example.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: more, namespace: a, creationTimestamp: "2024-01-03T00:00:00Z"}
spec: {hosts: [Example.com], ports: [{number: 443, name: tls, protocol: TLS}], resolution: DNS}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild, namespace: a}
spec: {hosts: ["*.com"], exportTo: ["."], ports: [{number: 70000, name: http, protocol: HTTP}]}
"#,
    );
    let found = |host: &str, namespace: &str| {
        let service = snapshot.find_service(host, namespace);
        service.map_or_else(String::new, |service| {
            format!("{} {}", service.object.name, service.ports.len())
        })
    };
    assert_eq!(found("example.com", "a"), "old 2");
    assert_eq!(found("example.com", "b"), "new 1");
    assert_eq!(found("example.com", "c"), "old 2");
    assert_eq!(found("other.com", "a"), "wild 0");
    assert_eq!(found("other.com", "b"), "");
    assert_eq!(snapshot.services_visible_from("c").count(), 1);
}

#[test]
fn the_mesh_configuration_comes_from_the_config_map() {
    let (snapshot, diagnostics) = snapshot(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: 'rootNamespace: root'}\n",
    );
    assert_eq!(diagnostics, []);
    assert_eq!(snapshot.mesh().root_namespace(), "root");
    let (defaults, _) = testing::snapshot("");
    assert_eq!(defaults.mesh().root_namespace(), "istio-system");
}

#[test]
fn the_pods_of_a_cron_job_are_named_after_it_although_its_jobs_are_unknown() {
    let (snapshot, _) = snapshot(
        "
apiVersion: v1
kind: Service
metadata: {name: report}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: report-a, labels: {kubernetes.io/service-name: report}}
addressType: IPv4
ports: [{name: http, port: 80}]
endpoints: [{addresses: [10.1.0.2], targetRef: {kind: Pod, name: report-28912345-abcde}}]
---
apiVersion: v1
kind: Pod
metadata:
  name: report-28912345-abcde
  labels: {app: report}
  ownerReferences: [{apiVersion: batch/v1, kind: Job, name: report-28912345, uid: x, controller: true}]
status: {podIP: 10.1.0.2}
",
    );
    let service = snapshot.find_service("report.default.svc.cluster.local", "default");
    let service = service.unwrap();
    let names: Vec<&str> = snapshot
        .instances(service, &service.ports[0])
        .iter()
        .map(|instance| &*instance.workload.name)
        .collect();
    assert_eq!(names, ["report"]);
}

#[test]
fn endpoints_of_a_host_are_those_of_the_entries_that_name_it() {
    let entry = |name: &str, created: u8, hosts: &str, port: u16, address: &str| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: x, creationTimestamp: '2024-01-0{created}T00:00:00Z'}}
spec: {{hosts: {hosts}, resolution: STATIC, ports: [{{number: {port}, name: http, protocol: HTTP}}], endpoints: [{{address: {address}}}]}}
"
        )
    };
    let text = [
        entry("a", 1, "[a.com, b.com]", 80, "1.1.1.1"),
        entry("b", 2, "[b.com]", 8443, "2.2.2.2"),
        entry("c", 3, "[a.com]", 8443, "3.3.3.3"),
    ]
    .concat();
    let (snapshot, diagnostics) = snapshot(&text);
    assert_eq!(diagnostics, []);
    let addresses = |host: &str, port: u16| -> Vec<String> {
        let service = snapshot.find_service(host, "x").unwrap();
        let port = service
            .ports
            .iter()
            .find(|known| known.port == port)
            .unwrap();
        let instances = snapshot.instances(service, port);
        instances
            .iter()
            .map(|instance| instance.address.to_string())
            .collect()
    };
    assert_eq!(addresses("a.com", 80), ["1.1.1.1"]);
    assert_eq!(addresses("b.com", 80), ["1.1.1.1"]);
    assert_eq!(addresses("b.com", 8443), ["2.2.2.2"]);
    assert_eq!(addresses("a.com", 8443), ["3.3.3.3"]);
}
