//! Shifts where HTTPRoutes decide: the weights of their backends, which are Services of their own.

use super::*;
use crate::resource::ResourceKey;

/// A Service for each of v1, v2 and v3.
fn versions() -> String {
    let one = |number: u32| {
        format!(
            "
apiVersion: v1
kind: Service
metadata: {{name: reviews-v{number}, namespace: default}}
spec:
  selector: {{app: reviews, version: v{number}}}
  ports: [{{name: http, port: 9080}}]
---"
        )
    };
    (1..=3).map(one).collect()
}

/// A route for clients in the mesh, with these rules.
fn route(rules: &str) -> String {
    format!(
        "{}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: reviews, namespace: default}}
spec:
  parentRefs: [{{group: '', kind: Service, name: reviews, port: 9080}}]
  rules:
{rules}",
        versions()
    )
}

/// A Gateway of the mesh with a route of these rules.
fn at_gateway(rules: &str) -> String {
    format!(
        "{}
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: istio}}
spec: {{controllerName: istio.io/gateway-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: door, namespace: default}}
spec:
  gatewayClassName: istio
  listeners: [{{name: http, port: 80, protocol: HTTP}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: site, namespace: default}}
spec:
  parentRefs: [{{name: door}}]
  rules:
{rules}",
        versions()
    )
}

/// The rules of the HTTPRoute of a name.
fn rules(snapshot: &Snapshot, name: &str) -> Value {
    let key = ResourceKey {
        kind: Kind::HttpRoute,
        namespace: "default".into(),
        name: name.into(),
    };
    snapshot.get(&key).unwrap().raw["spec"]["rules"].clone()
}

/// The backends of a rule as `name=weight`.
fn backends(rule: &Value) -> String {
    let all = rule["backendRefs"].as_array().unwrap().iter();
    let all: Vec<String> = all
        .map(|one| format!("{}={}", one["name"].as_str().unwrap(), one["weight"]))
        .collect();
    all.join(" ")
}

fn refusal(text: &str, words: &[&str]) -> Refusal {
    plan_from(&world(text), words, Base::Now).unwrap_err()
}

const ALL_V1: &str = "
  - filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}]}}]
    backendRefs: [{name: reviews-v1, port: 9080}]
";

#[test]
fn backends_get_the_weights_and_the_rest_stays() {
    let world = world(&route(ALL_V1));
    let plan = planned(&world, &["v3=50"]);
    assert_eq!(plan.changes.len(), 1, "no subsets are needed");
    assert_eq!(plan.notes, [""; 0]);
    let now = after(&world, &plan);
    // With what the API server would add, as the object is compared when it is taken back.
    assert_eq!(
        rules(&now, "reviews"),
        json!([{
            "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}],
            "backendRefs": [
                {"name": "reviews-v1", "port": 9080, "weight": 50},
                {"group": "", "kind": "Service", "name": "reviews-v3", "port": 9080, "weight": 50},
            ],
        }])
    );
    let target = target(&now);
    assert_eq!(target.section, Section::Rules);
    let hosts = ["reviews", "reviews-v1", "reviews-v2", "reviews-v3"];
    let hosts = hosts.map(|name| format!("{name}.default.svc.cluster.local"));
    assert_eq!(
        target.hosts.iter().map(|host| &**host).collect::<Vec<_>>(),
        hosts
    );
    let shares = shares_now(&now, &target).unwrap();
    assert_eq!((shares.len(), shares[0].section), (1, Section::Rules));
    let shares: Vec<(Option<&str>, u32)> = shares[0]
        .after
        .iter()
        .map(|share| (share.subset.as_deref(), share.weight))
        .collect();
    assert_eq!(shares, [(Some("v1"), 50), (Some("v3"), 50)]);
    assert!(planned(&now, &["v3=50"]).is_empty());
}

#[test]
fn steps_go_on_and_undo_brings_back_what_was_there() {
    let world = world(&route(ALL_V1));
    let mut now = after(&world, &planned(&world, &["v3=10"]));
    for (step, wanted) in [
        ("v3=60", "reviews-v1=40 reviews-v3=60"),
        ("v3=100", "reviews-v1=0 reviews-v3=100"),
        ("v3=25", "reviews-v1=75 reviews-v3=25"),
    ] {
        let plan = plan_from(&now, &[step], Base::BeforeThisShift).unwrap();
        now = after(&now, &plan);
        assert_eq!(backends(&rules(&now, "reviews")[0]), wanted);
    }
    assert_eq!(shifts_of(&now, HOST).len(), 1);
    let back = undo(&now, &target(&now), 1).unwrap();
    let back = after(&now, &back);
    assert_eq!(rules(&back, "reviews"), rules(&world, "reviews"));
    assert!(shifts_of(&back, HOST).is_empty());
}

