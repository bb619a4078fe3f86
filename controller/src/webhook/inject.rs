//! `/inject`: the pod with its proxy, as a JSON patch. The function is that of `meshctl kube-inject`.

use mesh_core::inject::{InjectConfig, admit_selected_pod};

use super::review::{Answer, Request};

/// Answers a request. Which pods come here, the selectors of the webhook configuration decide; what the pod says itself counts
/// here.
pub fn answer(request: &Request, config: Option<&InjectConfig>) -> Answer {
    if request.object.is_null() {
        return Answer::allowed();
    }
    let Some(config) = config else {
        // A pod without the proxy that it was to have would be worse than none.
        return Answer::refused(
            503,
            "failed to inject the sidecar: the injector's settings cannot be read; see the log of istiod about the ConfigMap istio-sidecar-injector",
        );
    };
    let before = &request.object;
    match admit_selected_pod(before.clone(), &request.namespace, config) {
        Ok(after) => Answer {
            patch: Some(json_patch::diff(before, &after)),
            ..Answer::allowed()
        },
        Err(message) => Answer::refused(422, message),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;

    fn review(object: Value, config: Option<&InjectConfig>) -> Answer {
        let namespace = object["metadata"]["namespace"].as_str();
        let request = Request {
            uid: "1".to_owned(),
            namespace: namespace.unwrap_or("default").to_owned(),
            operation: "CREATE".to_owned(),
            object,
        };
        answer(&request, config)
    }

    fn documents(text: &str) -> Vec<Value> {
        let (documents, findings) = mesh_core::source::parse("case", text);
        if !findings.is_empty() {
            // The command's answer to what is no YAML; the API server never sends that.
            return Vec::new();
        }
        documents
            .iter()
            .map(|document| (*document.value).clone())
            .collect()
    }

    /// A pod as the workload's controller creates it.
    fn pod_of(workload: &Value) -> Option<Value> {
        let mut pod = match workload["kind"].as_str()? {
            "Pod" => return Some(workload.clone()),
            "CronJob" => workload["spec"]["jobTemplate"]["spec"]["template"].clone(),
            _ => workload["spec"]["template"].clone(),
        };
        if !pod.is_object() {
            return None;
        }
        if let Some(namespace) = workload["metadata"].get("namespace") {
            pod["metadata"]["namespace"] = namespace.clone();
        }
        pod["metadata"]["ownerReferences"] = json!([{"apiVersion": workload["apiVersion"], "kind": workload["kind"],
            "name": workload["metadata"]["name"], "controller": true}]);
        Some(pod)
    }

    /// The golden cases of `kube-inject`: what the command makes of a template, the webhook makes of its pods.
    #[test]
    fn golden_cases_come_out_alike() {
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tests/golden/inject");
        let mut pods = 0;
        for case in std::fs::read_dir(&cases).unwrap() {
            let case = case.unwrap().path();
            let read = |file: &str| std::fs::read_to_string(case.join(file)).unwrap_or_default();
            let config = InjectConfig::parse(&read("injector.yaml"), &read("mesh.yaml")).unwrap();
            let both = documents(&read("input.yaml"))
                .into_iter()
                .zip(documents(&read("expected.yaml")));
            for (before, after) in both {
                if before == after {
                    // Of a kind that is not known, skipped, or injected before.
                    continue;
                }
                let (Some(pod), Some(expected)) = (pod_of(&before), pod_of(&after)) else {
                    continue;
                };
                let answer = review(pod.clone(), Some(&config));
                let mut patched = pod;
                json_patch::patch(&mut patched, &answer.patch.unwrap_or_default()).unwrap();
                assert_eq!(patched, expected, "{}", case.display());
                pods += 1;
            }
        }
        assert!(
            pods > 5,
            "only {pods} golden cases of {} have pods",
            cases.display()
        );
    }

    #[test]
    fn without_settings_a_pod_is_refused() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "app", "image": "x"}]}});
        assert_eq!(review(pod.clone(), None).refused.unwrap().0, 503);
        let mut broken = pod;
        broken["metadata"]["annotations"] =
            json!({"traffic.sidecar.istio.io/includeOutboundIPRanges": "x"});
        let (code, message) = review(broken, Some(&InjectConfig::default()))
            .refused
            .unwrap();
        assert_eq!(code, 422);
        assert!(message.contains("includeOutboundIPRanges"), "{message}");
    }
}
