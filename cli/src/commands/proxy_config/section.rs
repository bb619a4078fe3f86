//! A part of a proxy's configuration, chosen and sorted: as a table, and as the resources themselves.

use serde_json::Value;

use crate::printer;

/// A part of a proxy's configuration.
pub struct Section {
    pub titles: &'static [&'static str],
    pub rows: Vec<Vec<String>>,
    pub resources: Vec<Value>,
}

// === impl Section ===

impl Section {
    /// The rows below their titles.
    pub fn table(&self) -> String {
        printer::render_table(self.titles, self.rows.iter().map(Vec::as_slice))
    }
}

/// `-` for what is missing.
pub fn dash(text: &str) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        text.to_owned()
    }
}