#[test]
fn the_rule_for_everything_is_changed_and_others_are_kept() {
    let world = world(&route(
        "
  - matches: [{headers: [{name: end-user, value: jason}]}]
    backendRefs: [{name: reviews-v2, port: 9080}]
  - matches: [{path: {type: PathPrefix, value: /reviews}}]
    backendRefs: [{name: reviews-v2, port: 9080}]
  - matches: [{path: {type: PathPrefix, value: /}}]
    backendRefs: [{name: reviews-v1, port: 9080, weight: 3}, {name: other, port: 80, weight: 1}]
",
    ));
    let plan = planned(&world, &["v3=50"]);
    assert_eq!(
        plan.notes,
        [
            "rules[0] and rules[1] of HTTPRoute default/reviews keep their backends; requests that match there count in the measurement too"
        ]
    );
    let now = rules(&after(&world, &plan), "reviews");
    assert_eq!(backends(&now[2]), "reviews-v1=3 other=2 reviews-v3=3");
    let before = rules(&world, "reviews");
    assert_eq!((&now[0], &now[1]), (&before[0], &before[1]));
}

#[test]
fn the_whole_service_is_taken_apart_by_its_ready_pods() {
    let text = route("  - backendRefs: [{name: reviews, port: 9080}]");
    let world = world(&text);
    let now = after(&world, &planned(&world, &["v3=50"]));
    assert_eq!(
        backends(&rules(&now, "reviews")[0]),
        "reviews-v1=25 reviews-v2=25 reviews-v3=50"
    );
}

#[test]
fn routes_of_gateways_are_shifted() {
    let world = world(&at_gateway(
        "
  - matches: [{path: {type: Exact, value: /reviews}}]
    backendRefs: [{name: reviews-v1, port: 9080, weight: 60}, {name: reviews-v2, port: 9080, weight: 40}]
  - backendRefs: [{name: other, port: 80}]
",
    ));
    let plan = planned(&world, &["v3=50"]);
    let now = after(&world, &plan);
    assert_eq!(
        backends(&rules(&now, "site")[0]),
        "reviews-v1=30 reviews-v2=20 reviews-v3=50"
    );
    assert_eq!(rules(&now, "site")[1], rules(&world, "site")[1]);
    assert_eq!(
        plan.notes,
        [
            "only gateways route reviews.default.svc.cluster.local by an HTTPRoute; requests from inside the mesh keep going to all of its pods"
        ]
    );
}

#[test]
fn without_versions_as_backends_a_route_of_a_gateway_decides_nothing() {
    let world = world(&at_gateway(
        "  - backendRefs: [{name: reviews, port: 9080}]",
    ));
    let plan = planned(&world, &["v3=50"]);
    let kinds: Vec<Kind> = plan.changes.iter().map(|change| change.key.kind).collect();
    assert_eq!(kinds, [Kind::DestinationRule, Kind::VirtualService]);
}

#[test]
fn what_cannot_be_a_backend_is_refused() {
    let unknown = refusal(&route(ALL_V1), &["v4=5"]);
    assert_eq!(unknown.kind, RefusalKind::NotFound);
    assert!(
        unknown.message.contains(
            "no Service of namespace default selects version v4 (app: reviews, version: v4)"
        ),
        "{unknown}"
    );
    let header = WeightRequest::parse(&["v3=50"])
        .unwrap()
        .only_for("end-user=ann")
        .unwrap();
    let world = world(&route(ALL_V1));
    let header = plan(&world, &target(&world), &header, Base::Now).unwrap_err();
    assert_eq!(header.kind, RefusalKind::Usage);
    let elsewhere = refusal(
        &route("  - backendRefs: [{name: other, port: 9080}]"),
        &["v3=5"],
    );
    assert!(
        elsewhere
            .message
            .contains("none of its rules has the service or a version of it"),
        "{elsewhere}"
    );
    let special = refusal(
        &route("  - matches: [{method: GET}]\n    backendRefs: [{name: reviews-v1, port: 9080}]"),
        &["v3=5"],
    );
    assert!(special.message.contains("special requests"), "{special}");
    let port = refusal(
        &route("  - backendRefs: [{name: reviews-v1, port: 9081}]"),
        &["v3=5"],
    );
    assert!(port.message.contains("has no port 9081"), "{port}");
    let large = refusal(
        &route(
            "  - backendRefs: [{name: reviews-v1, port: 9080, weight: 999983}, {name: other, port: 80, weight: 7}]",
        ),
        &["v3=51"],
    );
    assert!(large.message.contains("1000000 is the largest"), "{large}");
}
