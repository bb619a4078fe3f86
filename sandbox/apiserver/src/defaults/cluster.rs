//! Namespaces, configuration, and what says who may do what.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{elements, fill, section, spec};

/// A namespace carries its name as a label, and stays until its contents are gone.
pub fn namespace(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    let gone = !object["metadata"]["deletionTimestamp"].is_null();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
        && let Some(labels) = section(metadata, "labels")
    {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name);
    }
    if gone {
        return;
    }
    if let Some(fields) = spec(object) {
        fill(fields, "finalizers", json!(["kubernetes"]));
    }
    if let Some(fields) = object.as_object_mut()
        && let Some(status) = section(fields, "status")
    {
        fill(status, "phase", "Active");
    }
}

/// Texts of a secret become data.
pub fn secret(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    fill(fields, "type", "Opaque");
    let Some(Value::Object(texts)) = fields.shift_remove("stringData") else {
        return;
    };
    if let Some(data) = section(fields, "data") {
        for (name, text) in texts {
            let text = text.as_str().unwrap_or_default();
            data.insert(name, json!(STANDARD.encode(text)));
        }
    }
}

pub fn claim(object: &mut Value) {
    if let Some(fields) = spec(object) {
        fill(fields, "volumeMode", "Filesystem");
    }
    if let Some(fields) = object.as_object_mut()
        && let Some(status) = section(fields, "status")
    {
        fill(status, "phase", "Pending");
    }
}

pub fn autoscaler(object: &mut Value) {
    if let Some(fields) = spec(object) {
        fill(fields, "minReplicas", 1);
    }
}

/// The groups of those whom a binding names.
pub fn binding(object: &mut Value) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    let role = fields.get_mut("roleRef").and_then(Value::as_object_mut);
    if let Some(role) = role
        && role.get("apiGroup").is_none_or(|group| group == "")
    {
        role.insert("apiGroup".to_owned(), json!(GROUP));
    }
    for subject in elements(fields, "subjects") {
        if matches!(
            subject.get("kind").and_then(Value::as_str),
            Some("User" | "Group")
        ) {
            fill(subject, "apiGroup", GROUP);
        }
    }
}

pub fn webhooks(object: &mut Value) {
    let mutating = object["kind"] == "MutatingWebhookConfiguration";
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    for webhook in elements(fields, "webhooks") {
        fill(webhook, "failurePolicy", "Fail");
        fill(webhook, "matchPolicy", "Equivalent");
        fill(webhook, "timeoutSeconds", 10);
        fill(webhook, "namespaceSelector", json!({}));
        fill(webhook, "objectSelector", json!({}));
        if mutating {
            fill(webhook, "reinvocationPolicy", "Never");
        }
        let service = webhook
            .get_mut("clientConfig")
            .and_then(|config| config.get_mut("service"));
        if let Some(service) = service.and_then(Value::as_object_mut) {
            fill(service, "port", 443);
        }
        for rule in elements(webhook, "rules") {
            fill(rule, "scope", "*");
        }
    }
}

/// The names of a definition, and what has become of it.
pub fn definition(object: &mut Value) {
    let created = object["metadata"]["creationTimestamp"].clone();
    let Some(fields) = spec(object) else { return };
    fill(fields, "conversion", json!({"strategy": "None"}));
    let versions = fields
        .get("versions")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    if let Some(names) = section(fields, "names") {
        let kind = names
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        fill(names, "singular", kind.to_lowercase());
        fill(names, "listKind", format!("{kind}List"));
    }
    let names = fields["names"].clone();
    let storage = versions.iter().find(|version| version["storage"] == true);
    let storage = storage.map_or(Value::Null, |version| version["name"].clone());
    let Some(status) = object
        .as_object_mut()
        .and_then(|fields| section(fields, "status"))
    else {
        return;
    };
    status.insert("acceptedNames".to_owned(), names);
    fill(status, "storedVersions", json!([storage]));
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": created});
    fill(
        status,
        "conditions",
        json!([
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition(
                "Established",
                "InitialNamesAccepted",
                "the initial names have been accepted"
            ),
        ]),
    );
}
