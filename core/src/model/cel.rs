//! Rules of CRD schemas for what types and bounds cannot say, mostly in CEL (`x-kubernetes-validations`).
//!
//! API servers estimate what a rule costs at most, and refuse the CRD where that is too much. Below lists or maps without a
//! bound little is allowed beyond a comparison, so the schema itself must do: [`none_or_one`] instead of [`at_most_one`].

use serde_json::{Value, json};

/// A rule, and what is said about a value for which it does not hold.
pub(super) fn rule(rule: &str, message: &str) -> Value {
    json!({ "rule": rule, "message": message })
}

/// A rule about one field of an object, which is to blame where the rule does not hold.
pub(super) fn rule_of(field: &str, rule: &str, message: &str) -> Value {
    json!({ "rule": rule, "message": message, "fieldPath": format!(".{field}") })
}

/// At most one of the fields may be set: a `oneof` of protocol buffers.
pub(super) fn at_most_one(fields: &[&str]) -> Value {
    let message = format!("only one of {} can be set", fields.join(", "));
    rule(&format!("{} <= 1", set(fields)), &message)
}

/// The same as a schema's `oneOf`, which costs nothing and says less when it fails.
pub(super) fn none_or_one(fields: &[&str]) -> Value {
    let required: Vec<Value> = fields
        .iter()
        .map(|field| json!({ "required": [field] }))
        .collect();
    let mut all = vec![json!({ "not": { "anyOf": required } })];
    all.extend(required);
    Value::Array(all)
}

/// How many of the fields are set.
fn set(fields: &[&str]) -> String {
    let counted: Vec<String> = fields
        .iter()
        .map(|field| format!("(has(self.{field}) ? 1 : 0)"))
        .collect();
    counted.join(" + ")
}

/// A duration that is not shorter than a millisecond, the least that Envoy counts.
pub(super) fn at_least_one_millisecond() -> Value {
    rule(
        "duration(self) >= duration('1ms')",
        "must be a valid duration of at least 1ms",
    )
}

/// A port's number.
pub(super) fn port_number() -> Value {
    rule(
        "0 < self && self <= 65535",
        "port must be in the range 1 to 65535",
    )
}
