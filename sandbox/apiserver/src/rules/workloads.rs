//! Pods, what makes them, and Services.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::metadata::labels;
use super::{list, required, text};
use crate::metadata::{NameRule, is_label};
use crate::status::Cause;

/// A pod.
pub fn pod(object: &Value) -> Vec<Cause> {
    pod_spec(&object["spec"], "spec")
}

fn pod_spec(spec: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    if list(&spec["containers"]).is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let volumes: BTreeSet<&str> = list(&spec["volumes"])
        .iter()
        .map(|volume| text(&volume["name"]))
        .collect();
    volume_names(spec, path, &mut causes);
    let mut names = BTreeSet::new();
    for group in ["containers", "initContainers"] {
        for (index, container) in list(&spec[group]).iter().enumerate() {
            let path = format!("{path}.{group}[{index}]");
            let name = text(&container["name"]);
            required(&container["name"], format!("{path}.name"), &mut causes);
            required(&container["image"], format!("{path}.image"), &mut causes);
            if !name.is_empty() && !is_label(name) {
                let why = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'";
                causes.push(Cause::invalid(format!("{path}.name"), &json!(name), why));
            }
            if !names.insert(name) {
                causes.push(Cause::duplicate(format!("{path}.name"), &json!(name)));
            }
            for (index, mount) in list(&container["volumeMounts"]).iter().enumerate() {
                let name = text(&mount["name"]);
                if !volumes.contains(name) {
                    let field = format!("{path}.volumeMounts[{index}].name");
                    causes.push(Cause {
                        reason: "FieldValueNotFound",
                        message: format!("Not found: {name:?}"),
                        field,
                    });
                }
            }
            ports(container, &path, &mut causes);
        }
    }
    causes
}

/// Names of volumes and claims become names of directories.
fn volume_names(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut names = BTreeSet::new();
    for (index, volume) in list(&spec["volumes"]).iter().enumerate() {
        let path = format!("{path}.volumes[{index}]");
        let name = text(&volume["name"]);
        required(&volume["name"], format!("{path}.name"), causes);
        if !name.is_empty() && !is_label(name) {
            let why = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'";
            causes.push(Cause::invalid(format!("{path}.name"), &json!(name), why));
        }
        if !names.insert(name) {
            causes.push(Cause::duplicate(format!("{path}.name"), &json!(name)));
        }
        let claim = &volume["persistentVolumeClaim"];
        if claim.is_object() {
            let field = format!("{path}.persistentVolumeClaim.claimName");
            required(&claim["claimName"], field.clone(), causes);
            let rule = NameRule::of("", "persistentvolumeclaims");
            let name = text(&claim["claimName"]);
            if let Some(cause) = rule.check(name).filter(|_| !name.is_empty()) {
                causes.push(Cause { field, ..cause });
            }
        }
    }
}

fn ports(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (index, port) in list(&container["ports"]).iter().enumerate() {
        let number = &port["containerPort"];
        if !number
            .as_u64()
            .is_some_and(|number| (1..=65535).contains(&number))
        {
            let field = format!("{path}.ports[{index}].containerPort");
            causes.push(Cause::invalid(
                field,
                number,
                "must be between 1 and 65535, inclusive",
            ));
        }
    }
}

/// A Deployment or one of its like.
pub fn workload(object: &Value) -> Vec<Cause> {
    let spec = &object["spec"];
    let template = &spec["template"];
    let mut causes = Vec::new();
    if spec["replicas"]
        .as_i64()
        .is_some_and(|replicas| replicas < 0)
    {
        let why = "must be greater than or equal to 0";
        causes.push(Cause::invalid("spec.replicas", &spec["replicas"], why));
    }
    let own = &template["metadata"]["labels"];
    causes.extend(labels(own, "spec.template.metadata.labels"));
    let empty = Map::new();
    let wanted = spec["selector"]["matchLabels"]
        .as_object()
        .unwrap_or(&empty);
    let expressions = list(&spec["selector"]["matchExpressions"]);
    if wanted.is_empty() && expressions.is_empty() {
        causes.push(Cause::required("spec.selector", ""));
    } else if wanted.iter().any(|(name, value)| own[name] != *value) {
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", own, why));
    }
    if template["spec"]["restartPolicy"] != "Always" {
        let policy = &template["spec"]["restartPolicy"];
        let field = "spec.template.spec.restartPolicy";
        causes.push(Cause::unsupported(field, policy, &["Always".to_owned()]));
    }
    causes.extend(pod_spec(&template["spec"], "spec.template.spec"));
    causes
}

/// A Job.
pub fn job(object: &Value) -> Vec<Cause> {
    let template = &object["spec"]["template"]["spec"];
    let mut causes = pod_spec(template, "spec.template.spec");
    let policy = &template["restartPolicy"];
    if !matches!(policy.as_str(), Some("OnFailure" | "Never")) {
        let known = ["OnFailure".to_owned(), "Never".to_owned()];
        let field = "spec.template.spec.restartPolicy";
        causes.push(Cause::unsupported(field, policy, &known));
    }
    causes
}

/// A Service.
pub fn service(object: &Value) -> Vec<Cause> {
    let spec = &object["spec"];
    let mut causes = Vec::new();
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    let kind = text(&spec["type"]);
    if !kinds.contains(&kind) {
        causes.push(Cause::unsupported(
            "spec.type",
            &spec["type"],
            &kinds.map(str::to_owned),
        ));
    }
    if kind == "ExternalName" {
        required(&spec["externalName"], "spec.externalName", &mut causes);
    }
    let ports = list(&spec["ports"]);
    if ports.is_empty() && kind != "ExternalName" && spec["clusterIP"] != "None" {
        causes.push(Cause::required("spec.ports", ""));
    }
    let mut names = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let number = &port["port"];
        if !number
            .as_u64()
            .is_some_and(|number| (1..=65535).contains(&number))
        {
            let why = "must be between 1 and 65535, inclusive";
            causes.push(Cause::invalid(format!("{path}.port"), number, why));
        }
        let name = text(&port["name"]);
        if name.is_empty() && ports.len() > 1 {
            causes.push(Cause::required(format!("{path}.name"), ""));
        } else if !name.is_empty() && !is_label(name) {
            let why = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'";
            causes.push(Cause::invalid(format!("{path}.name"), &json!(name), why));
        } else if !names.insert(name) {
            causes.push(Cause::duplicate(format!("{path}.name"), &json!(name)));
        }
        if !numbers.insert((number.as_u64(), text(&port["protocol"]))) {
            causes.push(Cause::duplicate(path, port));
        }
    }
    causes
}
