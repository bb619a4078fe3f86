//! The columns that a CRD declares for its custom resources.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object::{list, number, text};
use super::{age, path};

/// One of a CRD version's `additionalPrinterColumns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrinterColumn {
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: String,
    pub format: String,
    pub description: String,
    pub priority: i64,
    pub path: String,
}

/// The columns of a version of a CRD (an element of `spec.versions`).
pub fn printer_columns(version: &Value) -> Vec<PrinterColumn> {
    let columns = list(&version["additionalPrinterColumns"]).iter();
    columns
        .map(|column| PrinterColumn {
            name: text(&column["name"]).to_owned(),
            kind: text(&column["type"]).to_owned(),
            format: text(&column["format"]).to_owned(),
            description: text(&column["description"]).to_owned(),
            priority: number(&column["priority"]),
            path: text(&column["jsonPath"]).to_owned(),
        })
        .collect()
}

// === impl PrinterColumn ===

impl PrinterColumn {
    /// The cell of an object; nothing that is found is an empty one.
    pub fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let found = path::find(object, &self.path);
        match (self.kind.as_str(), found.as_slice()) {
            (_, []) => json!(""),
            ("date", [first, ..]) => json!(age::since(first, now)),
            ("integer" | "number" | "boolean", [first]) => (*first).clone(),
            (_, found) => {
                let texts: Vec<String> = found.iter().map(|value| path::plain(value)).collect();
                json!(texts.join(","))
            }
        }
    }
}
