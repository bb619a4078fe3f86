//! From JSON values to types. A part of a wrong type is reported by its path and counts as absent, so that one slip hides no
//! other and the rest of the object is still known.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::diag::{FieldPath, Segment};

/// Wrong parts of one value that are told; more are one finding.
const MOST: usize = 64;

/// What is wrong with a field.
#[derive(Debug)]
pub(super) struct DecodeError {
    pub(super) path: FieldPath,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// Reads a typed value; only a failure is read again to learn the path.
pub(super) fn typed<T: DeserializeOwned>(
    value: &Value,
    base: &FieldPath,
) -> Result<T, DecodeError> {
    if let Ok(typed) = T::deserialize(value) {
        return Ok(typed);
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let mut path = base.clone();
        for segment in error.path() {
            match segment {
                serde_path_to_error::Segment::Seq { index } => {
                    path.0.push(Segment::Index(*index));
                }
                serde_path_to_error::Segment::Map { key } => {
                    path.0.push(Segment::Key(key.as_str().into()));
                }
                serde_path_to_error::Segment::Enum { .. }
                | serde_path_to_error::Segment::Unknown => {}
            }
        }
        let message = rephrase(&error.inner().to_string());
        DecodeError::new(path, message)
    })
}

/// Reads a value of which each part that has a wrong type counts as absent. Positions in lists stay what they are: a wrong
/// element becomes an empty one. None when nothing can be read even so.
pub(super) fn forgiving<T: DeserializeOwned>(
    value: &Value,
    base: &FieldPath,
) -> (Option<T>, Vec<DecodeError>) {
    mending(value, base, |_| false)
}

/// Reads as [`forgiving`] does, and takes numbers in quotes as well: protobuf's JSON mapping allows them, and Istio's own pages
/// write ports of `extensionProviders` so.
pub(super) fn forgiving_protobuf<T: DeserializeOwned>(
    value: &Value,
    base: &FieldPath,
) -> (Option<T>, Vec<DecodeError>) {
    mending(value, base, |part| {
        let number = part.as_str().and_then(|text| text.parse().ok());
        number.map(|number| *part = Value::Number(number)).is_some()
    })
}

/// `mend` may put right a part that has a wrong type, and says whether it has.
fn mending<T: DeserializeOwned>(
    value: &Value,
    base: &FieldPath,
    mend: fn(&mut Value) -> bool,
) -> (Option<T>, Vec<DecodeError>) {
    if let Ok(typed) = T::deserialize(value) {
        return (Some(typed), Vec::new());
    }
    let mut rest = value.clone();
    let mut errors: Vec<DecodeError> = Vec::new();
    let (mut attempt, mut mended) = (0, 0);
    while errors.len() <= MOST {
        let error = match typed(&rest, base) {
            Ok(typed) => return (Some(typed), errors),
            Err(error) => error,
        };
        let path = error.path.0[base.0.len()..].to_vec();
        if mended < MOST && part(&mut rest, &path).is_some_and(mend) {
            mended += 1;
            continue;
        }
        let is_same = errors.last().is_some_and(|last| last.path == error.path);
        attempt = if is_same { attempt + 1 } else { 0 };
        if !is_same {
            errors.push(error);
        }
        if !leave_out(&mut rest, &path, attempt) {
            break;
        }
    }
    (None, errors)
}

/// What is at a path.
fn part<'v>(value: &'v mut Value, path: &[Segment]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |value, segment| match segment {
        Segment::Key(key) => value.get_mut(&**key),
        Segment::Index(index) => value.get_mut(*index),
    })
}

/// Takes out what is at a path: a field, or an element, which becomes an empty value of one type after the other.
fn leave_out(value: &mut Value, path: &[Segment], attempt: usize) -> bool {
    let Some((last, parents)) = path.split_last() else {
        return false;
    };
    let Some(parent) = part(value, parents) else {
        return false;
    };
    let empty = [json!({}), json!(""), json!(0), json!([]), json!(false)];
    match (last, parent) {
        (Segment::Key(key), Value::Object(map)) => map.shift_remove(&**key).is_some(),
        (Segment::Index(index), Value::Array(items)) if attempt < empty.len() => {
            let fits = items.get_mut(*index).zip(empty.into_iter().nth(attempt));
            fits.map(|(item, empty)| *item = empty).is_some()
        }
        // No empty value fits: the list goes.
        (Segment::Index(_), _) => leave_out(value, parents, 0),
        _ => false,
    }
}

