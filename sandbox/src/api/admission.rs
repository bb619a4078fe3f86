//! Admission: what happens to objects on their way into the store.
//!
//! A new pod gets its sidecar here, by the very function that `kube-inject` and the webhook use, as soon as a mesh is
//! installed: its ConfigMaps say whether and how. Without them there is no mesh, and pods stay as they are.

use mesh_core::inject::{InjectConfig, admit_pod};
use serde_json::Value;

/// The namespace and the names of the ConfigMaps, and the keys of their texts.
pub const NAMESPACE: &str = "istio-system";
pub const INJECTOR: (&str, &str) = ("istio-sidecar-injector", "config");
pub const MESH: (&str, &str) = ("istio", "mesh");

/// The pod as it is to be stored. `config_map` looks one up in the mesh's namespace.
///
/// # Errors
/// A sentence for the client, when the configuration or the pod's annotations make no sense. The pod is refused then:
/// one that runs without the proxy it was to have would be worse.
pub fn inject(
    pod: Value,
    namespace: &Value,
    config_map: impl Fn(&str) -> Option<Value>,
) -> Result<Value, String> {
    let Some(injector) = config_map(INJECTOR.0) else {
        return Ok(pod);
    };
    let mesh = config_map(MESH.0).unwrap_or_default();
    let text = |map: &Value, key: &str| map["data"][key].as_str().unwrap_or_default().to_owned();
    let config = InjectConfig::parse(&text(&injector, INJECTOR.1), &text(&mesh, MESH.1))
        .map_err(|error| format!("failed to inject the sidecar: {error}"))?;
    admit_pod(pod, namespace, &config)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn containers(namespace: &Value, config: Option<&str>) -> Result<usize, String> {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"},
            "spec": {"containers": [{"name": "app", "image": "x"}]}});
        let maps = |name: &str| {
            (name == INJECTOR.0)
                .then(|| config.map(|config| json!({"data": {"config": config}})))
                .flatten()
        };
        let pod = inject(pod, namespace, maps)?;
        Ok(pod["spec"]["containers"].as_array().unwrap().len())
    }

    #[test]
    fn pods_of_labelled_namespaces_get_a_sidecar_once_there_is_a_mesh() {
        let plain = json!({"metadata": {"name": "n"}});
        let labelled = json!({"metadata": {"name": "n", "labels": {"istio-injection": "enabled"}}});
        assert_eq!(containers(&labelled, None), Ok(1));
        assert_eq!(containers(&plain, Some("policy: enabled")), Ok(1));
        assert_eq!(containers(&labelled, Some("policy: enabled")), Ok(2));
        let error = containers(&labelled, Some("policy: [")).unwrap_err();
        assert!(error.contains("istio-sidecar-injector"), "{error}");
    }
}
