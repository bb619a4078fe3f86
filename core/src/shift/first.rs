//! Rules for the requests with one header, which come before the rules for everybody: who sees a new version first.

use serde_json::{Value, json};

use super::Section;

/// A rule for the requests with the header, beside the rule for everybody that it was made from.
pub(super) struct FirstRule {
    /// Its position.
    pub(super) index: usize,
    /// That of the rule for everybody.
    pub(super) everybody: usize,
    /// Whether it was put in just now.
    pub(super) inserted: bool,
}

/// Finds the rules for the header before these rules of an object, or puts them in.
pub(super) fn first_rules(
    object: &mut Value,
    everybody: &[usize],
    (name, value): &(String, String),
) -> Vec<FirstRule> {
    let mut found = Vec::new();
    let Some(rules) = Section::Http.rules_mut(object) else {
        return found;
    };
    let mut inserted = 0;
    for index in everybody {
        let at = index + inserted;
        let Some(rule) = rules.get(at) else {
            continue;
        };
        let conditions = with_header(rule, name, value);
        let known = rules
            .iter()
            .take(at)
            .position(|rule| rule.get("match") == Some(&conditions));
        if let Some(known) = known {
            found.push(FirstRule {
                index: known,
                everybody: at,
                inserted: false,
            });
            continue;
        }
        let mut first = rule.clone();
        if let Value::Object(fields) = &mut first {
            if let Some(Value::String(own)) = fields.get_mut("name") {
                own.push_str("-first");
            }
            fields.shift_remove("match");
            fields.shift_insert(0, "match".to_owned(), conditions);
        }
        rules.insert(at, first);
        inserted += 1;
        found.push(FirstRule {
            index: at,
            everybody: at + 1,
            inserted: true,
        });
    }
    found
}

/// The conditions of a rule, each with the header in addition.
fn with_header(rule: &Value, name: &str, value: &str) -> Value {
    let header = json!({"exact": value});
    let conditions = rule.get("match").and_then(Value::as_array);
    let conditions = conditions.filter(|conditions| !conditions.is_empty());
    let Some(conditions) = conditions else {
        return json!([{"headers": {name: header}}]);
    };
    let each = conditions.iter().map(|condition| {
        let mut condition = condition.clone();
        if let Value::Object(fields) = &mut condition {
            let headers = fields.entry("headers").or_insert_with(|| json!({}));
            if let Value::Object(headers) = headers {
                headers.insert(name.to_owned(), header.clone());
            }
        }
        condition
    });
    Value::Array(each.collect())
}
