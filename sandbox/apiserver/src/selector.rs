//! Selectors: which objects a list or a watch is about.
//!
//! Labels know `a=b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a` and `!a`; fields know `=` and `!=`, and each kind only
//! some fields.

use serde_json::Value;

use super::status::Status;

/// All conditions that an object must meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    labels: Vec<LabelTerm>,
    fields: Vec<FieldTerm>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct LabelTerm {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldTerm {
    path: String,
    value: String,
    equal: bool,
}

/// The fields of a kind that can be selected by, besides those of all kinds.
const FIELDS: &[(&str, &[&str])] = &[
    (
        "pods",
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
    ),
    (
        "events",
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "type",
        ],
    ),
    ("secrets", &["type"]),
    ("namespaces", &["status.phase"]),
    ("nodes", &["spec.unschedulable"]),
    ("services", &["spec.clusterIP", "spec.type"]),
    ("replicasets.apps", &["status.replicas"]),
    ("jobs.batch", &["status.successful"]),
];

const COMMON: [&str; 2] = ["metadata.name", "metadata.namespace"];

// === impl Selector ===

impl Selector {
    /// Reads the two parameters of a request; `extra` are the fields that a custom resource allows.
    pub fn parse(
        labels: &str,
        fields: &str,
        table: &str,
        extra: &[String],
    ) -> Result<Self, Status> {
        Ok(Self {
            labels: parse_labels(labels)?,
            fields: parse_fields(fields, table, extra)?,
        })
    }

    /// True when nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// True for objects that meet all conditions.
    pub fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels
            .iter()
            .all(|term| term.test.holds(labels[&*term.key].as_str()))
            && self.fields.iter().all(|term| term.holds(object))
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        match self {
            Self::Exists => value.is_some(),
            Self::Absent => value.is_none(),
            Self::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Self::NotIn(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
        }
    }
}

impl FieldTerm {
    fn holds(&self, object: &Value) -> bool {
        let mut place = object;
        for part in self.path.split('.') {
            place = &place[part];
        }
        let same = match place {
            Value::Null => self.value.is_empty(),
            Value::String(text) => *text == self.value,
            other => {
                let text = other.to_string();
                text == self.value
            }
        };
        same == self.equal
    }
}

// === fields ===

fn parse_fields(text: &str, table: &str, extra: &[String]) -> Result<Vec<FieldTerm>, Status> {
    let terms = text.split(',').filter(|term| !term.trim().is_empty());
    terms
        .map(|term| {
            let (path, value, equal) = if let Some((path, value)) = term.split_once("!=") {
                (path, value, false)
            } else if let Some((path, value)) = term.split_once("==") {
                (path, value, true)
            } else if let Some((path, value)) = term.split_once('=') {
                (path, value, true)
            } else {
                return Err(Status::bad_request(format!(
                    "invalid field selector {term:?}: can't understand it, use FIELD=VALUE or FIELD!=VALUE"
                )));
            };
            let path = path.trim();
            check_field(path, table, extra)?;
            Ok(FieldTerm {
                path: path.to_owned(),
                value: value.trim().to_owned(),
                equal,
            })
        })
        .collect()
}

fn check_field(path: &str, table: &str, extra: &[String]) -> Result<(), Status> {
    let own = FIELDS.iter().find(|(name, _)| *name == table);
    let own = own.map_or(&[][..], |(_, fields)| fields);
    let extra = extra.iter().map(String::as_str);
    let known: Vec<&str> = COMMON
        .into_iter()
        .chain(own.iter().copied())
        .chain(extra)
        .collect();
    if known.contains(&path) {
        return Ok(());
    }
    let known: Vec<String> = known.iter().map(|field| format!("{field:?}")).collect();
    Err(Status::bad_request(format!(
        "{path:?} is not a known field selector: only {}",
        known.join(", ")
    )))
}

// === labels ===

fn parse_labels(text: &str) -> Result<Vec<LabelTerm>, Status> {
    split_terms(text)
        .into_iter()
        .map(|term| parse_term(term.trim()))
        .collect()
}

