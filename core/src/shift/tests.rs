//! Shifts of small meshes: what is planned, what is refused and why, and that everything else stays as it is.

mod http_routes;
mod measuring;

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::resource::{Kind, Resource, decode_value};
use crate::snapshot::testing::resources;
use crate::snapshot::{Snapshot, SnapshotOptions};
use crate::source::Origin;

const HOST: &str = "reviews.default.svc.cluster.local";

fn pod(name: &str, labels: &Value, address: &str, ready: bool) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"containers": [{"name": "app"}, {"name": "istio-proxy"}]},
        "status": {"podIP": address, "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
    })
}

/// Service `reviews` with pods of v1, v2 and v3, and of v4 that is not ready.
fn world(more: &str) -> Snapshot {
    let mut values = vec![json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "reviews", "namespace": "default"},
        "spec": {"selector": {"app": "reviews"}, "ports": [{"name": "http", "port": 9080}]},
    })];
    let mut endpoints = Vec::new();
    for number in 1..=4 {
        let name = format!("reviews-v{number}");
        let labels = json!({"app": "reviews", "version": format!("v{number}")});
        let address = format!("10.0.0.{number}");
        values.push(pod(&name, &labels, &address, number != 4));
        endpoints.push(json!({
            "addresses": [address], "conditions": {"ready": number != 4},
            "targetRef": {"kind": "Pod", "name": name, "namespace": "default"},
        }));
    }
    values.push(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "reviews-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "reviews"}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 9080}], "endpoints": endpoints,
    }));
    let mut all: Vec<Arc<Resource>> = values.into_iter().map(object).collect();
    all.extend(resources(more));
    build(all)
}

#[track_caller]
fn object(value: Value) -> Arc<Resource> {
    let (resource, findings) = decode_value(
        value,
        Origin::Cluster {
            context: "test".into(),
        },
        None,
    );
    assert_eq!(findings, []);
    Arc::new(resource.unwrap())
}

fn build(resources: Vec<Arc<Resource>>) -> Snapshot {
    Snapshot::build(resources, &SnapshotOptions::default()).0
}

fn target(snapshot: &Snapshot) -> Target {
    Target::find(snapshot, "reviews", "default").unwrap()
}

#[track_caller]
fn planned(snapshot: &Snapshot, words: &[&str]) -> Plan {
    plan_from(snapshot, words, Base::Now).unwrap()
}

fn plan_from(snapshot: &Snapshot, words: &[&str], base: Base) -> Result<Plan, Refusal> {
    plan(
        snapshot,
        &target(snapshot),
        &WeightRequest::parse(words)?,
        base,
    )
}

/// The world once a plan is carried out.
fn after(snapshot: &Snapshot, plan: &Plan) -> Snapshot {
    let mut all: Vec<Arc<Resource>> = snapshot.all_resources().cloned().collect();
    for change in &plan.changes {
        all.retain(|resource| resource.key != change.key);
        all.extend(change.after.clone().map(object));
    }
    build(all)
}

/// Every change as `action kind name: routes or subsets`.
fn summary(plan: &Plan) -> Vec<String> {
    let line = |change: &Change| {
        let spec = change.after.as_ref().map(|after| &after["spec"]);
        let rules = spec.and_then(|spec| spec["http"].as_array());
        let routes = rules.into_iter().flatten().map(|rule| {
            let routes = rule["route"].as_array().into_iter().flatten();
            let text = |route: &Value| {
                let destination = &route["destination"];
                let subset = destination["subset"].as_str().unwrap_or("-");
                format!("{subset}={}", route["weight"])
            };
            routes.map(text).collect::<Vec<_>>().join(" ")
        });
        let subsets = spec.and_then(|spec| spec["subsets"].as_array());
        let subsets = subsets
            .into_iter()
            .flatten()
            .map(|subset| format!("{}{}", subset["name"].as_str().unwrap(), subset["labels"]));
        let parts: Vec<String> = routes.chain(subsets).collect();
        format!("{:?} {}: {}", change.action, change.key, parts.join(", "))
    };
    plan.changes.iter().map(line).collect()
}

