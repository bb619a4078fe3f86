//! Fields that a schema does not have.

use serde_json::Value;

use super::OBJECT_FIELDS;
use super::node::Node;
use crate::{FieldPath, Segment};

/// A field that the schema does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The field.
    pub path: FieldPath,
    /// The fields that could stand there.
    pub known: Vec<String>,
}

/// The fields of an object that its schema does not have.
pub(super) fn unknown(root: &Node, object: &Value) -> Vec<Unknown> {
    let mut finder = Finder {
        path: Vec::new(),
        unknown: Vec::new(),
    };
    finder.value(root, object, true);
    finder.unknown
}

/// Removes fields.
pub(super) fn remove(object: &mut Value, fields: &[Unknown]) {
    for field in fields {
        let Some((last, parents)) = field.path.0.split_last() else {
            continue;
        };
        let parent = parents
            .iter()
            .try_fold(&mut *object, |value, segment| match segment {
                Segment::Key(name) => value.get_mut(&**name),
                Segment::Index(index) => value.get_mut(*index),
            });
        if let (Some(Value::Object(map)), Segment::Key(name)) = (parent, last) {
            map.shift_remove(&**name);
        }
    }
}

struct Finder {
    path: Vec<Segment>,
    unknown: Vec<Unknown>,
}

impl Finder {
    /// `embedded`: the value is a whole object, whose own fields have rules of their own.
    fn value(&mut self, node: &Node, value: &Value, embedded: bool) {
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    if embedded && OBJECT_FIELDS.contains(&name.as_str()) {
                        continue;
                    }
                    self.path.push(Segment::Key(name.as_str().into()));
                    match node.field(name) {
                        Some(inner) => self.value(inner, value, inner.embedded),
                        None if node.keeps_unknown() => {}
                        None => self.report(node, embedded),
                    }
                    self.path.pop();
                }
            }
            Value::Array(elements) => {
                let Some(items) = &node.items else { return };
                for (index, element) in elements.iter().enumerate() {
                    self.path.push(Segment::Index(index));
                    self.value(items, element, items.embedded);
                    self.path.pop();
                }
            }
            _ => {}
        }
    }

    fn report(&mut self, node: &Node, embedded: bool) {
        let own = node.properties.keys().map(ToString::to_string);
        let of_object = OBJECT_FIELDS.iter().filter(|_| embedded);
        self.unknown.push(Unknown {
            path: FieldPath(self.path.clone()),
            known: own.chain(of_object.map(ToString::to_string)).collect(),
        });
    }
}
