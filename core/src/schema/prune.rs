//! Fields that a schema does not have.

use serde_json::Value;

use super::OBJECT_FIELDS;
use super::node::Node;
use crate::diag::{FieldPath, Segment};

/// A field that the schema does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The field.
    pub path: FieldPath,
    /// The fields that could stand there.
    pub known: Vec<String>,
}

/// Removes unknown fields.
pub(super) fn prune(root: &Node, object: &mut Value) -> Vec<Unknown> {
    let mut pruner = Pruner {
        path: Vec::new(),
        unknown: Vec::new(),
    };
    pruner.value(root, object, true);
    pruner.unknown
}

struct Pruner {
    path: Vec<Segment>,
    unknown: Vec<Unknown>,
}

impl Pruner {
    /// `embedded`: the value is a whole object, whose own fields have rules of their own.
    fn value(&mut self, node: &Node, value: &mut Value, embedded: bool) {
        match value {
            Value::Object(object) => {
                let names: Vec<String> = object.keys().cloned().collect();
                for name in names {
                    if embedded && OBJECT_FIELDS.contains(&name.as_str()) {
                        continue;
                    }
                    self.path.push(Segment::Key(name.as_str().into()));
                    match (node.field(&name), object.get_mut(&name)) {
                        (Some(inner), Some(value)) => self.value(inner, value, inner.embedded),
                        (None, Some(_)) if !node.keeps_unknown() => {
                            object.shift_remove(&name);
                            self.report(node, embedded);
                        }
                        _ => {}
                    }
                    self.path.pop();
                }
            }
            Value::Array(elements) => {
                let Some(items) = &node.items else { return };
                for (index, element) in elements.iter_mut().enumerate() {
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
