//! Tests of what translation shares and remembers. What it says is tested by golden cases.

use std::sync::Arc;

use mesh_ir::{ProxyKind, ProxyScope};

use super::{OutboundKey, Translator};
use crate::resource::Resource;
use crate::snapshot::testing::resources;
use crate::snapshot::{ChangeSet, Snapshot, SnapshotOptions};

fn service(name: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: books}}
spec: {{clusterIP: 10.0.0.1, ports: [{{name: http, port: 9080}}]}}
"
    )
}

fn slice(name: &str, address: &str) -> String {
    format!(
        "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, namespace: books, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: http, port: 9080}}]
endpoints: [{{addresses: [{address}]}}]
"
    )
}

fn rules(name: &str, subset: &str) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: books}}
spec:
  hosts: [{name}]
  http:
  - match: [{{sourceLabels: {{app: special}}}}]
    route: [{{destination: {{host: {name}, subset: special}}}}]
  - route: [{{destination: {{host: {name}, subset: {subset}}}}}]
"
    )
}

fn world() -> Vec<Arc<Resource>> {
    let names = ["details", "ratings", "reviews"];
    let text: String = names
        .iter()
        .map(|name| [service(name), slice(name, "10.1.0.1")].concat())
        .collect();
    resources(&(text + &rules("reviews", "v1")))
}

fn build(resources: &[Arc<Resource>]) -> Arc<Snapshot> {
    let (snapshot, diagnostics) = Snapshot::build(resources.to_vec(), &SnapshotOptions::default());
    assert_eq!(diagnostics, []);
    Arc::new(snapshot)
}

/// The objects with one more, which takes the place of an older one of its key.
fn with(mut objects: Vec<Arc<Resource>>, text: &str) -> Vec<Arc<Resource>> {
    objects.extend(resources(text));
    objects
}

/// The translator after a change of an object.
fn after(before: &Translator, text: &str) -> Translator {
    let mut changes = ChangeSet::default();
    for resource in resources(text) {
        let old = before.snapshot().get(&resource.key).cloned();
        changes.record(&resource.key.clone(), old, Some(resource));
    }
    before.next(Arc::new(before.snapshot().next(&changes)))
}

fn scope(namespace: &str, app: &str) -> ProxyScope {
    let labels = [
        ("app".to_owned(), app.to_owned()),
        ("other".to_owned(), app.to_owned()),
    ];
    ProxyScope::new(ProxyKind::Sidecar, namespace, labels.into())
}

fn shared<T>(a: &[Arc<T>], b: &[Arc<T>]) -> usize {
    a.iter()
        .filter(|a| b.iter().any(|b| Arc::ptr_eq(a, b)))
        .count()
}

#[test]
fn only_labels_that_rules_look_at_tell_proxies_apart() {
    let snapshot = build(&world());
    let key = |app| OutboundKey::of(&snapshot, &scope("books", app));
    assert_eq!(key("special").labels.len(), 1);
    assert_ne!(key("special"), key("usual"));

    let without_rules: Vec<_> = world()
        .into_iter()
        .filter(|object| object.key.kind != crate::resource::Kind::VirtualService)
        .collect();
    let snapshot = build(&without_rules);
    let key = |app| OutboundKey::of(&snapshot, &scope("books", app));
    assert_eq!(key("special"), key("usual"));
    let translator = Translator::new(snapshot.clone());
    let (one, other) = (
        translator.outbound(&key("special")),
        translator.outbound(&key("usual")),
    );
    assert!(Arc::ptr_eq(&one, &other));
}

#[test]
fn allocated_addresses_are_for_those_whose_names_the_proxy_resolves() {
    let entry = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db, namespace: books}
spec:
  hosts: [db.example]
  resolution: DNS
  ports: [{number: 3306, name: tcp, protocol: TCP}]
status: {addresses: [{value: 240.240.1.1, host: db.example}, {value: 240.240.1.2, host: other.example}]}
";
    let translator = Translator::new(build(&with(world(), entry)));
    let listeners = |captures_dns| {
        let scope = ProxyScope {
            captures_dns,
            ..scope("shop", "usual")
        };
        let config = translator.translate(&scope).config;
        let listeners = config.listeners.iter();
        let listeners: Vec<String> = listeners
            .map(|listener| listener.name.to_string())
            .filter(|name| name.ends_with("_3306"))
            .collect();
        let names = config.names.iter();
        let known = names.filter_map(|table| table.hosts.get("db.example"));
        let known: Vec<String> = known.map(|host| format!("{:?}", host.addresses)).collect();
        (listeners, known)
    };
    let found = |listener: &str, names: &[&str]| {
        let names = names.iter().map(ToString::to_string);
        (vec![listener.to_owned()], names.collect())
    };
    assert_eq!(listeners(false), found("0.0.0.0_3306", &[]));
    assert_eq!(
        listeners(true),
        found("240.240.1.1_3306", &["[240.240.1.1]"])
    );
}

#[test]
fn namespaces_share_clusters_and_endpoints() {
    let translator = Translator::new(build(&world()));
    let books = translator.translate(&scope("books", "usual")).config;
    let shop = translator.translate(&scope("shop", "special")).config;
    assert_eq!(
        shared(&books.clusters, &shop.clusters),
        5,
        "three services, two fixed ones"
    );
    assert_eq!(shared(&books.endpoints, &shop.endpoints), 3);
    assert_ne!(
        books.routes, shop.routes,
        "short names and source labels differ"
    );
}

#[test]
fn a_private_destination_rule_changes_only_what_its_clients_see() {
    let private = "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: mine, namespace: shop}
spec:
  host: reviews.books.svc.cluster.local
  exportTo: ['.']
  trafficPolicy: {loadBalancer: {simple: RANDOM}}
";
    let translator = Translator::new(build(&with(world(), private)));
    let books = translator.translate(&scope("books", "usual")).config;
    let shop = translator.translate(&scope("shop", "usual")).config;
    let differing: Vec<_> = shop
        .clusters
        .iter()
        .filter(|cluster| !books.clusters.contains(cluster))
        .map(|cluster| cluster.name.to_string())
        .collect();
    assert_eq!(
        differing,
        ["outbound|9080||reviews.books.svc.cluster.local"]
    );
}

#[test]
fn a_changed_rule_leaves_clusters_and_endpoints_as_they_were() {
    let before = Translator::new(build(&world()));
    let old = before.translate(&scope("books", "usual")).config;
    let after = after(&before, &rules("reviews", "v3"));
    let new = after.translate(&scope("books", "usual")).config;
    assert_ne!(old.routes, new.routes);
    assert_eq!(shared(&old.endpoints, &new.endpoints), 3);
    assert_eq!(
        shared(&old.clusters, &new.clusters),
        old.clusters.len(),
        "of all services, the fixed ones and the workload's own"
    );
    assert_eq!(old.clusters.len(), 6);
}

#[test]
fn a_changed_endpoint_changes_only_its_service() {
    let before = Translator::new(build(&world()));
    let old = before.translate(&scope("books", "usual")).config;
    let after = after(&before, &slice("ratings", "10.1.0.2"));
    let new = after.translate(&scope("books", "usual")).config;
    assert_eq!(shared(&old.endpoints, &new.endpoints), 2);
    assert_eq!(old.routes, new.routes);
    assert_eq!(old.clusters, new.clusters);
    let (uncached, _) = super::translate(after.snapshot(), &scope("books", "usual"));
    assert_eq!(uncached, new);
}
