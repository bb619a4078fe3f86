//! `--set PATH=VALUE`: paths such as `components.ingressGateways[0].k8s.service.type` into the values. A dot that belongs to a key
//! is written `\.`, a list `{a,b}`, and `null` takes a key out.

use serde_json::{Map, Value};

use super::keys::Shape;
use crate::diag::{FieldPath, Segment};

/// Longest path. Values are nothing like as deep.
const DEEPEST: usize = 64;

/// One `--set`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Assignment {
    /// Which key.
    pub(super) path: FieldPath,
    /// What it gets, as written.
    text: String,
}

// === impl Assignment ===

impl Assignment {
    /// Reads `PATH=VALUE`.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let Some((path, value)) = text.split_once('=') else {
            return Err("not of the form PATH=VALUE".to_owned());
        };
        Ok(Self {
            path: read_path(path)?,
            text: value.to_owned(),
        })
    }

    /// The value, as the place where it goes to wants it.
    pub(super) fn value(&self, shape: Shape) -> Value {
        let text = self.text.as_str();
        let items = text
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        match items {
            Some("") => Value::Array(Vec::new()),
            Some(items) => Value::Array(items.split(',').map(|one| scalar(one.trim())).collect()),
            None if shape == Shape::Text && text != "null" => Value::String(text.to_owned()),
            None => scalar(text),
        }
    }

    /// Writes the value where the path says.
    pub(super) fn apply(&self, value: Value, root: &mut Value) -> Result<(), String> {
        let mut place = root;
        for segment in &self.path.0 {
            place = match segment {
                Segment::Key(key) => {
                    if !place.is_object() {
                        *place = Value::Object(Map::new());
                    }
                    let map = place.as_object_mut().ok_or("not a mapping")?;
                    map.entry(&**key).or_insert(Value::Null)
                }
                Segment::Index(index) => {
                    if !place.is_array() {
                        *place = Value::Array(Vec::new());
                    }
                    let items = place.as_array_mut().ok_or("not a list")?;
                    if *index == items.len() {
                        items.push(Value::Null);
                    }
                    let count = items.len();
                    items.get_mut(*index).ok_or_else(|| {
                        format!("there is no item {index}: the list has {count}, and grows by one at a time")
                    })?
                }
            };
        }
        *place = value;
        Ok(())
    }
}

fn read_path(text: &str) -> Result<FieldPath, String> {
    let mut segments = Vec::new();
    let mut key = String::new();
    let mut chars = text.chars();
    let flush = |key: &mut String, segments: &mut Vec<Segment>| {
        if !key.is_empty() {
            segments.push(Segment::Key(std::mem::take(key).into()));
        }
    };
    while let Some(c) = chars.next() {
        match c {
            '\\' => key.extend(chars.next()),
            '.' => flush(&mut key, &mut segments),
            '[' => {
                flush(&mut key, &mut segments);
                let index: String = chars.by_ref().take_while(|c| *c != ']').collect();
                let index = index.parse().map_err(|_| {
                    format!("[{index}] is not the position of an item, which is a number")
                })?;
                segments.push(Segment::Index(index));
            }
            c => key.push(c),
        }
    }
    flush(&mut key, &mut segments);
    if segments.len() > DEEPEST {
        return Err(format!("the path has more than {DEEPEST} keys"));
    }
    match segments.first() {
        Some(Segment::Key(_)) => Ok(FieldPath(segments)),
        _ => Err("the path before = is empty or does not begin with a key".to_owned()),
    }
}

/// A value by its looks.
fn scalar(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" => Value::Null,
        _ => match text.parse::<i64>() {
            Ok(number) => Value::from(number),
            Err(_) => Value::String(text.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn set(root: Value, text: &str) -> Value {
        let mut root = root;
        let assignment = Assignment::read(text).unwrap();
        let value = assignment.value(Shape::Other);
        assignment.apply(value, &mut root).unwrap();
        root
    }

    #[test]
    fn paths_lead_into_mappings_and_lists() {
        assert_eq!(set(json!({}), "a.b=1"), json!({ "a": { "b": 1 } }));
        assert_eq!(
            set(json!({ "a": [{ "b": 1, "c": 2 }] }), "a[0].b=x"),
            json!({ "a": [{ "b": "x", "c": 2 }] })
        );
        assert_eq!(
            set(json!({ "a": [1] }), "a[1]=true"),
            json!({ "a": [1, true] })
        );
        assert_eq!(
            set(json!({}), r"n.kubernetes\.io/os=linux"),
            json!({ "n": { "kubernetes.io/os": "linux" } })
        );
        assert_eq!(set(json!({}), "a={x,2}"), json!({ "a": ["x", 2] }));
        assert_eq!(set(json!({}), "a=b=c"), json!({ "a": "b=c" }));
    }

    #[test]
    fn what_is_no_assignment_is_refused() {
        for text in ["a", "=1", "[0]=1", "a[x]=1"] {
            assert!(Assignment::read(text).is_err(), "{text}");
        }
        let far = Assignment::read("a[3]=1").unwrap();
        assert!(
            far.apply(json!(1), &mut json!({}))
                .unwrap_err()
                .contains("the list has 0")
        );
    }
}
