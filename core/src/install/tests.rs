//! Values and plans, checked by what comes out of them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn planned(sets: &[&str], files: &[(&str, &str)]) -> Result<Plan, Vec<ValuesError>> {
    let sets: Vec<String> = sets.iter().map(|text| (*text).to_owned()).collect();
    let files: Vec<ValuesFile> = files
        .iter()
        .map(|(name, text)| ValuesFile {
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        })
        .collect();
    plan(&Request {
        profile: None,
        files: &files,
        sets: &sets,
        namespace: None,
        revision: None,
    })
}

#[track_caller]
fn plan_of(sets: &[&str]) -> Plan {
    planned(sets, &[]).unwrap_or_else(|errors| panic!("{errors:?}"))
}

#[track_caller]
fn errors(sets: &[&str], files: &[(&str, &str)]) -> Vec<String> {
    let errors = planned(sets, files).expect_err("the values are accepted");
    errors.iter().map(ToString::to_string).collect()
}

/// The kinds and names of a plan.
fn names(plan: &Plan) -> Vec<String> {
    let all = plan.objects.iter();
    all.filter(|object| object.resource.kind != "CustomResourceDefinition")
        .map(|object| object.identity().to_string())
        .collect()
}

fn container<'a>(plan: &'a Plan, deployment: &str) -> &'a Value {
    let deployment = plan.find("Deployment", deployment).unwrap();
    &deployment["spec"]["template"]["spec"]["containers"][0]
}

fn text_of<'a>(plan: &'a Plan, config_map: &str, key: &str) -> &'a str {
    let config_map = plan.find("ConfigMap", config_map).unwrap();
    config_map["data"][key].as_str().unwrap()
}

#[test]
fn profiles_differ_in_their_gateways() {
    let deployments = |profile: &str| {
        let plan = plan_of(&[&format!("profile={profile}")]);
        let all = names(&plan).into_iter();
        all.filter(|name| name.starts_with("Deployment"))
            .map(|name| name.replace("Deployment istio-system/", ""))
            .collect::<Vec<_>>()
    };
    let (istiod, ingress, egress) = ("istiod", "istio-ingressgateway", "istio-egressgateway");
    assert_eq!(deployments("minimal"), [istiod]);
    assert_eq!(deployments("default"), [istiod, ingress]);
    assert_eq!(deployments("demo"), [istiod, ingress, egress]);
    assert!(plan_of(&["profile=empty"]).objects.is_empty());
}

#[test]
fn objects_come_in_the_order_of_phases() {
    let plan = plan_of(&[]);
    let phases: Vec<Phase> = plan.objects.iter().map(|object| object.phase).collect();
    assert!(phases.is_sorted());
    assert_eq!(plan.objects[0].resource.kind, "Namespace");
    for object in &plan.objects {
        let labels = &object.value["metadata"]["labels"];
        assert_eq!(labels[OWNER_LABEL], "istio-system", "{}", object.identity());
        assert_eq!(object.value["kind"], object.resource.kind);
        assert_eq!(
            object.value["apiVersion"],
            object.resource.api_version().as_str()
        );
    }
}

