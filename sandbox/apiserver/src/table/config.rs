//! The tables of configuration, and of the objects that say who may do what.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object::{count, list, name, text, text_or};
use super::{Column, Layout, age, column, wide};

/// Columns of the bindings of roles, in a namespace or not.
const BINDING: &[Column] = &[
    column("Name", "string"),
    column("Role", "string"),
    column("Age", "string"),
    wide("Users"),
    wide("Groups"),
    wide("ServiceAccounts"),
];

pub const LAYOUTS: &[Layout] = &[
    Layout {
        group: "",
        plural: "configmaps",
        columns: &[
            column("Name", "string"),
            column("Data", "integer"),
            column("Age", "string"),
        ],
        cells: config_map,
    },
    Layout {
        group: "",
        plural: "secrets",
        columns: &[
            column("Name", "string"),
            column("Type", "string"),
            column("Data", "integer"),
            column("Age", "string"),
        ],
        cells: secret,
    },
    Layout {
        group: "rbac.authorization.k8s.io",
        plural: "roles",
        columns: &[column("Name", "string"), column("Created At", "date")],
        cells: created,
    },
    Layout {
        group: "rbac.authorization.k8s.io",
        plural: "clusterroles",
        columns: &[column("Name", "string"), column("Created At", "date")],
        cells: created,
    },
    Layout {
        group: "rbac.authorization.k8s.io",
        plural: "rolebindings",
        columns: BINDING,
        cells: binding,
    },
    Layout {
        group: "rbac.authorization.k8s.io",
        plural: "clusterrolebindings",
        columns: BINDING,
        cells: binding,
    },
    Layout {
        group: "apiextensions.k8s.io",
        plural: "customresourcedefinitions",
        columns: &[column("Name", "string"), column("Created At", "date")],
        cells: created,
    },
    Layout {
        group: "coordination.k8s.io",
        plural: "leases",
        columns: &[
            column("Name", "string"),
            column("Holder", "string"),
            column("Age", "string"),
        ],
        cells: lease,
    },
];

fn config_map(object: &Value, now: Timestamp) -> Vec<Value> {
    let entries = count(&object["data"]) + count(&object["binaryData"]);
    vec![
        json!(name(object)),
        json!(entries),
        json!(age::since_creation(object, now)),
    ]
}

fn secret(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        json!(name(object)),
        json!(text_or(&object["type"], "Opaque")),
        json!(count(&object["data"])),
        json!(age::since_creation(object, now)),
    ]
}

fn created(object: &Value, _now: Timestamp) -> Vec<Value> {
    vec![
        json!(name(object)),
        json!(text(&object["metadata"]["creationTimestamp"])),
    ]
}

fn binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let role = &object["roleRef"];
    let subjects = |kind: &str| {
        let subjects = list(&object["subjects"]).iter();
        let of_kind = subjects.filter(|subject| subject["kind"] == kind);
        let names = of_kind.map(|subject| match text(&subject["namespace"]) {
            "" => text(&subject["name"]).to_owned(),
            namespace => format!("{namespace}/{}", text(&subject["name"])),
        });
        names.collect::<Vec<_>>().join(", ")
    };
    vec![
        json!(name(object)),
        json!(format!("{}/{}", text(&role["kind"]), text(&role["name"]))),
        json!(age::since_creation(object, now)),
        json!(subjects("User")),
        json!(subjects("Group")),
        json!(subjects("ServiceAccount")),
    ]
}

fn lease(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        json!(name(object)),
        json!(text(&object["spec"]["holderIdentity"])),
        json!(age::since_creation(object, now)),
    ]
}
