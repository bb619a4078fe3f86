//! Reading `metadata`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::Meta;
use super::typed::{DecodeError, forgiving};
use crate::diag::FieldPath;

/// `metadata` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Written {
    pub(super) name: Option<String>,
    pub(super) generate_name: Option<String>,
    pub(super) namespace: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    creation_timestamp: Option<jiff::Timestamp>,
    deletion_timestamp: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
}

/// Reads `metadata` of an object. Parts of a wrong type count as absent and are told.
pub(super) fn read(object: &Value) -> (Written, Vec<DecodeError>) {
    match object.get("metadata") {
        None | Some(Value::Null) => (Written::default(), Vec::new()),
        Some(metadata) => {
            let (written, errors) = forgiving(metadata, &FieldPath::parse("metadata"));
            (written.unwrap_or_default(), errors)
        }
    }
}

impl From<Written> for Meta {
    fn from(written: Written) -> Self {
        Self {
            labels: written.labels.unwrap_or_default(),
            annotations: written.annotations.unwrap_or_default(),
            created: written.creation_timestamp.map(jiff::Timestamp::as_second),
            resource_version: written.resource_version.map(Arc::from),
            generation: written.generation,
            deleting: written.deletion_timestamp.is_some(),
        }
    }
}