/// Splits at the commas outside parentheses.
fn split_terms(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let terms = text.split(|letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    });
    terms.filter(|term| !term.trim().is_empty()).collect()
}

fn parse_term(term: &str) -> Result<LabelTerm, Status> {
    let bad = |why: &str| {
        Status::bad_request(format!(
            "unable to parse requirement: invalid label selector {term:?}: {why}"
        ))
    };
    let label = |key: &str, test: Test| -> Result<LabelTerm, Status> {
        let key = key.trim();
        if is_key(key) {
            Ok(LabelTerm {
                key: key.to_owned(),
                test,
            })
        } else {
            Err(bad("the key is no label key"))
        }
    };
    let one = |value: &str| -> Result<Vec<String>, Status> {
        let value = value.trim();
        if is_value(value) {
            Ok(vec![value.to_owned()])
        } else {
            Err(bad("the value is no label value"))
        }
    };
    if let Some(key) = term.strip_prefix('!') {
        return label(key, Test::Absent);
    }
    if let Some((head, values)) = term.split_once('(') {
        let values = values
            .strip_suffix(')')
            .ok_or_else(|| bad("a parenthesis is open"))?;
        let values: Result<Vec<Vec<String>>, Status> = values.split(',').map(one).collect();
        let values = values?.concat();
        let mut words = head.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => label(key, Test::In(values)),
            (Some(key), Some("notin"), None) => label(key, Test::NotIn(values)),
            _ => Err(bad("use KEY in (VALUES) or KEY notin (VALUES)")),
        };
    }
    if let Some((key, value)) = term.split_once("!=") {
        return label(key, Test::NotIn(one(value)?));
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return label(key, Test::In(one(value)?));
    }
    label(term, Test::Exists)
}

/// True for the key of a label: a name, with a DNS name before a slash or without.
pub fn is_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let letters = |letter: char| letter.is_ascii_alphanumeric() || "-.".contains(letter);
    !name.is_empty()
        && is_value(name)
        && prefix.is_none_or(|prefix| {
            !prefix.is_empty() && prefix.len() <= 253 && prefix.chars().all(letters)
        })
}

/// True for the value of a label.
pub fn is_value(value: &str) -> bool {
    let inner = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let ends = |letter: Option<char>| letter.is_none_or(|letter| letter.is_ascii_alphanumeric());
    value.len() <= 63
        && value.chars().all(inner)
        && ends(value.chars().next())
        && ends(value.chars().next_back())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(labels: &str, fields: &str, expect: bool) {
        let object = json!({"metadata": {"name": "n", "labels": {"app": "web", "tier": "front"}},
            "status": {"phase": "Running"}});
        let selector = Selector::parse(labels, fields, "pods", &[]).unwrap();
        assert_eq!(selector.matches(&object), expect, "{labels} {fields}");
    }

    #[test]
    fn labels_are_compared_in_all_ways() {
        check("", "", true);
        check("app=web,tier==front", "", true);
        check("app!=web", "", false);
        check("other!=web", "", true);
        check("app in (web, api),tier", "", true);
        check("app notin (web)", "", false);
        check("!app", "", false);
        check("!other", "", true);
    }

    #[test]
    fn fields_are_those_of_the_kind() {
        check("", "metadata.name=n,status.phase!=Failed", true);
        check("", "spec.nodeName=", true);
        check("", "spec.nodeName!=", false);
        let error = Selector::parse("", "spec.foo=1", "configmaps", &[]).unwrap_err();
        assert_eq!(
            error.message,
            r#""spec.foo" is not a known field selector: only "metadata.name", "metadata.namespace""#
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["a in (b", "a is (b)", "=b", "a=b c", "a/b/c=d"] {
            assert!(Selector::parse(bad, "", "pods", &[]).is_err(), "{bad}");
        }
        assert!(Selector::parse("", "metadata.name", "pods", &[]).is_err());
    }
}
