//! Fields that never change once they are set.

use serde_json::{Value, json};

use crate::kinds::Kind;
use crate::status::Cause;

/// Fields of kinds, by path.
#[rustfmt::skip]
const FIXED: &[(&str, &[&str])] = &[
    ("deployments.apps", &["spec.selector"]),
    ("replicasets.apps", &["spec.selector"]),
    ("daemonsets.apps", &["spec.selector"]),
    ("statefulsets.apps", &["spec.selector", "spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"]),
    ("jobs.batch", &["spec.selector", "spec.template", "spec.completionMode"]),
    ("secrets", &["type"]),
    ("rolebindings.rbac.authorization.k8s.io", &["roleRef"]),
    ("clusterrolebindings.rbac.authorization.k8s.io", &["roleRef"]),
    ("customresourcedefinitions.apiextensions.k8s.io",
        &["spec.group", "spec.scope", "spec.names.plural", "spec.names.kind"]),
    ("endpointslices.discovery.k8s.io", &["addressType"]),
    ("storageclasses.storage.k8s.io", &["provisioner", "parameters", "volumeBindingMode"]),
];

/// The only fields of a pod's spec that may change.
const POD: [&str; 5] = [
    "activeDeadlineSeconds",
    "tolerations",
    "terminationGracePeriodSeconds",
    "ephemeralContainers",
    "schedulingGates",
];

pub fn check(kind: &Kind, old: &Value, new: &Value) -> Vec<Cause> {
    let id = kind.id();
    let mut causes = Vec::new();
    let fixed = FIXED.iter().find(|(name, _)| *name == id);
    for path in fixed.map_or(&[][..], |(_, paths)| paths) {
        let (before, after) = (at(old, path), at(new, path));
        if before != after {
            causes.push(Cause::invalid(*path, after, "field is immutable"));
        }
    }
    match id.as_str() {
        "pods" => causes.extend(pod(&old["spec"], &new["spec"])),
        "services" => causes.extend(service(&old["spec"], &new["spec"])),
        "configmaps" | "secrets" if old["immutable"] == true => {
            let same = |field: &str| old[field] == new[field];
            if !(same("data") && same("binaryData") && same("immutable")) {
                causes.push(Cause::forbidden(
                    "data",
                    "field is immutable when `immutable` is set",
                ));
            }
        }
        _ => {}
    }
    causes
}

fn at<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(object, |place, part| &place[part])
}

/// Of a pod only images and a few fields change; a binding sets its node.
fn pod(old: &Value, new: &Value) -> Option<Cause> {
    let strip = |spec: &Value| {
        let mut spec = spec.clone();
        if let Some(fields) = spec.as_object_mut() {
            for field in POD {
                fields.shift_remove(field);
            }
            for list in ["containers", "initContainers"] {
                let containers = fields.get_mut(list).and_then(Value::as_array_mut);
                let containers = containers.into_iter().flatten();
                for container in containers.filter_map(Value::as_object_mut) {
                    container.shift_remove("image");
                    container.shift_remove("imagePullPolicy");
                    container.shift_remove("resources");
                }
            }
            if old["nodeName"].as_str().unwrap_or_default().is_empty() {
                fields.shift_remove("nodeName");
            }
        }
        spec
    };
    (strip(old) != strip(new)).then(|| {
        let why = "pod updates may not change fields other than `spec.containers[*].image`, \
                   `spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, `spec.tolerations` and \
                   `spec.terminationGracePeriodSeconds`";
        Cause::forbidden("spec", why)
    })
}

fn service(old: &Value, new: &Value) -> Option<Cause> {
    let keeps = |spec: &Value| spec["type"] != "ExternalName";
    let before = &old["clusterIP"];
    let changed = keeps(old) && keeps(new) && !before.is_null() && before != &new["clusterIP"];
    changed.then(|| {
        let value = json!([new["clusterIP"]]);
        Cause::invalid("spec.clusterIPs[0]", &value, "may not change once set")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::Kinds;

    #[test]
    fn a_pod_gets_its_node_once_and_its_image_any_time() {
        let kinds = Kinds::builtin();
        let kind = &kinds.table("", "pods").unwrap().kind;
        let pod = |image: &str, node: Option<&str>, host: bool| json!({"spec": {"containers": [{"name": "c", "image": image}], "nodeName": node, "hostNetwork": host}});
        let before = pod("1", None, false);
        assert!(check(kind, &before, &pod("2", Some("n"), false)).is_empty());
        assert!(!check(kind, &before, &pod("1", None, true)).is_empty());
        assert!(
            !check(
                kind,
                &pod("1", Some("n"), false),
                &pod("1", Some("m"), false)
            )
            .is_empty()
        );
    }
}
