//! Admission: a pod is about to be created.

use std::collections::BTreeMap;

use serde_json::Value;

use super::decide::decide_template;
use super::template::Template;
use super::{Decision, InjectConfig, Namespace, inject_pod, workload};

/// The pod as it is to be created: with its proxy where the namespace (an object) and the pod ask for one, else as it is.
///
/// # Errors
/// When the pod is malformed or an annotation has no valid value, as a sentence for the API's answer.
pub fn admit_pod(pod: Value, namespace: &Value, config: &InjectConfig) -> Result<Value, String> {
    let metadata = &namespace["metadata"];
    let name = metadata["name"].as_str().unwrap_or("default");
    let labels: BTreeMap<String, String> = metadata["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    let namespace = Namespace {
        name,
        labels: Some(&labels),
    };
    admit(pod, namespace, config)
}

/// The pod as [`admit_pod`] gives it, where the selectors of a webhook configuration have already chosen it by the labels of its
/// namespace and its own.
///
/// # Errors
/// As [`admit_pod`].
pub fn admit_selected_pod(
    pod: Value,
    namespace: &str,
    config: &InjectConfig,
) -> Result<Value, String> {
    let namespace = Namespace {
        name: namespace,
        labels: None,
    };
    admit(pod, namespace, config)
}

fn admit(pod: Value, namespace: Namespace<'_>, config: &InjectConfig) -> Result<Value, String> {
    let refused = |error: super::InjectError| format!("failed to inject the sidecar: {error}");
    let template = Template::read(&pod).map_err(refused)?;
    match decide_template(&template, namespace, config) {
        Decision::Skip(_) => Ok(pod),
        Decision::Inject => {
            let owner = workload::owner_of_pod(&pod, namespace.name);
            let injected = inject_pod(&pod, &owner, config).map_err(refused)?;
            Ok(injected.value)
        }
    }
}