/// A value whose null fields count as absent, as protobuf's JSON has it.
pub(super) fn without_nulls(value: &Value) -> Cow<'_, Value> {
    fn has_null(value: &Value) -> bool {
        match value {
            Value::Object(map) => map.values().any(|value| value.is_null() || has_null(value)),
            Value::Array(items) => items.iter().any(has_null),
            _ => false,
        }
    }
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|_, value| !value.is_null());
                map.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    if !has_null(value) {
        return Cow::Borrowed(value);
    }
    let mut owned = value.clone();
    strip(&mut owned);
    Cow::Owned(owned)
}

/// Says what a deserializer said in the words of somebody who writes YAML.
fn rephrase(message: &str) -> String {
    for prefix in ["invalid type: ", "invalid value: ", "unknown variant "] {
        if let Some((found, expected)) = message
            .strip_prefix(prefix)
            .and_then(|rest| rest.rsplit_once(", expected "))
        {
            return format!("expected {}, found {}", plain(expected), plain(found));
        }
    }
    message.to_owned()
}

fn plain(term: &str) -> &str {
    match term {
        "map" | "a map" => "a mapping",
        "sequence" | "a sequence" => "a list",
        "null" | "unit value" => "nothing",
        "i32" | "i64" => "a whole number",
        "u8" | "u16" | "u32" | "u64" => "a whole number that is not negative",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        _ if term.starts_with("struct ") => "a mapping",
        _ if term.starts_with(char::is_uppercase) && term.chars().all(char::is_alphanumeric) => {
            "a mapping"
        }
        _ => term,
    }
}

/// What a value is, in the words of somebody who writes YAML.
pub(super) fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

// === impl DecodeError ===

impl DecodeError {
    pub(super) fn new(path: FieldPath, message: impl Into<String>) -> Self {
        Self {
            path,
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Thing {
        name: String,
        count: u32,
        children: Vec<Thing>,
        words: Vec<String>,
        labels: BTreeMap<String, String>,
        modes: Vec<Mode>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    enum Mode {
        A,
    }

    #[test]
    fn every_wrong_part_is_told_and_the_rest_is_read() {
        let value = json!({
            "name": 1, "count": 2,
            "children": ["x", {"name": "b", "count": "many"}, {"words": ["a", {}, "c"]}],
            "labels": {"a": "b", "c": 4},
            "modes": ["A", "B"],
        });
        let (thing, errors) = forgiving::<Thing>(&value, &FieldPath::parse("spec"));
        let thing = thing.unwrap();
        let paths: Vec<String> = errors.iter().map(|error| error.path.to_string()).collect();
        assert_eq!(
            paths,
            [
                "spec.name",
                "spec.children[0]",
                "spec.children[1].count",
                "spec.children[2].words[1]",
                "spec.labels.c",
                "spec.modes[1]",
            ]
        );
        assert_eq!((thing.name.as_str(), thing.count), ("", 2));
        assert_eq!(thing.children[1].name, "b");
        assert_eq!(thing.children[2].words, ["a", "", "c"]);
        assert_eq!(thing.labels, BTreeMap::from([("a".into(), "b".into())]));
        assert!(thing.modes.is_empty(), "no mode is empty");
    }

    #[test]
    fn numbers_in_quotes_are_numbers_where_protobuf_is_read() {
        let value =
            json!({"count": "9000", "children": [{"count": "x"}, {"count": "-1"}, {"count": "7"}]});
        let (thing, errors) = forgiving_protobuf::<Thing>(&value, &FieldPath::root());
        let thing = thing.unwrap();
        let counts: Vec<u32> = thing.children.iter().map(|child| child.count).collect();
        assert_eq!((thing.count, counts), (9000, vec![0, 0, 7]));
        let paths: Vec<String> = errors.iter().map(|error| error.path.to_string()).collect();
        assert_eq!(paths, ["children[0].count", "children[1].count"]);
        let (_, errors) = forgiving::<Thing>(&value, &FieldPath::root());
        assert_eq!(errors.len(), 4);
    }

    #[test]
    fn a_value_that_is_nothing_of_the_kind_is_told_once() {
        let (thing, errors) = forgiving::<Thing>(&json!([1]), &FieldPath::parse("spec"));
        assert!(thing.is_none() || errors.len() == 1);
        assert_eq!(errors[0].path.to_string(), "spec[0]");
    }
}
