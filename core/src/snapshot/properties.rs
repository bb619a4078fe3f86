//! Whatever happens to the objects, a snapshot that was made step by step is the one that is built from nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::testing::{History, changes, history};
use super::{ChangeSet, Snapshot, SnapshotOptions};
use crate::resource::{Kind, Resource, ResourceKey};

/// All that can be asked of a snapshot, as a text.
fn described(snapshot: &Snapshot) -> String {
    let mut lines = vec![format!("{:?}", snapshot.mesh())];
    lines.push(format!("{:?}", snapshot.diagnostics()));
    lines.push(snapshot.service_count().to_string());
    for service in snapshot.services() {
        lines.push(format!("{service:?}"));
        for port in &service.ports {
            let instances = snapshot.instances(service, port);
            let names = snapshot.dns_endpoints(service, port);
            lines.push(format!("  {} {instances:?} {names:?}", port.port));
        }
    }
    for rules in snapshot.virtual_services() {
        lines.push(format!(
            "{} {:?} {:?}",
            rules.resource.key, rules.spec, rules.visibility
        ));
    }
    let special = BTreeMap::from([("app".to_owned(), "special".to_owned())]);
    for namespace in ["x", "z", "istio-system", ""] {
        let visible = snapshot.virtual_services_visible_from(namespace);
        let visible: Vec<String> = visible
            .iter()
            .map(|rules| rules.resource.key.to_string())
            .collect();
        lines.push(format!("{namespace} {visible:?}"));
        for host in [
            "a.x.svc.cluster.local",
            "b.z.svc.cluster.local",
            "a.com",
            "b.com",
            "c.b.com",
        ] {
            for labels in [&BTreeMap::new(), &special] {
                let rule = snapshot.destination_rule_for(host, namespace, labels, "x");
                lines.push(format!(
                    "{namespace} {host} {:?}",
                    rule.map(|rule| (rule.subsets.clone(), rule.traffic_policy.clone()))
                ));
            }
            let rules = snapshot
                .rules_for_host(host, namespace)
                .map(|rules| &rules.resource.key);
            lines.push(format!("{rules:?}"));
            lines.push(format!("{:?}", snapshot.find_service(host, namespace)));
        }
        let authentication = snapshot.peer_authentication(namespace, &special);
        lines.push(format!("{authentication:?}"));
        let selecting = snapshot.services_selecting(namespace, &special);
        lines.push(format!("{selecting:?}"));
        lines.push(format!(
            "{:?}",
            snapshot.hosts_in(namespace).collect::<Vec<_>>()
        ));
        let mut conditional: Vec<_> = snapshot.conditional_hosts(namespace).collect();
        conditional.sort();
        lines.push(format!("{conditional:?}"));
    }
    lines.push(format!("{:?}", snapshot.gateways));
    for (key, value) in &special {
        lines.push(snapshot.is_relevant_label(key, value).to_string());
    }
    lines.join("\n")
}

fn whole(objects: &BTreeMap<ResourceKey, Arc<Resource>>) -> Snapshot {
    Snapshot::build(
        objects.values().cloned().collect(),
        &SnapshotOptions::default(),
    )
    .0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_snapshot_made_step_by_step_is_the_one_built_from_nothing(history in history()) {
        let mut objects = BTreeMap::new();
        let mut snapshot = Snapshot::empty(&SnapshotOptions::default());
        for step in &history {
            snapshot = snapshot.next(&changes(step, &mut objects));
            let (made, built) = (described(&snapshot), described(&whole(&objects)));
            for (made, built) in made.lines().zip(built.lines()) {
                prop_assert_eq!(made, built);
            }
            prop_assert_eq!(made.len(), built.len());
        }
    }

    /// What is not named as different is the very same in memory.
    #[test]
    fn a_difference_names_all_that_differs(history in history()) {
        let history: History = history;
        let mut objects = BTreeMap::new();
        let mut before = Snapshot::empty(&SnapshotOptions::default());
        for step in &history {
            let after = before.next(&changes(step, &mut objects));
            let difference = after.difference_from(before.id());
            if !difference.everything {
                for service in before.services() {
                    let host = &service.host;
                    let same = after.services().any(|other| Arc::ptr_eq(other, service));
                    prop_assert!(same || difference.services.contains(host), "{}", host);
                    for port in &service.ports {
                        let (old, new) = (before.shared_instances(service, port), after.shared_instances(service, port));
                        let same = Arc::ptr_eq(old, new) || old.is_empty() && new.is_empty();
                        prop_assert!(same || difference.instances.contains(host) || difference.services.contains(host), "{}", host);
                    }
                }
                for rules in before.virtual_services() {
                    let same = after.virtual_services().any(|other| Arc::ptr_eq(other, rules));
                    prop_assert!(same || rules.hosts.iter().all(|host| difference.virtual_services.contains(host)));
                }
            }
            before = after;
        }
    }
}

#[test]
fn a_changed_endpoint_touches_no_service_and_no_rule() {
    let (one, other) = (slice("10.0.0.1"), slice("10.0.0.2"));
    let service = super::testing::resources(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: x}\nspec: {ports: [{port: 80, name: http}]}\n",
    );
    let mut objects = service;
    objects.push(one.clone());
    let (before, _) = Snapshot::build(objects, &SnapshotOptions::default());
    let mut changes = ChangeSet::default();
    changes.record(&one.key, Some(one.clone()), Some(other));
    let difference = before.next(&changes).difference_from(before.id());
    assert_eq!(
        difference
            .instances
            .iter()
            .map(|host| &**host)
            .collect::<Vec<_>>(),
        ["a.x.svc.cluster.local"]
    );
    assert!(
        super::Difference {
            instances: Default::default(),
            ..difference
        }
        .is_empty()
    );
}

fn slice(address: &str) -> Arc<Resource> {
    let text = format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: a-1, namespace: x, labels: {{kubernetes.io/service-name: a}}}}\naddressType: IPv4\nports: [{{name: http, port: 80}}]\nendpoints: [{{addresses: [{address}]}}]\n"
    );
    let slice = super::testing::resources(&text).remove(0);
    assert_eq!(slice.key.kind, Kind::EndpointSlice);
    slice
}
