//! The webhook configurations, by which the API server calls the control plane: injection of sidecars and validation of the mesh's
//! kinds. They come last: what they name must be there before.
//!
//! The CA bundle is the running control plane's to write, and so is `failurePolicy` of validation once it is served.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, ServiceReference,
    ValidatingWebhook, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use serde_json::Value;

use super::object::{Component, Object, Phase, metadata};
use super::revision::{DEFAULT_REVISION, revised};
use super::settings::Settings;
use crate::inject::SYSTEM_NAMESPACES;

/// Seconds that the API server waits for an answer.
const TIMEOUT: i32 = 10;
/// Groups of the kinds that are validated.
const GROUPS: [&str; 7] = [
    "authentication.istio.io",
    "config.istio.io",
    "extensions.istio.io",
    "networking.istio.io",
    "rbac.istio.io",
    "security.istio.io",
    "telemetry.istio.io",
];

const REVISION: &str = "istio.io/rev";
const INJECTION: &str = "istio-injection";
const INJECT: &str = "sidecar.istio.io/inject";
const NAMESPACE: &str = "kubernetes.io/metadata.name";

/// Name of the configuration of injection.
pub fn injector_webhook(revision: &str, namespace: &str) -> String {
    let name = revised("istio-sidecar-injector", revision);
    match namespace {
        "istio-system" => name,
        namespace => format!("{name}-{namespace}"),
    }
}

/// Name of the configuration of validation.
pub fn validator_webhook(revision: &str, namespace: &str) -> String {
    let name = revised("istio-validator", revision);
    format!("{name}-{namespace}")
}

/// The control plane that the API server is to call.
pub(super) struct Target<'a> {
    /// Its namespace.
    pub(super) namespace: &'a str,
    /// Its revision.
    pub(super) revision: &'a str,
    /// PEM of who has signed its certificate, where that is known; it writes it there itself in any case.
    pub(super) ca_bundle: Option<&'a [u8]>,
}

pub(super) fn objects(settings: &Settings) -> [Object; 2] {
    let own = &settings.namespace;
    let component = Component::Istiod;
    let mut injector = metadata(
        &component,
        settings,
        None,
        &injector_webhook(&settings.revision, own),
    );
    let labels = injector.labels.get_or_insert_default();
    labels.insert("app".into(), "sidecar-injector".into());
    let mut validator = metadata(
        &component,
        settings,
        None,
        &validator_webhook(&settings.revision, own),
    );
    let labels = validator.labels.get_or_insert_default();
    labels.insert("app".into(), "istiod".into());
    labels.insert("istio".into(), "istiod".into());
    let target = Target {
        namespace: own,
        revision: &settings.revision,
        ca_bundle: None,
    };
    [
        Object::new(
            &component,
            Phase::Webhooks,
            &MutatingWebhookConfiguration {
                metadata: injector,
                webhooks: Some(injection(&settings.revision, &target)),
            },
        ),
        Object::new(
            &component,
            Phase::Webhooks,
            &ValidatingWebhookConfiguration {
                metadata: validator,
                webhooks: Some(validation(&settings.revision, &target)),
            },
        ),
    ]
}

/// Pods are chosen as Istio documents it: `istio-injection` of the namespace goes before `istio.io/rev` of the namespace, and that
/// before the labels of the pod. Labels give a revision or a tag by its name; without one the name `default` answers.
pub(super) fn injection(name: &str, target: &Target<'_>) -> Vec<MutatingWebhook> {
    let not_refused = || not_in(INJECT, &["false"]);
    let mut all = vec![
        injector(
            target,
            "rev.namespace.sidecar-injector.istio.io",
            vec![is_in(REVISION, &[name]), absent(INJECTION)],
            vec![not_refused()],
        ),
        injector(
            target,
            "rev.object.sidecar-injector.istio.io",
            vec![absent(REVISION), absent(INJECTION)],
            vec![not_refused(), is_in(REVISION, &[name])],
        ),
    ];
    if name == DEFAULT_REVISION {
        all.push(injector(
            target,
            "namespace.sidecar-injector.istio.io",
            vec![is_in(INJECTION, &["enabled"])],
            vec![not_refused()],
        ));
        all.push(injector(
            target,
            "object.sidecar-injector.istio.io",
            vec![absent(INJECTION), absent(REVISION)],
            vec![is_in(INJECT, &["true"]), absent(REVISION)],
        ));
    }
    all
}

fn injector(
    target: &Target<'_>,
    name: &str,
    mut namespaces: Vec<LabelSelectorRequirement>,
    pods: Vec<LabelSelectorRequirement>,
) -> MutatingWebhook {
    let excluded = [&SYSTEM_NAMESPACES[..], &[target.namespace]].concat();
    namespaces.push(not_in(NAMESPACE, &excluded));
    MutatingWebhook {
        name: name.to_owned(),
        admission_review_versions: texts(&["v1"]),
        client_config: client_config(target, "/inject"),
        failure_policy: Some("Fail".into()),
        match_policy: Some("Equivalent".into()),
        namespace_selector: Some(selector(namespaces)),
        object_selector: Some(selector(pods)),
        reinvocation_policy: Some("IfNeeded".into()),
        rules: Some(vec![rule(&[""], &["v1"], &["pods"], &["CREATE"])]),
        side_effects: "None".into(),
        timeout_seconds: Some(TIMEOUT),
        ..MutatingWebhook::default()
    }
}