#[test]
fn keys_reach_the_objects() {
    let plan = plan_of(&[
        "values.global.hub=example.com/mesh",
        "tag=1.10",
        "values.global.istioNamespace=mesh",
        "meshConfig.accessLogFile=/dev/stdout",
        "meshConfig.outboundTrafficPolicy.mode=REGISTRY_ONLY",
        "meshConfig.defaultConfig.concurrency=3",
        "values.global.proxy.resources.requests.cpu=5m",
        "values.global.logging.level=default:debug",
        "values.pilot.env.PILOT_DEBOUNCE_AFTER=10ms",
        "components.ingressGateways[0].k8s.service.type=NodePort",
        "components.ingressGateways[0].k8s.replicaCount=2",
        r"values.gateways.istio-ingressgateway.nodeSelector.kubernetes\.io/os=linux",
        "values.sidecarInjectorWebhook.rewriteAppHTTPProbe=false",
    ]);
    assert_eq!(plan.namespace, "mesh");
    let istiod = container(&plan, "istiod");
    assert_eq!(istiod["image"], "example.com/mesh/pilot:1.10");
    assert!(
        istiod["args"]
            .to_string()
            .contains("--log_output_level=debug")
    );
    assert!(istiod["env"].to_string().contains("PILOT_DEBOUNCE_AFTER"));
    let mesh: Value = serde_yaml::from_str(text_of(&plan, "istio", "mesh")).unwrap();
    assert_eq!(mesh["accessLogFile"], "/dev/stdout");
    assert_eq!(mesh["outboundTrafficPolicy"]["mode"], "REGISTRY_ONLY");
    assert_eq!(mesh["rootNamespace"], "mesh");
    let injector: Value =
        serde_yaml::from_str(text_of(&plan, "istio-sidecar-injector", "config")).unwrap();
    assert_eq!(injector["values"]["resources"]["requests"]["cpu"], "5m");
    assert_eq!(injector["values"]["rewriteAppHTTPProbe"], false);
    assert_eq!(injector["values"]["istioNamespace"], "mesh");
    let gateway = plan.find("Service", "istio-ingressgateway").unwrap();
    assert_eq!(gateway["spec"]["type"], "NodePort");
    let gateway = plan.find("Deployment", "istio-ingressgateway").unwrap();
    assert_eq!(gateway["spec"]["replicas"], 2);
    assert_eq!(
        gateway["spec"]["template"]["spec"]["nodeSelector"],
        json!({ "kubernetes.io/os": "linux" })
    );
    let proxy = container(&plan, "istio-ingressgateway")["env"].to_string();
    assert!(proxy.contains(r#"\"concurrency\":3"#), "{proxy}");
    assert!(proxy.contains("istiod.mesh.svc:15012"), "{proxy}");
    assert!(
        plan.find("PodDisruptionBudget", "istio-ingressgateway")
            .is_some()
    );
    assert!(plan.find("PodDisruptionBudget", "istiod").is_none());
}

#[test]
fn what_is_installed_can_be_read_by_who_is_configured() {
    for profile in Profile::ALL {
        let plan = plan_of(&[&format!("profile={}", profile.name())]);
        let Some(_) = plan.find("ConfigMap", "istio") else {
            continue;
        };
        let config = crate::inject::InjectConfig::parse(
            text_of(&plan, "istio-sidecar-injector", "config"),
            text_of(&plan, "istio", "mesh"),
        )
        .unwrap();
        assert_eq!(config.mesh.root_namespace(), "istio-system");
        assert_eq!(
            config.injector.values.image_reference("pilot"),
            container(&plan, "istiod")["image"].as_str().unwrap()
        );
    }
}

#[test]
fn many_unknown_keys_are_told_in_part() {
    let keys: Vec<String> = (0..20_000).map(|at| format!("  key{at}: 1\n")).collect();
    let text = format!("kind: IstioOperator\nspec:\n{}", keys.concat());
    let errors = errors(&[], &[("values.yaml", &text)]);
    let near = errors.iter().filter(|error| error.contains("nearest"));
    assert_eq!(near.count(), 20, "looking for similar keys is bounded");
    assert_eq!(errors.len(), 101);
    assert_eq!(errors[100], "values.yaml: 19900 more keys are wrong");
}

#[test]
fn an_unknown_key_names_the_nearest() {
    for (set, nearest) in [
        ("values.globall.hub=x", "values.global"),
        ("values.global.hubb=x", "values.global.hub"),
        ("accessLogFile=/dev/stdout", "meshConfig.accessLogFile"),
        ("meshConfig.accesLogFile=x", "meshConfig.accessLogFile"),
        (
            "meshConfig.outboundTrafficPolicy.mod=x",
            "meshConfig.outboundTrafficPolicy.mode",
        ),
        (
            "components.ingresGateways[0].enabled=true",
            "components.ingressGateways",
        ),
        (
            "components.ingressGateways[0].enable=true",
            "components.ingressGateways[0].enabled",
        ),
        (
            "meshConfig.defaultConfig.holdApplicationUntilProxyStart=true",
            "meshConfig.defaultConfig.holdApplicationUntilProxyStarts",
        ),
        (
            "values.gateways.istio-ingresgateway.type=x",
            "values.gateways.istio-ingressgateway",
        ),
    ] {
        let found = errors(&[set], &[]);
        let end = format!("unknown key; the nearest known one is {nearest}");
        assert!(
            found.len() == 1 && found[0].ends_with(&end),
            "{set}: {found:?}"
        );
    }
}

#[test]
fn wrong_types_name_the_path() {
    for (set, part) in [
        (
            "components.pilot.enabled=maybe",
            "components.pilot.enabled: invalid type: string \"maybe\"",
        ),
        (
            "values.pilot.replicaCount=many",
            "values.pilot.replicaCount: invalid type",
        ),
        (
            "values.pilot.replicaCount=-1",
            "values.pilot.replicaCount: invalid value",
        ),
        (
            "meshConfig.outboundTrafficPolicy.mode=ANY",
            "meshConfig.outboundTrafficPolicy.mode: unknown variant",
        ),
        (
            "values.pilot.resources.requests.cpu=lots",
            "values.pilot.resources.requests.cpu: \"lots\" is not a quantity",
        ),
        (
            "components.ingressGateways[4].enabled=true",
            "there is no item 4",
        ),
        (
            "values.pilot.resources=5",
            "values.pilot.resources: invalid type",
        ),
        (
            "profile=big",
            "there is no profile \"big\"; there are default, demo, minimal, empty",
        ),
        ("revision=1.32", "is no name of a revision"),
    ] {
        let found = errors(&[set], &[]);
        assert!(
            found.len() == 1 && found[0].contains(part),
            "{set}: {found:?}"
        );
    }
}

#[test]
fn all_errors_of_files_are_told_with_their_places() {
    let operator = "\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  profil: demo
  components:
    pilot:
      k8s:
        replicaCount: two
";
    let charts = "global:\n  hubb: x\npilot:\n  env: {A: [1]}\n";
    assert_eq!(
        errors(
            &["nonsense"],
            &[
                ("a.yaml", operator),
                ("b.yaml", charts),
                ("c.yaml", "kind: Pod"),
                ("d.yaml", "a: [")
            ]
        )
        .iter()
        .map(|text| text.split(": ").take(2).collect::<Vec<_>>().join(": "))
        .collect::<Vec<_>>(),
        [
            "--set nonsense: not of the form PATH=VALUE",
            "a.yaml:4:3: profil",
            "a.yaml:8:23: components.pilot.k8s.replicaCount",
            "b.yaml:2:3: values.global.hubb",
            "b.yaml:4:12: values.pilot.env.A",
            "c.yaml:1:7: Pod is no IstioOperator and no values",
            "d.yaml: line 1, column 4",
        ]
    );
}

#[test]
fn keys_of_kubernetes_types_are_checked_too() {
    let text = "components: {pilot: {k8s: {tolerations: [{key: a, effekt: b}]}}}";
    let found = errors(&[], &[("v.yaml", text)]);
    assert!(found[0].contains("unknown key effekt"), "{found:?}");
}

#[test]
fn files_go_over_the_profile_and_sets_over_files() {
    let files = [
        (
            "a.yaml",
            "profile: minimal\ncomponents:\n  ingressGateways:\n  - name: istio-ingressgateway\n    enabled: true\n  - name: second\n    enabled: true\n    label: {istio: second}\n",
        ),
        ("b.yaml", "global: {hub: one}\npilot: {replicaCount: 2}\n"),
    ];
    let plan = planned(
        &["values.global.hub=two", "values.pilot.replicaCount=null"],
        &files,
    )
    .unwrap();
    assert_eq!(plan.profile, "minimal");
    assert_eq!(
        container(&plan, "istiod")["image"],
        format!("two/pilot:{}", crate::inject::VERSION)
    );
    assert!(plan.find("Deployment", "istio-ingressgateway").is_some());
    let second = plan.find("Deployment", "second").unwrap();
    assert_eq!(
        second["spec"]["selector"]["matchLabels"],
        json!({ "app": "second", "istio": "second" })
    );
    assert_eq!(
        plan.find("Deployment", "istiod").unwrap()["spec"].get("replicas"),
        None
    );
}

#[test]
fn keys_without_effect_are_told() {
    let plan = plan_of(&[
        "meshConfig.enableEnvoyAccessLogService=true",
        "values.global.meshID=x",
    ]);
    assert_eq!(
        plan.warnings,
        [
            "--set meshConfig.enableEnvoyAccessLogService=true: meshConfig.enableEnvoyAccessLogService has no effect in this version",
            "--set values.global.meshID=x: values.global.meshID has no effect in this version",
        ]
    );
    assert!(text_of(&plan, "istio", "mesh").contains("enableEnvoyAccessLogService: true"));
}

#[test]
fn rights_are_least() {
    let plan = plan_of(&[]);
    for kind in ["ClusterRole", "Role"] {
        let name = if kind == "Role" {
            "istiod"
        } else {
            "istiod-clusterrole-istio-system"
        };
        let text = plan.find(kind, name).unwrap()["rules"].to_string();
        assert!(!text.contains('*'), "{text}");
        assert!(!text.contains("delete"), "{text}");
    }
}

#[test]
fn an_autoscaler_takes_the_number_of_pods_over() {
    let plan = plan_of(&[
        "values.pilot.autoscaleEnabled=true",
        "values.pilot.autoscaleMin=2",
        "values.pilot.replicaCount=3",
    ]);
    assert_eq!(
        plan.find("Deployment", "istiod").unwrap()["spec"].get("replicas"),
        None
    );
    let autoscaler = plan.find("HorizontalPodAutoscaler", "istiod").unwrap();
    assert_eq!(autoscaler["spec"]["minReplicas"], 2);
    assert!(plan.find("PodDisruptionBudget", "istiod").is_some());
}

/// All schemas of a CRD, each with its path.
fn schemas(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, child) in schema["properties"].as_object().into_iter().flatten() {
        schemas(child, &format!("{path}.{name}"), visit);
    }
    for name in ["items", "additionalProperties"] {
        if schema[name].is_object() {
            schemas(&schema[name], &format!("{path}.{name}"), visit);
        }
    }
}

#[test]
fn crds_are_structural() {
    for crd in crds() {
        let crd = serde_json::to_value(&crd).unwrap();
        let versions = crd["spec"]["versions"].as_array().unwrap();
        let stored: Vec<_> = versions.iter().map(|one| one["storage"] == true).collect();
        let only_first: Vec<_> = (0..versions.len()).map(|at| at == 0).collect();
        assert_eq!(stored, only_first);
        for version in versions {
            let schema = &version["schema"]["openAPIV3Schema"];
            assert_eq!(
                schema["properties"]["status"]["x-kubernetes-preserve-unknown-fields"],
                true
            );
            schemas(schema, "", &mut |path, schema| {
                let any = schema["x-kubernetes-preserve-unknown-fields"] == true;
                assert!(
                    schema["type"].is_string() || any,
                    "{path} has no type: {schema}"
                );
                for key in ["default", "nullable", "$ref"] {
                    assert!(schema.get(key).is_none(), "{path} has {key}");
                }
                let nulls = schema["enum"].as_array().into_iter().flatten();
                assert!(!nulls.clone().any(Value::is_null), "{path} may be null");
            });
        }
    }
}

#[test]
fn crds_have_all_fields_of_their_kinds() {
    let all = crds();
    let spec = |kind: &str| {
        let crd = all.iter().find(|crd| crd.spec.names.kind == kind).unwrap();
        let version = serde_json::to_value(&crd.spec.versions[0]).unwrap();
        version["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
    };
    let keeps = |schema: &Value| schema["x-kubernetes-preserve-unknown-fields"] == true;
    let rule = spec("DestinationRule");
    assert!(!keeps(&rule), "a typing error in spec would not be told");
    let policy = &rule["properties"]["trafficPolicy"];
    assert!(!keeps(policy) && policy["properties"]["proxyProtocol"].is_object());
    let entry = spec("ServiceEntry");
    assert!(entry["properties"]["workloadSelector"]["properties"]["labels"].is_object());
}

fn words() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just("values"),
        Just("global"),
        Just("meshConfig"),
        Just("defaultConfig"),
        Just("components"),
        Just("ingressGateways"),
        Just("[0]"),
        Just("[1]"),
        Just("k8s"),
        Just("tracing"),
        Just("env"),
        Just("x\\.y"),
        Just("pilot"),
    ];
    let path = prop::collection::vec(key, 1..5).prop_map(|keys| keys.join(".").replace(".[", "["));
    (path, "[ -~]{0,6}").prop_map(|(path, value)| format!("{path}={value}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_that_people_write_panics(
        sets in prop::collection::vec(prop_oneof![words(), any::<String>()], 0..4),
        text in prop_oneof![any::<String>(), "[a-z{}:\\[\\], \n-]{0,40}"],
    ) {
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        if let Ok(plan) = planned(&sets, &[("values.yaml", &text)]) {
            let _ = plan.to_yaml();
        }
    }
}

#[test]
fn a_bottomless_path_is_refused() {
    let set = format!("meshConfig.defaultConfig.tracing{}=1", ".a".repeat(100_000));
    assert!(errors(&[&set], &[])[0].contains("the path has more than 64 keys"));
}

#[test]
fn a_named_revision_shares_only_base_objects_with_the_default_one() {
    let default = plan_of(&["profile=minimal"]);
    let canary = plan_of(&["profile=minimal", "revision=canary"]);
    let identities = |plan: &Plan| {
        plan.objects
            .iter()
            .map(Object::identity)
            .collect::<std::collections::BTreeSet<_>>()
    };
    let (mine, theirs) = (identities(&default), identities(&canary));
    for shared in mine.intersection(&theirs) {
        assert!(
            ["Namespace", "CustomResourceDefinition"].contains(&shared.kind.as_str()),
            "{shared}"
        );
    }
    assert_eq!(mine.len(), theirs.len());
    let labels = |kind: &str, name: &str| {
        canary.find(kind, name).unwrap()["metadata"]["labels"]["istio.io/rev"].clone()
    };
    assert_eq!(labels("Namespace", "istio-system"), "default");
    assert_eq!(labels("Deployment", "istiod-canary"), "canary");
    let selector = |plan: &Plan, name: &str| {
        let service = plan.find("Service", name).unwrap();
        service["spec"]["selector"].clone()
    };
    assert_ne!(
        selector(&default, "istiod"),
        selector(&canary, "istiod-canary")
    );
    let injector = canary
        .find("ConfigMap", "istio-sidecar-injector-canary")
        .unwrap();
    let text = injector["data"]["config"].as_str().unwrap();
    assert!(text.contains("revision: canary"), "{text}");
}

#[test]
fn webhooks_come_last_and_leave_system_namespaces_alone() {
    let plan = plan_of(&["profile=demo"]);
    let kinds: Vec<&str> = plan
        .objects
        .iter()
        .rev()
        .take(2)
        .map(|object| object.resource.kind)
        .collect();
    assert_eq!(
        kinds,
        [
            "ValidatingWebhookConfiguration",
            "MutatingWebhookConfiguration"
        ]
    );
    let injector = plan
        .find("MutatingWebhookConfiguration", "istio-sidecar-injector")
        .unwrap();
    for webhook in injector["webhooks"].as_array().unwrap() {
        let excluded = webhook["namespaceSelector"].to_string();
        for name in ["kube-system", "istio-system"] {
            assert!(excluded.contains(name), "{excluded}");
        }
        assert_eq!(webhook["failurePolicy"], "Fail");
    }
}
