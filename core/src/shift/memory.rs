//! What was there before each shift, kept in an annotation of the object that was changed, so that shifts can be taken back one
//! after another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Section;
use crate::resource::Meta;

/// The annotation.
pub const ANNOTATION: &str = "shift.meshctl.io/previous";

/// Kubernetes refuses objects whose annotations are longer than 256 KiB together; older shifts give way beyond this.
const LONGEST: usize = 64 * 1024;
/// So many shifts of a host are remembered.
pub(super) const MOST: u32 = 20;

/// What one shift of a host changed in one object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// The host that was shifted.
    pub host: Arc<str>,
    /// Which shift of the host it was; higher is later.
    pub level: u32,
    /// Whether the shift made the object.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub created: bool,
    /// Whether what was there was too long to be kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
    /// Which list of rules the positions are of.
    #[serde(skip_serializing_if = "Section::is_http")]
    pub section: Section,
    /// Routes of rules by position: before and after.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<usize, RuleMemory>,
    /// Positions of rules that were put in.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub inserted: BTreeSet<usize>,
    /// Subsets that were added to a DestinationRule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subsets: Vec<Arc<str>>,
}

/// The routes of one rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleMemory {
    /// As they were; empty in an object or a rule that the shift made.
    pub before: Vec<Value>,
    /// As the shift left them.
    pub after: Vec<Value>,
}

/// All that an object remembers, the oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History(Vec<Memory>);

// === impl Memory ===

impl Default for Memory {
    fn default() -> Self {
        Self {
            host: Arc::default(),
            level: 1,
            created: false,
            lost: false,
            section: Section::Http,
            rules: BTreeMap::new(),
            inserted: BTreeSet::new(),
            subsets: Vec::new(),
        }
    }
}

impl Memory {
    pub(super) fn new(host: &Arc<str>, level: u32) -> Self {
        Self {
            host: host.clone(),
            level,
            ..Self::default()
        }
    }
}

// === impl History ===

impl History {
    /// Reads it from an object. What is not understood is not remembered.
    pub fn read(meta: &Meta) -> Self {
        let Some(text) = meta.annotations.get(ANNOTATION) else {
            return Self::default();
        };
        let several = serde_json::from_str(text);
        // Earlier versions of this program kept one shift only.
        let one = || serde_json::from_str(text).map(|memory| vec![memory]);
        Self(several.or_else(|_| one()).unwrap_or_default())
    }

    /// The hosts whose shifts are remembered.
    pub fn hosts(&self) -> BTreeSet<Arc<str>> {
        self.0.iter().map(|memory| memory.host.clone()).collect()
    }

    /// What is remembered of a host, the latest first.
    pub fn of<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a Memory> {
        let all = self.0.iter().rev();
        all.filter(move |memory| *memory.host == *host)
    }

    /// The numbers of a host's shifts.
    pub fn levels(&self, host: &str) -> BTreeSet<u32> {
        self.of(host).map(|memory| memory.level).collect()
    }

    /// What one shift of a host changed.
    pub(super) fn at(&self, host: &str, level: u32) -> Option<&Memory> {
        let mut all = self.0.iter();
        all.find(|memory| memory.level == level && *memory.host == *host)
    }

    /// Adds a shift, or takes the place of what was known of the same one.
    pub(super) fn put(&mut self, memory: Memory) {
        let oldest = memory.level.saturating_sub(MOST);
        let same = |other: &Memory| other.host == memory.host && other.level == memory.level;
        self.0
            .retain(|other| !same(other) && (other.host != memory.host || other.level > oldest));
        self.0.push(memory);
    }

    /// Forgets the shifts of a host from a number on.
    pub(super) fn forget(&mut self, host: &str, from: u32) {
        self.0
            .retain(|memory| *memory.host != *host || memory.level < from);
    }

    /// Moves the positions of other hosts' rules, since a rule was put in or taken out.
    pub(super) fn moved(&mut self, host: &str, section: Section, at: usize, put_in: bool) {
        let moved = |index: usize| match (put_in, index >= at) {
            (true, true) => index + 1,
            (false, true) => index.saturating_sub(1),
            (_, false) => index,
        };
        let others = self.0.iter_mut();
        for memory in others.filter(|other| *other.host != *host && other.section == section) {
            let rules = std::mem::take(&mut memory.rules).into_iter();
            memory.rules = rules.map(|(index, rule)| (moved(index), rule)).collect();
            memory.inserted = memory.inserted.iter().map(|index| moved(*index)).collect();
        }
    }

    /// Writes it into an object; false if the latest shift is too long to be kept.
    pub(super) fn write(&mut self, object: &mut Value) -> bool {
        let mut kept = true;
        while !self.0.is_empty() && self.text().len() > LONGEST {
            let Some(index) = self.0.iter().position(|memory| !memory.lost) else {
                self.0.clear();
                break;
            };
            kept = index + 1 < self.0.len();
            if let Some(memory) = self.0.get_mut(index) {
                memory.lost = true;
                memory.rules.clear();
            }
        }
        if self.0.is_empty() {
            erase(object);
            return kept;
        }
        let Some(Value::Object(metadata)) = object.get_mut("metadata") else {
            return false;
        };
        let annotations = metadata.entry("annotations").or_insert(Value::Null);
        if !annotations.is_object() {
            *annotations = json!({});
        }
        if let Value::Object(annotations) = annotations {
            annotations.insert(ANNOTATION.to_owned(), Value::String(self.text()));
        }
        kept
    }

    fn text(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }
}

/// Takes the annotation out of an object, with the empty map that would stay behind.
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
