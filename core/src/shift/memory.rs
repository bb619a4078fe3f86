//! What was there before a shift, kept in an annotation of the object that was changed, so that it can be taken back.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::resource::Meta;

/// The annotation.
pub const ANNOTATION: &str = "shift.meshctl.io/previous";

/// Kubernetes refuses objects whose annotations are longer than 256 KiB together; what is longer than this is not remembered.
const LONGEST: usize = 64 * 1024;

/// What a shift of one host changed in one object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// The host that was shifted.
    pub host: Arc<str>,
    /// Whether the shift made the object.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub created: bool,
    /// Routes of a VirtualService's HTTP rules by position: before and after.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<usize, RuleMemory>,
    /// Subsets that were added to a DestinationRule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subsets: Vec<Arc<str>>,
}

/// The routes of one rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleMemory {
    /// As they were; empty in an object that the shift made.
    pub before: Vec<Value>,
    /// As the shift left them.
    pub after: Vec<Value>,
}

// === impl Memory ===

impl Memory {
    /// Reads it from an object, if the object's last shift was of this host.
    pub fn read(meta: &Meta, host: &str) -> Option<Self> {
        let text = meta.annotations.get(ANNOTATION)?;
        let memory: Self = serde_json::from_str(text).ok()?;
        (*memory.host == *host).then_some(memory)
    }

    pub(super) fn of_subsets(host: &Arc<str>, created: bool, subsets: &[Arc<str>]) -> Self {
        Self {
            host: host.clone(),
            created,
            subsets: subsets.to_vec(),
            ..Self::default()
        }
    }

    /// Writes it into an object; false if it is too long, and then the object keeps no memory at all.
    pub(super) fn write(&self, object: &mut Value) -> bool {
        let text = serde_json::to_string(self).unwrap_or_default();
        if text.is_empty() || text.len() > LONGEST {
            Self::erase(object);
            return false;
        }
        let Some(Value::Object(metadata)) = object.get_mut("metadata") else {
            return false;
        };
        let annotations = metadata.entry("annotations").or_insert(Value::Null);
        if !annotations.is_object() {
            *annotations = json!({});
        }
        if let Value::Object(annotations) = annotations {
            annotations.insert(ANNOTATION.to_owned(), Value::String(text));
        }
        true
    }

    /// Takes it out of an object, with the empty map that would stay behind.
    pub(super) fn erase(object: &mut Value) {
        let Some(Value::Object(metadata)) = object.get_mut("metadata") else {
            return;
        };
        let Some(Value::Object(annotations)) = metadata.get_mut("annotations") else {
            return;
        };
        if annotations.shift_remove(ANNOTATION).is_some() && annotations.is_empty() {
            metadata.shift_remove("annotations");
        }
    }
}
