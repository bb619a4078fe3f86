//! The tables of what a cluster itself consists of: nodes, namespaces, events.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object::{condition, list, name, number, or_none, text, text_or};
use super::{Column, Layout, age, column, wide};

const ROLE: &str = "node-role.kubernetes.io/";

pub const LAYOUTS: &[Layout] = &[
    Layout {
        group: "",
        plural: "nodes",
        columns: &[
            column("Name", "string"),
            column("Status", "string"),
            column("Roles", "string"),
            column("Age", "string"),
            column("Version", "string"),
            wide("Internal-IP"),
            wide("External-IP"),
            wide("OS-Image"),
            wide("Kernel-Version"),
            wide("Container-Runtime"),
        ],
        cells: node,
    },
    Layout {
        group: "",
        plural: "namespaces",
        columns: &[
            column("Name", "string"),
            column("Status", "string"),
            column("Age", "string"),
        ],
        cells: namespace,
    },
    Layout {
        group: "",
        plural: "events",
        columns: EVENTS,
        cells: event,
    },
    Layout {
        group: "events.k8s.io",
        plural: "events",
        columns: EVENTS,
        cells: event,
    },
];

const EVENTS: &[Column] = &[
    column("Last Seen", "string"),
    column("Type", "string"),
    column("Reason", "string"),
    column("Object", "string"),
    wide("Subobject"),
    wide("Source"),
    column("Message", "string"),
    wide("First Seen"),
    wide("Count"),
    wide("Name"),
];

fn node(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, info) = (&object["spec"], &object["status"]["nodeInfo"]);
    let mut status = match condition(object, "Ready") {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if spec["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    let labels = object["metadata"]["labels"].as_object();
    let roles: Vec<&str> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, _)| key.strip_prefix(ROLE))
        .collect();
    let address = |kind: &str| {
        let mut addresses = list(&object["status"]["addresses"]).iter();
        let found = addresses.find(|address| address["type"] == kind);
        found.map_or("<none>", |address| text(&address["address"]))
    };
    vec![
        json!(name(object)),
        json!(status),
        json!(or_none(roles.join(","))),
        json!(age::since_creation(object, now)),
        json!(text(&info["kubeletVersion"])),
        json!(address("InternalIP")),
        json!(address("ExternalIP")),
        json!(text_or(&info["osImage"], "<unknown>")),
        json!(text_or(&info["kernelVersion"], "<unknown>")),
        json!(text_or(&info["containerRuntimeVersion"], "<unknown>")),
    ]
}

fn namespace(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        json!(name(object)),
        json!(text(&object["status"]["phase"])),
        json!(age::since_creation(object, now)),
    ]
}

/// Events of either group: the newer one calls some fields otherwise.
fn event(object: &Value, now: Timestamp) -> Vec<Value> {
    let either = |old: &str, new: &str| -> Value {
        [old, new]
            .iter()
            .map(|field| object[*field].clone())
            .find(|value| !value.is_null())
            .unwrap_or_default()
    };
    let subject = either("involvedObject", "regarding");
    let first = either("firstTimestamp", "eventTime");
    let last = [
        either("lastTimestamp", "deprecatedLastTimestamp"),
        first.clone(),
        object["metadata"]["creationTimestamp"].clone(),
    ];
    let last = last
        .iter()
        .find(|time| !time.is_null())
        .cloned()
        .unwrap_or_default();
    let source = match text(&object["source"]["component"]) {
        "" => text(&object["reportingComponent"]),
        component => component,
    };
    vec![
        json!(age::since(&last, now)),
        json!(text(&object["type"])),
        json!(text(&object["reason"])),
        json!(format!(
            "{}/{}",
            text(&subject["kind"]).to_ascii_lowercase(),
            text(&subject["name"])
        )),
        json!(text(&subject["fieldPath"])),
        json!(source),
        json!(text(&either("message", "note")).trim()),
        json!(age::since(&first, now)),
        json!(number(&either("count", "deprecatedCount")).max(1)),
        json!(name(object)),
    ]
}
