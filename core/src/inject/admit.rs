//! The door of the API server: a pod is about to be created.

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
    let refused = |error: super::InjectError| format!("failed to inject the sidecar: {error}");
    let template = Template::read(&pod).map_err(refused)?;
    let namespace = Namespace {
        name,
        labels: Some(&labels),
    };
    match decide_template(&template, namespace, config) {
        Decision::Skip(_) => Ok(pod),
        Decision::Inject => {
            let owner = workload::owner_of_pod(&pod, name);
            let injected = inject_pod(&pod, &owner, config).map_err(refused)?;
            Ok(injected.value)
        }
    }
}