/// Objects that name a revision are validated by it; those that name none belong to all, and the default one validates them.
pub(super) fn validation(name: &str, target: &Target<'_>) -> Vec<ValidatingWebhook> {
    let named = vec![is_in(REVISION, &[name])];
    let mut all = vec![validator(target, "rev.validation.istio.io", named)];
    if name == DEFAULT_REVISION {
        all.push(validator(
            target,
            "validation.istio.io",
            vec![absent(REVISION)],
        ));
    }
    all
}

fn validator(
    target: &Target<'_>,
    name: &str,
    objects: Vec<LabelSelectorRequirement>,
) -> ValidatingWebhook {
    ValidatingWebhook {
        name: name.to_owned(),
        admission_review_versions: texts(&["v1"]),
        client_config: client_config(target, "/validate"),
        // Until it is served; the control plane then makes it `Fail`.
        failure_policy: Some("Ignore".into()),
        match_policy: Some("Equivalent".into()),
        object_selector: Some(selector(objects)),
        rules: Some(vec![rule(&GROUPS, &["*"], &["*"], &["CREATE", "UPDATE"])]),
        side_effects: "None".into(),
        timeout_seconds: Some(TIMEOUT),
        ..ValidatingWebhook::default()
    }
}

fn client_config(target: &Target<'_>, path: &str) -> WebhookClientConfig {
    WebhookClientConfig {
        ca_bundle: target.ca_bundle.map(|pem| ByteString(pem.to_vec())),
        service: Some(ServiceReference {
            name: revised("istiod", target.revision),
            namespace: target.namespace.to_owned(),
            path: Some(path.to_owned()),
            port: Some(443),
        }),
        ..WebhookClientConfig::default()
    }
}

fn rule(
    groups: &[&str],
    versions: &[&str],
    resources: &[&str],
    operations: &[&str],
) -> RuleWithOperations {
    RuleWithOperations {
        api_groups: Some(texts(groups)),
        api_versions: Some(texts(versions)),
        operations: Some(texts(operations)),
        resources: Some(texts(resources)),
        scope: Some("*".into()),
    }
}

fn selector(expressions: Vec<LabelSelectorRequirement>) -> LabelSelector {
    LabelSelector {
        match_expressions: Some(expressions),
        match_labels: None,
    }
}

fn requirement(key: &str, operator: &str, values: &[&str]) -> LabelSelectorRequirement {
    LabelSelectorRequirement {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: (!values.is_empty()).then(|| texts(values)),
    }
}

fn is_in(key: &str, values: &[&str]) -> LabelSelectorRequirement {
    requirement(key, "In", values)
}

fn not_in(key: &str, values: &[&str]) -> LabelSelectorRequirement {
    requirement(key, "NotIn", values)
}

fn absent(key: &str) -> LabelSelectorRequirement {
    requirement(key, "DoesNotExist", &[])
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|one| (*one).to_owned()).collect()
}

/// The value with what the running control plane has decided: an installation over another one does not take `failurePolicy` of
/// validation back. Other kinds stay as they are.
pub(super) fn keep_decided(mut value: Value, live: &Value) -> Value {
    if value["kind"] != "ValidatingWebhookConfiguration" {
        return value;
    }
    let live = live["webhooks"].as_array().map_or(&[][..], Vec::as_slice);
    for webhook in value["webhooks"].as_array_mut().into_iter().flatten() {
        let same = live.iter().find(|other| other["name"] == webhook["name"]);
        if let Some(policy @ Value::String(_)) = same.map(|same| &same["failurePolicy"]) {
            webhook["failurePolicy"] = policy.clone();
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_carry_revision_and_namespace() {
        assert_eq!(
            injector_webhook("default", "istio-system"),
            "istio-sidecar-injector"
        );
        assert_eq!(
            injector_webhook("canary", "mesh"),
            "istio-sidecar-injector-canary-mesh"
        );
        assert_eq!(
            validator_webhook("canary", "mesh"),
            "istio-validator-canary-mesh"
        );
    }

    #[test]
    fn a_second_installation_keeps_the_policy_that_the_control_plane_has_set() {
        let planned = json!({"kind": "ValidatingWebhookConfiguration",
            "webhooks": [{"name": "a", "failurePolicy": "Ignore"}, {"name": "b", "failurePolicy": "Ignore"}]});
        let live = json!({"webhooks": [{"name": "a", "failurePolicy": "Fail"}]});
        let kept = keep_decided(planned.clone(), &live);
        assert_eq!(kept["webhooks"][0]["failurePolicy"], "Fail");
        assert_eq!(kept["webhooks"][1]["failurePolicy"], "Ignore");
        assert_eq!(keep_decided(planned.clone(), &Value::Null), planned);
    }
}
