//! Tables: what `kubectl get` prints, computed by the server from objects.
//!
//! ```text
//! (group, plural) -> Layout: columns + cells(object) --+
//! CRD's additionalPrinterColumns -> JSON paths --------+-> Table {columnDefinitions, rows}
//! ```
//!
//! Everything here is a pure function of objects and the time. Cells are printed as they are, so ages are texts.

mod age;
mod cluster;
mod config;
mod custom;
mod network;
mod object;
mod path;
mod pods;
mod workloads;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use custom::{PrinterColumn, printer_columns};
pub use pods::status as pod_status;

/// One column of a built-in kind.
pub struct Column {
    pub name: &'static str,
    /// `string`, `integer` or `date`.
    pub kind: &'static str,
    /// True for those that only `-o wide` shows.
    pub wide: bool,
}

/// How objects of a built-in kind are shown.
pub struct Layout {
    pub group: &'static str,
    pub plural: &'static str,
    pub columns: &'static [Column],
    /// The cells of an object, as many as columns.
    pub cells: fn(&Value, Timestamp) -> Vec<Value>,
}

/// The layouts of all kinds that have one of their own.
const LAYOUTS: &[&[Layout]] = &[
    pods::LAYOUTS,
    workloads::LAYOUTS,
    network::LAYOUTS,
    config::LAYOUTS,
    cluster::LAYOUTS,
];

/// How much of an object a row carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    None,
    #[default]
    Metadata,
    Object,
}

/// What is to be shown, and how.
pub struct Request<'a> {
    pub group: &'a str,
    pub plural: &'a str,
    /// The columns of a custom resource.
    pub custom: Option<&'a [PrinterColumn]>,
    pub include: Include,
    pub now: Timestamp,
    /// False for the later events of a watch.
    pub with_columns: bool,
}

// === impl Include ===

impl Include {
    /// By the query parameter `includeObject`.
    pub fn parse(text: &str) -> Self {
        match text {
            "None" => Self::None,
            "Object" => Self::Object,
            _ => Self::Metadata,
        }
    }
}

/// The table of objects. `metadata` is that of the list, or an empty object.
pub fn table(request: &Request<'_>, metadata: Value, objects: &[Value]) -> Value {
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            json!({"cells": cells(request, object), "object": included(request.include, object)})
        })
        .collect();
    let columns = if request.with_columns {
        columns(request)
    } else {
        Value::Null
    };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": columns, "rows": rows,
    })
}

fn layout(request: &Request<'_>) -> Option<&'static Layout> {
    LAYOUTS.iter().copied().flatten().find(|layout| {
        request.custom.is_none() && layout.group == request.group && layout.plural == request.plural
    })
}

fn columns(request: &Request<'_>) -> Value {
    let definition = |name: &str, kind: &str, format: &str, description: &str, priority: i64| json!({"name": name, "type": kind, "format": format, "description": description, "priority": priority});
    let name = definition("Name", "string", "name", "", 0);
    if let Some(layout) = layout(request) {
        let columns = layout.columns.iter().map(|column| {
            let format = if column.name == "Name" { "name" } else { "" };
            definition(column.name, column.kind, format, "", i64::from(column.wide))
        });
        return columns.collect();
    }
    match request.custom.filter(|columns| !columns.is_empty()) {
        Some(custom) => {
            let custom = custom.iter().map(|column| {
                definition(
                    &column.name,
                    &column.kind,
                    &column.format,
                    &column.description,
                    column.priority,
                )
            });
            std::iter::once(name).chain(custom).collect()
        }
        None => json!([name, definition("Age", "string", "", "", 0)]),
    }
}

fn cells(request: &Request<'_>, object: &Value) -> Vec<Value> {
    if let Some(layout) = layout(request) {
        return (layout.cells)(object, request.now);
    }
    let name = json!(object["metadata"]["name"].as_str().unwrap_or_default());
    match request.custom.filter(|columns| !columns.is_empty()) {
        Some(custom) => {
            let custom = custom.iter().map(|column| column.cell(object, request.now));
            std::iter::once(name).chain(custom).collect()
        }
        None => vec![name, json!(age::since_creation(object, request.now))],
    }
}

fn included(include: Include, object: &Value) -> Value {
    match include {
        Include::None => Value::Null,
        Include::Object => object.clone(),
        Include::Metadata => json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
        }),
    }
}

/// A column that is always shown.
const fn column(name: &'static str, kind: &'static str) -> Column {
    Column {
        name,
        kind,
        wide: false,
    }
}

/// A column that only `-o wide` shows.
const fn wide(name: &'static str) -> Column {
    Column {
        name,
        kind: "string",
        wide: true,
    }
}

#[cfg(test)]
mod tests;