const ALL_V1: &str = r#"
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: books, namespace: default, resourceVersion: "7", annotations: {team: books}}
spec:
  hosts: [reviews]
  future: {field: 1}
  http:
  - name: testers
    match: [{headers: {end-user: {exact: jason}}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - route:
    - destination: {host: reviews.default.svc.cluster.local, port: {number: 9080}, subset: v1, unknown: true}
      headers: {request: {set: {a: b}}}
    timeout: 3s
---
apiVersion: networking.istio.io/v1beta1
kind: DestinationRule
metadata: {name: rules, namespace: default, resourceVersion: "8"}
spec:
  host: reviews
  trafficPolicy: {loadBalancer: {simple: RANDOM}}
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
"#;

#[test]
fn without_objects_both_are_made() {
    let world = world("");
    let plan = planned(&world, &["v3=50"]);
    assert_eq!(
        summary(&plan),
        [
            r#"Create DestinationRule default/reviews: v1{"version":"v1"}, v2{"version":"v2"}, v3{"version":"v3"}"#,
            "Create VirtualService default/reviews: v1=25 v2=25 v3=50",
        ]
    );
    for change in &plan.changes {
        let made = object(change.after.clone().unwrap());
        assert_eq!(made.findings, []);
    }
    let all = planned(&world, &["v3=100"]);
    assert_eq!(
        summary(&all)[1],
        "Create VirtualService default/reviews: v3=100"
    );
}

#[test]
fn what_is_made_gives_no_findings() {
    let world = world("");
    let shifted = after(&world, &planned(&world, &["v3=50"]));
    let findings = crate::analyze::analyze(&shifted, &crate::analyze::Options::default());
    let about_ours = |finding: &&crate::diag::Diagnostic| {
        finding
            .resource
            .as_ref()
            .is_some_and(|key| matches!(key.kind, Kind::VirtualService | Kind::DestinationRule))
    };
    let found: Vec<_> = findings.iter().filter(about_ours).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn existing_objects_are_edited_in_place() {
    let world = world(ALL_V1);
    let plan = planned(&world, &["v3=50"]);
    assert_eq!(
        summary(&plan),
        [
            r#"Replace DestinationRule default/rules: v1{"version":"v1"}, v2{"version":"v2"}, v3{"version":"v3"}"#,
            "Replace VirtualService default/books: v2=null, v1=50 v3=50",
        ]
    );
    let routes = &plan.changes[1].after.as_ref().unwrap()["spec"]["http"][1]["route"];
    assert_eq!(
        routes,
        &json!([
            {"destination": {"host": HOST, "port": {"number": 9080}, "subset": "v1", "unknown": true},
             "headers": {"request": {"set": {"a": "b"}}}, "weight": 50},
            {"destination": {"host": HOST, "port": {"number": 9080}, "subset": "v3"}, "weight": 50},
        ])
    );
    assert_eq!(plan.weight_before("v1"), 100);
    assert_eq!(
        plan.notes,
        [
            "rule testers (http[0]) of VirtualService default/books keeps its routes; requests that match there count in the measurement too"
        ]
    );
}

/// The text of an object without the parts that a shift may touch.
fn untouched(object: &Value, paths: &[&str]) -> String {
    let mut object = object.clone();
    for path in paths {
        if let Some(value) = object.pointer_mut(path) {
            *value = Value::Null;
        }
    }
    memory::erase(&mut object);
    object.to_string()
}

#[test]
fn everything_else_stays_byte_for_byte() {
    let world = world(ALL_V1);
    for change in planned(&world, &["v3=50"]).changes {
        let paths = ["/spec/http/1/route", "/spec/subsets"];
        assert_eq!(
            untouched(change.before.as_ref().unwrap(), &paths),
            untouched(change.after.as_ref().unwrap(), &paths)
        );
    }
}

#[test]
fn the_same_again_changes_nothing() {
    for text in ["", ALL_V1] {
        let world = world(text);
        let shifted = after(&world, &planned(&world, &["v3=33"]));
        assert_eq!(summary(&planned(&shifted, &["v3=33"])), [""; 0]);
    }
}

#[test]
fn undo_restores_what_was_there() {
    for text in ["", ALL_V1] {
        let world = world(text);
        let shifted = after(&world, &planned(&world, &["v3=50"]));
        let back = undo(&shifted, &target(&shifted), 1).unwrap();
        let restored = after(&shifted, &back);
        for kind in [Kind::VirtualService, Kind::DestinationRule] {
            let raw = |snapshot: &Snapshot| -> Vec<String> {
                let objects = snapshot.resources(kind).iter();
                objects.map(|object| object.raw.to_string()).collect()
            };
            assert_eq!(raw(&restored), raw(&world));
        }
        let nothing = undo(&restored, &target(&restored), 1).unwrap_err();
        assert_eq!(nothing.kind, RefusalKind::State);
    }
}

#[test]
fn undo_leaves_the_changes_of_others_alone() {
    let world = world(ALL_V1);
    let shifted = after(&world, &planned(&world, &["v3=50"]));
    let mut plan = planned(&shifted, &["v3=70"]);
    // Somebody edits the weights and leaves the annotation.
    let edited = plan.changes[0].after.as_mut().unwrap();
    edited["spec"]["http"][1]["route"][0]["weight"] = json!(29);
    let edited = after(&shifted, &plan);
    assert_eq!(
        undo(&edited, &target(&edited), 1).unwrap_err().message,
        "the routes of VirtualService default/books (http[1]) were changed by somebody else since the shift"
    );
    let next = plan_from(&edited, &["v3=80"], Base::BeforeThisShift);
    assert_eq!(next.unwrap_err().kind, RefusalKind::State);
}

#[test]
fn steps_keep_the_state_before_the_first() {
    for text in ["", ALL_V1] {
        let world = world(text);
        let mut now = after(&world, &planned(&world, &["v3=10"]));
        for (step, routes) in [
            ("v3=25", ["v1=38 v2=37 v3=25", "v2=null, v1=75 v3=25"]),
            ("v3=100", ["v3=100", "v2=null, v1=0 v3=100"]),
            ("v3=50", ["v1=25 v2=25 v3=50", "v2=null, v1=50 v3=50"]),
        ] {
            let plan = plan_from(&now, &[step], Base::BeforeThisShift).unwrap();
            let wanted = routes[usize::from(!text.is_empty())];
            let line = summary(&plan).pop().unwrap();
            assert!(line.ends_with(&format!(": {wanted}")), "{line}");
            now = after(&now, &plan);
        }
        let back = undo(&now, &target(&now), 1).unwrap();
        let restored = after(&now, &back);
        let rules = |snapshot: &Snapshot| -> Vec<Value> {
            let objects = snapshot.resources(Kind::VirtualService).iter();
            objects.map(|object| (*object.raw).clone()).collect()
        };
        assert_eq!(rules(&restored), rules(&world));
    }
}

#[test]
fn gateways_are_shifted_where_they_route_to_the_service() {
    let world = world(
        r#"
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: site, namespace: default}
spec:
  hosts: ["*"]
  gateways: [door]
  http:
  - match: [{uri: {prefix: /reviews}}]
    route: [{destination: {host: reviews}}]
  - match: [{headers: {x: {exact: z}}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - route: [{destination: {host: other}}]
"#,
    );
    let plan = planned(&world, &["v3=40"]);
    assert_eq!(
        summary(&plan)[1],
        "Replace VirtualService default/site: v1=30 v2=30 v3=40, v2=null, -=null"
    );
    assert_eq!(plan.notes.len(), 2);
}

#[test]
fn other_services_in_a_rule_keep_their_share() {
    let world = world(
        r#"
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec:
  hosts: [reviews]
  http:
  - route:
    - {destination: {host: reviews, subset: v1}, weight: 3}
    - {destination: {host: legacy}, weight: 1}
"#,
    );
    let plan = planned(&world, &["v3=20"]);
    assert_eq!(
        summary(&plan)[1],
        "Replace VirtualService default/reviews: v1=60 -=25 v3=15"
    );
    let ask = WeightRequest::parse(&["v3=20"]).unwrap();
    let expectation = Expectation::new(&target(&world), &ask, &plan);
    let shares: Vec<_> = expectation
        .subsets
        .iter()
        .map(|expected| (&*expected.subset, expected.weight, expected.share))
        .collect();
    assert_eq!(
        shares,
        [("v1", Some(60), Some(0.8)), ("v3", Some(15), Some(0.2))]
    );
}

#[test]
fn other_services_keep_their_share_to_the_end() {
    let mut world = world(
        r#"
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec:
  hosts: [reviews]
  http:
  - route:
    - {destination: {host: reviews, subset: v1}, weight: 80}
    - {destination: {host: legacy}, weight: 20}
"#,
    );
    for (word, routes) in [
        ("v3=50", "v1=40 -=20 v3=40"),
        ("v3=75", "v1=20 -=20 v3=60"),
        ("v3=33", "v1=268 -=100 v3=132"),
        ("v3=100", "v1=0 -=20 v3=80"),
    ] {
        let plan = planned(&world, &[word]);
        let line = summary(&plan).pop().unwrap();
        let exact = routes
            .replace("268", "67")
            .replace("100 v3=132", "25 v3=33");
        assert!(line.ends_with(&format!(": {exact}")), "{line}");
        world = after(&world, &plan);
    }
    assert_eq!(planned(&world, &["v1=100"]).weight_before("v3"), 100);
}

#[test]
fn several_shifts_are_taken_back_one_by_one() {
    let start = world(ALL_V1);
    let raw = |snapshot: &Snapshot| -> Vec<String> {
        let objects = snapshot.resources(Kind::VirtualService).iter();
        let rules = snapshot.resources(Kind::DestinationRule).iter();
        objects
            .chain(rules)
            .map(|object| object.raw.to_string())
            .collect()
    };
    let mut states = vec![start.clone()];
    for word in ["v3=10", "v3=50", "v2=20", "v3=100"] {
        let now = states.last().unwrap();
        states.push(after(now, &planned(now, &[word])));
    }
    let last = states.last().unwrap().clone();
    for back in 1..=4u32 {
        let undone = after(&last, &undo(&last, &target(&last), back).unwrap());
        let wanted = &states[4 - back as usize];
        assert_eq!(raw(&undone), raw(wanted), "{back} back");
    }
    assert_eq!(
        undo(&last, &target(&last), 5).unwrap_err().message,
        format!("5 shifts of {HOST} cannot be taken back: 4 are remembered")
    );
}

#[test]
fn requests_with_a_header_come_first() {
    for (text, first, shifted_after) in [
        (
            "",
            "Create VirtualService default/reviews: v3=100, -=null",
            "v3=100, v1=45 v2=45 v3=10",
        ),
        (
            ALL_V1,
            "Replace VirtualService default/books: v2=null, v1=0 v3=100, v1=null",
            "v2=null, v1=0 v3=100, v1=90 v3=10",
        ),
    ] {
        let world = world(text);
        let ask = WeightRequest::parse(&["v3=100"]).unwrap();
        let ask = ask.only_for("X-User=ann").unwrap();
        let planned_first = plan(&world, &target(&world), &ask, Base::Now).unwrap();
        assert_eq!(summary(&planned_first).pop().unwrap(), first);
        let change = planned_first.changes.last().unwrap();
        let made = change.after.as_ref().unwrap();
        let rules = made["spec"]["http"].as_array().unwrap();
        let conditions = &rules[rules.len() - 2]["match"];
        assert_eq!(
            conditions,
            &json!([{"headers": {"x-user": {"exact": "ann"}}}])
        );
        let shifted = after(&world, &planned_first);
        let again = plan(&shifted, &target(&shifted), &ask, Base::BeforeThisShift).unwrap();
        assert!(again.is_empty(), "{:?}", summary(&again));
        let everybody = planned(&shifted, &["v3=10"]);
        let line = summary(&everybody).pop().unwrap();
        assert!(line.ends_with(shifted_after), "{line}");
        let both = after(&shifted, &everybody);
        let restored = after(&both, &undo(&both, &target(&both), 2).unwrap());
        let raw = |snapshot: &Snapshot| -> Vec<String> {
            let objects = snapshot.resources(Kind::VirtualService).iter();
            objects.map(|object| object.raw.to_string()).collect()
        };
        assert_eq!(raw(&restored), raw(&world));
    }
}

#[track_caller]
fn refused(more: &str, words: &[&str], message: &str, hint: &str) {
    let world = world(more);
    let refusal = plan_from(&world, words, Base::Now).unwrap_err();
    assert_eq!(refusal.message, message);
    assert_eq!(refusal.hint.as_deref(), Some(hint));
}

#[test]
fn what_cannot_be_done_is_refused_with_a_way_out() {
    let pods = "reviews-v1 (version=v1, ready), reviews-v2 (version=v2, ready), reviews-v3 (version=v3, ready) and reviews-v4 (version=v4, not ready)";
    refused(
        "",
        &["v4=10"],
        &format!(
            "subset v4 of {HOST} has no ready pod: its labels are version=v4, and the service's pods are {pods}"
        ),
        "start pods with these labels and wait until they are ready: kubectl get pods -n default -l version=v4",
    );
    refused(
        "",
        &["v33=10"],
        &format!(
            "{HOST} has no subset v33: no DestinationRule defines it, and no pod has the label version=v33; the service's pods are {pods}"
        ),
        "did you mean v3?",
    );
    refused(
        &format!("{ALL_V1}  - {{name: none, labels: {{version: v9}}}}\n").replace(
            "subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]",
            "subsets:",
        ),
        &["none=1"],
        &format!(
            "subset none of {HOST} has no ready pod: its labels are version=v9, and the service's pods are {pods}"
        ),
        "start pods with these labels and wait until they are ready: kubectl get pods -n default -l version=v9",
    );
    refused(
        ALL_V1,
        &["v1=50"],
        &format!("nothing else of {HOST} is routed now, so nothing can take the remaining 50"),
        "name who gets it, for example v2=50; known are v2 and v3",
    );
    refused(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec: {hosts: [reviews], http: [{route: [{destination: {host: other}}]}]}
",
        &["v3=50"],
        &format!(
            "VirtualService default/reviews decides about {HOST}, but none of its rules routes there"
        ),
        "shift the service that it routes to, or add a rule for this one",
    );
    refused(
        "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: all, namespace: default}
spec: {host: '*.default.svc.cluster.local'}
",
        &["v3=50"],
        &format!(
            "DestinationRule default/all applies to {HOST} by the pattern *.default.svc.cluster.local and does not define subset v1; a rule of its own would end the pattern's settings for this service"
        ),
        &format!(
            "apply a DestinationRule for host {HOST} with the settings that it needs, and shift again"
        ),
    );
}

#[test]
fn services_are_found_by_all_their_names() {
    let world = world("");
    for name in ["reviews", "reviews.default", "reviews.default.svc", HOST] {
        let found = Target::find(&world, name, "default").unwrap();
        assert_eq!(&*found.service.host, HOST);
    }
    for (name, hint) in [
        ("review", "did you mean reviews?"),
        (
            "reviews.prod",
            "there is one in namespace default: reviews.default",
        ),
        ("x", "list the services: kubectl get services -A"),
    ] {
        let refusal = Target::find(&world, name, "default").unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::NotFound);
        assert_eq!(refusal.hint.as_deref(), Some(hint));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn weights_add_up_and_repeat(weights in prop::collection::vec(0u32..100, 1..4), v3 in 0u32..=100) {
        let routes: Vec<Value> = weights
            .iter()
            .enumerate()
            .map(|(index, weight)| json!({
                "destination": {"host": "reviews", "subset": format!("v{}", index + 1)}, "weight": weight,
            }))
            .collect();
        let object = json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": "reviews", "namespace": "default"},
            "spec": {"hosts": ["reviews"], "http": [{"route": routes}]},
        });
        let world = world(&crate::yaml::to_yaml(&object));
        let word = format!("v3={v3}");
        if let Ok(plan) = plan_from(&world, &[&word], Base::Now) {
            let shifted = after(&world, &plan);
            let object = shifted.resources(Kind::VirtualService).iter().next().unwrap();
            let routes = object.raw["spec"]["http"][0]["route"].as_array().unwrap();
            let of = |route: &Value| route["weight"].as_u64().unwrap();
            prop_assert_eq!(routes.iter().map(of).sum::<u64>(), 100);
            let named = routes.iter().filter(|route| route["destination"]["subset"] == "v3");
            prop_assert_eq!(named.map(of).sum::<u64>(), u64::from(v3));
            prop_assert!(planned(&shifted, &[&word]).is_empty());
            if !plan.is_empty() && plan.changes.iter().any(|change| change.key.kind == Kind::VirtualService) {
                let restored = after(&shifted, &undo(&shifted, &target(&shifted), 1).unwrap());
                let first = |world: &Snapshot| world.resources(Kind::VirtualService).iter().next().unwrap().raw.to_string();
                prop_assert_eq!(first(&restored), first(&world));
            }
        }
    }
}
