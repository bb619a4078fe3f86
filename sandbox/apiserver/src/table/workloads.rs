//! The tables of what makes pods.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object::{condition, containers, name, number, pairs, selector, text, text_or};
use super::{Column, Layout, age, column, wide};

const CONTAINERS: Column = wide("Containers");
const IMAGES: Column = wide("Images");
const SELECTOR: Column = wide("Selector");

pub const LAYOUTS: &[Layout] = &[
    Layout {
        group: "apps",
        plural: "deployments",
        columns: &[
            column("Name", "string"),
            column("Ready", "string"),
            column("Up-to-date", "integer"),
            column("Available", "integer"),
            column("Age", "string"),
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        cells: deployment,
    },
    Layout {
        group: "apps",
        plural: "replicasets",
        columns: REPLICA_SETS,
        cells: replica_set,
    },
    Layout {
        group: "",
        plural: "replicationcontrollers",
        columns: REPLICA_SETS,
        cells: replica_set,
    },
    Layout {
        group: "apps",
        plural: "statefulsets",
        columns: &[
            column("Name", "string"),
            column("Ready", "string"),
            column("Age", "string"),
            CONTAINERS,
            IMAGES,
        ],
        cells: stateful_set,
    },
    Layout {
        group: "apps",
        plural: "daemonsets",
        columns: &[
            column("Name", "string"),
            column("Desired", "integer"),
            column("Current", "integer"),
            column("Ready", "integer"),
            column("Up-to-date", "integer"),
            column("Available", "integer"),
            column("Node Selector", "string"),
            column("Age", "string"),
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        cells: daemon_set,
    },
    Layout {
        group: "batch",
        plural: "jobs",
        columns: &[
            column("Name", "string"),
            column("Status", "string"),
            column("Completions", "string"),
            column("Duration", "string"),
            column("Age", "string"),
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        cells: job,
    },
    Layout {
        group: "autoscaling",
        plural: "horizontalpodautoscalers",
        columns: &[
            column("Name", "string"),
            column("Reference", "string"),
            column("MinPods", "string"),
            column("MaxPods", "integer"),
            column("Replicas", "integer"),
            column("Age", "string"),
        ],
        cells: autoscaler,
    },
];

const REPLICA_SETS: &[Column] = &[
    column("Name", "string"),
    column("Desired", "integer"),
    column("Current", "integer"),
    column("Ready", "integer"),
    column("Age", "string"),
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let (names, images) = containers(&spec["template"]);
    vec![
        json!(name(object)),
        json!(ready(object)),
        json!(number(&status["updatedReplicas"])),
        json!(number(&status["availableReplicas"])),
        json!(age::since_creation(object, now)),
        json!(names),
        json!(images),
        json!(selector(&spec["selector"])),
    ]
}

fn replica_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let (names, images) = containers(&spec["template"]);
    // The selector of a ReplicationController is a plain map.
    let chosen = if object["kind"] == "ReplicationController" {
        pairs(&spec["selector"])
    } else {
        selector(&spec["selector"])
    };
    vec![
        json!(name(object)),
        json!(number(&spec["replicas"])),
        json!(number(&status["replicas"])),
        json!(number(&status["readyReplicas"])),
        json!(age::since_creation(object, now)),
        json!(names),
        json!(images),
        json!(chosen),
    ]
}

fn stateful_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let (names, images) = containers(&object["spec"]["template"]);
    vec![
        json!(name(object)),
        json!(ready(object)),
        json!(age::since_creation(object, now)),
        json!(names),
        json!(images),
    ]
}

fn daemon_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let (names, images) = containers(&spec["template"]);
    vec![
        json!(name(object)),
        json!(number(&status["desiredNumberScheduled"])),
        json!(number(&status["currentNumberScheduled"])),
        json!(number(&status["numberReady"])),
        json!(number(&status["updatedNumberScheduled"])),
        json!(number(&status["numberAvailable"])),
        json!(pairs(&spec["template"]["spec"]["nodeSelector"])),
        json!(age::since_creation(object, now)),
        json!(names),
        json!(images),
        json!(selector(&spec["selector"])),
    ]
}

fn job(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let (names, images) = containers(&spec["template"]);
    let has = |kind: &str| condition(object, kind) == Some("True");
    let state = match () {
        () if has("Complete") => "Complete",
        () if has("Failed") => "Failed",
        () if !object["metadata"]["deletionTimestamp"].is_null() => "Terminating",
        () if has("Suspended") => "Suspended",
        () => "Running",
    };
    let succeeded = number(&status["succeeded"]);
    let completions = match (spec["completions"].as_i64(), number(&spec["parallelism"])) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallel) if parallel > 1 => format!("{succeeded}/1 of {parallel}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let time = |field: &str| text(&status[field]).parse::<Timestamp>().ok();
    let duration = time("startTime").map_or_else(String::new, |start| {
        let end = time("completionTime").unwrap_or(now);
        age::span(end.duration_since(start).as_secs())
    });
    vec![
        json!(name(object)),
        json!(state),
        json!(completions),
        json!(duration),
        json!(age::since_creation(object, now)),
        json!(names),
        json!(images),
        json!(selector(&spec["selector"])),
    ]
}

fn autoscaler(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let target = &spec["scaleTargetRef"];
    let least = spec["minReplicas"].as_i64();
    vec![
        json!(name(object)),
        json!(format!(
            "{}/{}",
            text_or(&target["kind"], "?"),
            text(&target["name"])
        )),
        json!(least.map_or_else(|| "<unset>".to_owned(), |least| least.to_string())),
        json!(number(&spec["maxReplicas"])),
        json!(number(&status["currentReplicas"])),
        json!(age::since_creation(object, now)),
    ]
}

/// Ready of wanted replicas.
fn ready(object: &Value) -> String {
    let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
    format!("{}/{wanted}", number(&object["status"]["readyReplicas"]))
}
