//! Documents with one thing changed: what the kinds' rules are about is a single field nearly always, so that a rule that one
//! side has and the other has not shows in the change that breaks it.
//!
//! A change is made at few of the places that have the same field, so that their number depends on the fields of the kinds and
//! not on the number of documents.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::documents::Document;

/// How often a change is made to the same field of a kind.
const REPEATED: usize = 2;
/// How many values of a field are tried where it is missing.
const SAMPLES: usize = 3;

/// A step from a value to one inside.
#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

/// Where a value is.
type Path = Vec<Step>;

/// Values seen at each field of each kind.
type Seen = BTreeMap<String, BTreeMap<String, Vec<Value>>>;

/// Documents that differ from given ones in one value each.
pub fn of(documents: &[Document]) -> Vec<Document> {
    let mut seen = Seen::new();
    for document in documents {
        let kind = kind(&document.object);
        visit(
            &document.object["spec"],
            &mut Vec::new(),
            &mut |path, value| {
                note(&mut seen, &kind, path, value);
            },
        );
    }
    let mut counts = BTreeMap::new();
    let mut made = BTreeSet::new();
    let mut mutants = Vec::new();
    for document in documents {
        let kind = kind(&document.object);
        visit(
            &document.object["spec"],
            &mut Vec::new(),
            &mut |path, value| {
                for (change, changed) in changes(&seen, &kind, path, value) {
                    let count = counts
                        .entry((kind.clone(), pattern(path), change.clone()))
                        .or_insert(0);
                    let object = with(&document.object, path, changed);
                    if *count < REPEATED && made.insert(object.to_string()) {
                        *count += 1;
                        mutants.push(Document {
                            name: format!("{} {}: {change}", document.name, text(path)),
                            object,
                        });
                    }
                }
            },
        );
    }
    mutants
}

fn kind(object: &Value) -> String {
    format!("{} {}", object["apiVersion"], object["kind"])
}

/// What becomes of a value: the name of a change, and the new value; none is the value taken out.
fn changes(seen: &Seen, kind: &str, path: &Path, value: &Value) -> Vec<(String, Option<Value>)> {
    let mut all: Vec<(String, Option<Value>)> = Vec::new();
    let mut set = |value: Value| all.push((format!("= {value}"), Some(value)));
    match value {
        Value::String(_) => {
            for text in [
                "",
                "not valid!",
                "*",
                "a.b",
                "A",
                "1",
                "-1",
                "/",
                "a=b",
                "0s",
                "1ms",
                "0.5ms",
            ] {
                set(json!(text));
            }
            set(json!(7));
        }
        Value::Number(_) => {
            for number in [-1, 0, 1, 99, 101, 65_536] {
                set(json!(number));
            }
            set(json!(0.5));
            set(json!("a"));
        }
        Value::Bool(other) => {
            set(json!(!other));
            set(json!("yes"));
        }
        Value::Array(items) => {
            set(json!([]));
            set(json!("a"));
            if let Some(first) = items.first() {
                let twice: Vec<&Value> = items.iter().chain([first]).collect();
                all.push(("repeated".to_owned(), Some(json!(twice))));
            }
        }
        Value::Object(fields) => {
            set(json!({}));
            set(json!("a"));
            let mut more = fields.clone();
            more.insert("unheardOf".to_owned(), json!(1));
            all.push(("+ unheardOf".to_owned(), Some(Value::Object(more))));
            all.extend(additions(seen, kind, path, fields));
        }
        Value::Null => {}
    }
    if !path.is_empty() {
        all.push(("removed".to_owned(), None));
    }
    all.retain(|(_, changed)| changed.as_ref() != Some(value));
    if let Some(others) = seen.get(kind).and_then(|seen| seen.get(&pattern(path)))
        && !value.is_object()
        && !value.is_array()
    {
        let others = others.iter().filter(|other| *other != value);
        all.extend(others.map(|other| (format!("= {other}"), Some(other.clone()))));
    }
    all
}

/// An object with a field more, as other documents have it.
fn additions(
    seen: &Seen,
    kind: &str,
    path: &Path,
    fields: &Map<String, Value>,
) -> Vec<(String, Option<Value>)> {
    let here = pattern(path);
    let Some(seen) = seen.get(kind) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    let from = format!("{here}.");
    for (field, values) in seen.range(from.clone()..) {
        let Some(name) = field.strip_prefix(&from) else {
            break;
        };
        if name.contains(['.', '[']) || fields.contains_key(name) {
            continue;
        }
        for value in values {
            let mut more = fields.clone();
            more.insert(name.to_owned(), value.clone());
            all.push((format!("+ {name} = {value}"), Some(Value::Object(more))));
        }
    }
    all
}

fn note(seen: &mut Seen, kind: &str, path: &Path, value: &Value) {
    let values = seen
        .entry(kind.to_owned())
        .or_default()
        .entry(pattern(path))
        .or_default();
    if values.len() < SAMPLES && !values.contains(value) {
        values.push(value.clone());
    }
}

fn visit(value: &Value, path: &mut Path, each: &mut impl FnMut(&Path, &Value)) {
    each(path, value);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                path.push(Step::Key(name.clone()));
                visit(value, path, each);
                path.pop();
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                path.push(Step::Index(index));
                visit(value, path, each);
                path.pop();
            }
        }
        _ => {}
    }
}

/// A copy of an object with the value at a path of its spec changed.
fn with(object: &Value, path: &Path, changed: Option<Value>) -> Value {
    let mut object = object.clone();
    let mut at = &mut object["spec"];
    let Some((last, parents)) = path.split_last() else {
        *at = changed.unwrap_or_default();
        return object;
    };
    for step in parents {
        at = match step {
            Step::Key(name) => &mut at[name],
            Step::Index(index) => &mut at[index],
        };
    }
    match (last, changed) {
        (Step::Key(name), Some(value)) => at[name] = value,
        (Step::Index(index), Some(value)) => at[index] = value,
        (Step::Key(name), None) => {
            at.as_object_mut().map(|fields| fields.shift_remove(name));
        }
        (Step::Index(index), None) => {
            at.as_array_mut().map(|items| items.remove(*index));
        }
    }
    object
}

/// A path as it reads: `spec.http[0].match`.
fn text(path: &Path) -> String {
    path.iter()
        .fold("spec".to_owned(), |text, step| match step {
            Step::Key(name) => format!("{text}.{name}"),
            Step::Index(index) => format!("{text}[{index}]"),
        })
}

/// A path without positions, the same for all items of a list.
fn pattern(path: &Path) -> String {
    path.iter()
        .fold("spec".to_owned(), |text, step| match step {
            Step::Key(name) => format!("{text}.{name}"),
            Step::Index(_) => format!("{text}[]"),
        })
}
