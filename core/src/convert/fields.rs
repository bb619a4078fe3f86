//! Reading an old object field by field. What has a wrong type is reported, and so is what nobody has read when a mapping is done.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::Note;
use crate::diag::{FieldPath, Level};

/// All notes so far.
#[derive(Default)]
pub(super) struct Notes(RefCell<Vec<Note>>);

/// A mapping of an old object.
pub(super) struct Fields<'a> {
    map: Option<&'a Map<String, Value>>,
    path: FieldPath,
    source: usize,
    notes: &'a Notes,
    seen: RefCell<BTreeSet<String>>,
}

// === impl Notes ===

impl Notes {
    pub(super) fn add(&self, source: usize, path: FieldPath, level: Level, message: String) {
        self.0.borrow_mut().push(Note {
            source,
            path,
            level,
            message,
        });
    }

    pub(super) fn into_all(self) -> Vec<Note> {
        self.0.into_inner()
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// The spec of an object.
    pub(super) fn spec(object: &'a Value, source: usize, notes: &'a Notes) -> Self {
        let path = FieldPath::parse("spec");
        match object.get("spec") {
            Some(spec) => Self::of(spec, path, source, notes),
            None => Self::of(&Value::Null, path, source, notes),
        }
    }

    fn of(value: &'a Value, path: FieldPath, source: usize, notes: &'a Notes) -> Self {
        let fields = Self {
            map: value.as_object(),
            path,
            source,
            notes,
            seen: RefCell::default(),
        };
        if fields.map.is_none() && !value.is_null() {
            fields.wrong(fields.path.clone(), "a mapping", value);
        }
        fields
    }

    /// The value of a field, in the spelling of JSON or of protobuf. A null counts as absent.
    pub(super) fn value(&self, key: &str) -> Option<&'a Value> {
        let map = self.map?;
        let snake = snake_case(key);
        for name in [key, &snake] {
            if let Some(value) = map.get(name) {
                self.seen.borrow_mut().insert(name.to_owned());
                return Some(value).filter(|value| !value.is_null());
            }
        }
        None
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        let value = self.value(key)?;
        let text = value.as_str();
        if text.is_none() {
            self.wrong(self.at(key), "a string", value);
        }
        text
    }

    /// A text that says something.
    pub(super) fn filled(&self, key: &str) -> Option<&'a str> {
        self.text(key).filter(|text| !text.is_empty())
    }

    pub(super) fn number(&self, key: &str) -> Option<f64> {
        let value = self.value(key)?;
        let number = value.as_f64();
        if number.is_none() {
            self.wrong(self.at(key), "a number", value);
        }
        number
    }

    /// A whole number that is not negative.
    pub(super) fn count(&self, key: &str) -> Option<u32> {
        let value = self.value(key)?;
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        if number.is_none() {
            self.wrong(self.at(key), "a whole number that is not negative", value);
        }
        number
    }

    pub(super) fn whole(&self, key: &str) -> Option<i64> {
        let value = self.value(key)?;
        let number = value.as_i64();
        if number.is_none() {
            self.wrong(self.at(key), "a whole number", value);
        }
        number
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        let value = self.value(key)?;
        let flag = value.as_bool();
        if flag.is_none() {
            self.wrong(self.at(key), "true or false", value);
        }
        flag
    }

    fn list(&self, key: &str) -> &'a [Value] {
        match self.value(key) {
            None => &[],
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.wrong(self.at(key), "a list", other);
                &[]
            }
        }
    }

    pub(super) fn texts(&self, key: &str) -> Vec<&'a str> {
        let items = self.list(key).iter().enumerate();
        items
            .filter_map(|(index, item)| {
                let text = item.as_str();
                if text.is_none() {
                    self.wrong(self.at(key).index(index), "a string", item);
                }
                text
            })
            .collect()
    }

    pub(super) fn object(&self, key: &str) -> Option<Fields<'a>> {
        let value = self.value(key)?;
        Some(Self::of(value, self.at(key), self.source, self.notes))
    }

    /// The mappings of a list.
    pub(super) fn objects(&self, key: &str) -> Vec<Fields<'a>> {
        let items = self.list(key).iter().enumerate();
        items
            .map(|(index, item)| Self::of(item, self.at(key).index(index), self.source, self.notes))
            .collect()
    }

    /// A mapping from names to texts.
    pub(super) fn words(&self, key: &str) -> BTreeMap<String, String> {
        let Some(fields) = self.object(key) else {
            return BTreeMap::new();
        };
        let names = fields.names();
        let pair = |name: &&str| Some(((*name).to_owned(), fields.text(name)?.to_owned()));
        names.iter().filter_map(pair).collect()
    }

    /// The names of all fields, in their order.
    pub(super) fn names(&self) -> Vec<&'a str> {
        self.map
            .into_iter()
            .flat_map(|map| map.keys().map(String::as_str))
            .collect()
    }

    /// Whether a field is there. Does not count as reading it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.map.is_some_and(|map| map.contains_key(key))
    }

    /// The path of a field.
    pub(super) fn at(&self, key: &str) -> FieldPath {
        self.path.key(key)
    }

    /// Notes that a field does not live on, if it is there.
    pub(super) fn lost(&self, key: &str, why: &str) {
        if self.value(key).is_some() {
            self.note(self.at(key), Level::Warning, why);
        }
    }

    /// Reads a field that needs nothing today.
    pub(super) fn needless(&self, key: &str) {
        self.value(key);
    }

    pub(super) fn note(&self, path: FieldPath, level: Level, message: impl Into<String>) {
        self.notes.add(self.source, path, level, message.into());
    }

    /// Notes something about the mapping as a whole.
    pub(super) fn remark(&self, level: Level, message: impl Into<String>) {
        self.note(self.path.clone(), level, message);
    }

    fn wrong(&self, path: FieldPath, expected: &str, found: &Value) {
        let found = match found {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "a mapping",
        };
        let message = format!("expected {expected}, found {found}");
        self.note(path, Level::Error, message);
    }
}

impl Drop for Fields<'_> {
    /// Says what nobody has read.
    fn drop(&mut self) {
        let seen = self.seen.borrow();
        let unread = self
            .names()
            .into_iter()
            .filter(|name| !seen.contains(*name));
        for name in unread {
            let message = "has no counterpart today and is left out";
            self.note(self.at(name), Level::Warning, message);
        }
    }
}

/// `httpStatus` as protobuf's own spelling has it, `http_status`.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 2);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
