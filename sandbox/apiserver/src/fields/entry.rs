//! The entries of `metadata.managedFields`.

use serde_json::{Value, json};

use super::Owner;
use super::compare::Difference;
use super::set::Fields;

/// What one manager owns by one kind of operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub manager: String,
    /// `Apply` or `Update`.
    pub apply: bool,
    pub api_version: String,
    pub subresource: String,
    pub time: String,
    pub fields: Fields,
}

/// All entries of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries(pub Vec<Entry>);

// === impl Entry ===

impl Entry {
    fn parse(value: &Value) -> Self {
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        Self {
            manager: text("manager"),
            apply: value["operation"] == "Apply",
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: text("time"),
            fields: Fields::parse(&value["fieldsV1"]),
        }
    }

    fn to_value(&self) -> Value {
        let Self {
            manager,
            apply,
            api_version,
            subresource,
            time,
            fields,
        } = self;
        let mut value = json!({
            "manager": manager, "operation": if *apply { "Apply" } else { "Update" },
            "apiVersion": api_version, "time": time, "fieldsType": "FieldsV1", "fieldsV1": fields.to_value(),
        });
        if !subresource.is_empty() {
            value["subresource"] = json!(subresource);
        }
        value
    }

    /// A new entry.
    pub fn new(owner: &Owner<'_>, apply: bool, fields: Fields) -> Self {
        Self {
            manager: owner.manager.to_owned(),
            apply,
            api_version: owner.api_version.to_owned(),
            subresource: owner.subresource.to_owned(),
            time: owner.time.to_owned(),
            fields,
        }
    }

    /// True when this is what an owner has by this kind of operation.
    pub fn is(&self, owner: &Owner<'_>, apply: bool) -> bool {
        self.manager == owner.manager
            && self.apply == apply
            && self.subresource == owner.subresource
            && (apply || self.api_version == owner.api_version)
    }
}

// === impl Entries ===

impl Entries {
    /// Reads `managedFields`.
    pub fn parse(value: &Value) -> Self {
        let entries = value.as_array().into_iter().flatten();
        Self(entries.map(Entry::parse).collect())
    }

    /// Writes `managedFields`; null when nobody owns anything.
    pub fn to_value(&self) -> Value {
        if self.0.is_empty() {
            return Value::Null;
        }
        self.0.iter().map(Entry::to_value).collect()
    }

    /// Gives what changed to the one who changed it.
    pub fn record_update(&mut self, owner: &Owner<'_>, difference: &Difference) {
        let Difference { changed, removed } = difference;
        for entry in &mut self.0 {
            if !entry.is(owner, false) {
                entry.fields.subtract(changed);
            }
            entry.fields.subtract(removed);
        }
        if !changed.is_empty() {
            match self.0.iter_mut().find(|entry| entry.is(owner, false)) {
                Some(entry) => {
                    entry.fields.add(changed);
                    entry.time = owner.time.to_owned();
                }
                None => self.0.push(Entry::new(owner, false, changed.clone())),
            }
        }
        self.drop_empty();
    }

    /// Forgets those who own nothing.
    pub fn drop_empty(&mut self) {
        self.0.retain(|entry| !entry.fields.is_empty());
    }
}
