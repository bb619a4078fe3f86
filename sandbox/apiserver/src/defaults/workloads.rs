//! Workloads: everything that makes pods.

use serde_json::{Map, Value, json};

use super::pods::template;
use super::{fill, section, spec};

pub fn deployment(object: &mut Value) {
    let Some(fields) = spec(object) else { return };
    template(fields);
    fill(fields, "replicas", 1);
    fill(fields, "revisionHistoryLimit", 10);
    fill(fields, "progressDeadlineSeconds", 600);
    rolling(
        fields,
        "strategy",
        &[("maxUnavailable", json!("25%")), ("maxSurge", json!("25%"))],
    );
}

pub fn replica_set(object: &mut Value) {
    let Some(fields) = spec(object) else { return };
    template(fields);
    fill(fields, "replicas", 1);
}

/// Its selector is that of its template, when it has none, and so are its labels.
pub fn replication_controller(object: &mut Value) {
    let Some(fields) = spec(object) else { return };
    template(fields);
    fill(fields, "replicas", 1);
    let labels = fields["template"]["metadata"]["labels"].clone();
    if labels.is_null() {
        return;
    }
    fill(fields, "selector", labels.clone());
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(metadata) = metadata {
        fill(metadata, "labels", labels);
    }
}

pub fn stateful_set(object: &mut Value) {
    let Some(fields) = spec(object) else { return };
    template(fields);
    fill(fields, "replicas", 1);
    fill(fields, "revisionHistoryLimit", 10);
    fill(fields, "podManagementPolicy", "OrderedReady");
    fill(
        fields,
        "persistentVolumeClaimRetentionPolicy",
        json!({"whenDeleted": "Retain", "whenScaled": "Retain"}),
    );
    rolling(fields, "updateStrategy", &[("partition", json!(0))]);
}

pub fn daemon_set(object: &mut Value) {
    let Some(fields) = spec(object) else { return };
    template(fields);
    fill(fields, "revisionHistoryLimit", 10);
    rolling(
        fields,
        "updateStrategy",
        &[("maxUnavailable", json!(1)), ("maxSurge", json!(0))],
    );
}

fn rolling(fields: &mut Map<String, Value>, name: &str, numbers: &[(&str, Value)]) {
    let Some(strategy) = section(fields, name) else {
        return;
    };
    fill(strategy, "type", "RollingUpdate");
    if strategy["type"] != "RollingUpdate" {
        return;
    }
    if let Some(rolling) = section(strategy, "rollingUpdate") {
        for (name, number) in numbers {
            fill(rolling, name, number.clone());
        }
    }
}

/// A job's pods carry its identity, and it selects them by that.
pub fn job(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    let uid = object["metadata"]["uid"].clone();
    let Some(fields) = spec(object) else { return };
    job_spec(fields);
    if fields
        .get("manualSelector")
        .is_some_and(|manual| manual == true)
        || uid.is_null()
    {
        return;
    }
    let Some(labels) = section(fields, "template")
        .and_then(|template| section(template, "metadata"))
        .and_then(|metadata| section(metadata, "labels"))
    else {
        return;
    };
    for (label, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ] {
        fill(labels, label, value.clone());
    }
    fill(
        fields,
        "selector",
        json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}),
    );
}

fn job_spec(fields: &mut Map<String, Value>) {
    template(fields);
    if fields.get("completions").is_none_or(Value::is_null)
        && fields.get("parallelism").is_none_or(Value::is_null)
    {
        fill(fields, "completions", 1);
    }
    fill(fields, "parallelism", 1);
    fill(fields, "backoffLimit", 6);
    fill(fields, "completionMode", "NonIndexed");
    fill(fields, "suspend", false);
    fill(fields, "podReplacementPolicy", "TerminatingOrFailed");
}

pub fn cron_job(object: &mut Value) {
    let Some(fields) = spec(object) else { return };
    fill(fields, "concurrencyPolicy", "Allow");
    fill(fields, "suspend", false);
    fill(fields, "successfulJobsHistoryLimit", 3);
    fill(fields, "failedJobsHistoryLimit", 1);
    let template = section(fields, "jobTemplate");
    if let Some(fields) = template.and_then(|template| section(template, "spec")) {
        // Jobs made from it get their selector when they are made.
        self::template(fields);
    }
}
