//! Structural schemas of custom resources: leaving out unknown fields, filling in defaults, checking values.

use serde_json::{Map, Value, json};

use super::status::Cause;

const EMBEDDED: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// The object without fields that the schema does not have, and their paths.
pub fn prune(schema: &Value, mut object: Value) -> (Value, Vec<String>) {
    let mut unknown = Vec::new();
    if schema.is_object() {
        prune_value(schema, &mut object, "", true, &mut unknown);
    }
    (object, unknown)
}

fn flag(schema: &Value, name: &str) -> bool {
    schema[name].as_bool() == Some(true)
}

fn prune_value(
    schema: &Value,
    value: &mut Value,
    path: &str,
    embedded: bool,
    unknown: &mut Vec<String>,
) {
    let keep_all = flag(schema, "x-kubernetes-preserve-unknown-fields");
    match value {
        Value::Object(object) => {
            let names: Vec<String> = object.keys().cloned().collect();
            for name in names {
                let path = join(path, &name);
                let property = &schema["properties"][&*name];
                let rest = &schema["additionalProperties"];
                let is_embedded = embedded && EMBEDDED.contains(&name.as_str());
                let inner = if property.is_object() { property } else { rest };
                if is_embedded {
                    // Metadata has its own rules.
                } else if inner.is_object() {
                    let embedded = flag(inner, "x-kubernetes-embedded-resource");
                    if let Some(value) = object.get_mut(&name) {
                        prune_value(inner, value, &path, embedded, unknown);
                    }
                } else if !keep_all && rest != &json!(true) {
                    object.shift_remove(&name);
                    unknown.push(path);
                }
            }
        }
        Value::Array(elements) => {
            let items = &schema["items"];
            if items.is_object() {
                for (index, element) in elements.iter_mut().enumerate() {
                    let embedded = flag(items, "x-kubernetes-embedded-resource");
                    prune_value(
                        items,
                        element,
                        &format!("{path}[{index}]"),
                        embedded,
                        unknown,
                    );
                }
            }
        }
        _ => {}
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Fills in the defaults of fields that are missing, or null where null is not allowed.
pub fn default(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                let given = &property["default"];
                let missing = match object.get(name) {
                    None => true,
                    Some(Value::Null) => !flag(property, "nullable"),
                    Some(_) => false,
                };
                if missing && !given.is_null() {
                    object.insert(name.clone(), given.clone());
                }
                if let Some(value) = object.get_mut(name) {
                    default(property, value);
                }
            }
            let rest = &schema["additionalProperties"];
            if rest.is_object() {
                let properties = &schema["properties"];
                let others = object
                    .iter_mut()
                    .filter(|(name, _)| properties[name.as_str()].is_null());
                for (_, value) in others {
                    default(rest, value);
                }
            }
        }
        Value::Array(elements) => {
            for element in elements {
                default(&schema["items"], element);
            }
        }
        _ => {}
    }
}

/// What is wrong with a value.
pub fn check(schema: &Value, value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if let Value::Object(object) = value {
        // Type and metadata of the object itself are not the schema's business.
        let mut rest = object.clone();
        for name in EMBEDDED {
            rest.shift_remove(name);
        }
        check_value(schema, &Value::Object(rest), "", &mut causes);
    }
    causes.retain(|cause| !EMBEDDED.contains(&cause.field.as_str()));
    causes
}

fn check_value(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if value.is_null() && flag(schema, "nullable") {
        return;
    }
    if let Some(cause) = check_type(schema, value, path) {
        causes.push(cause);
        return;
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        let allowed: Vec<String> = allowed
            .iter()
            .map(|value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            })
            .collect();
        causes.push(Cause::unsupported(path, value, &allowed));
    }
    match value {
        Value::String(text) => check_text(schema, text, path, causes),
        Value::Number(_) => check_number(schema, value, path, causes),
        Value::Array(elements) => check_list(schema, elements, path, causes),
        Value::Object(object) => check_object(schema, object, path, causes),
        _ => {}
    }
    check_combined(schema, value, path, causes);
}

fn check_type(schema: &Value, value: &Value, path: &str) -> Option<Cause> {
    let given = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let wrong = |wanted: &str| {
        let why = format!("{path} in body must be of type {wanted}: {given:?}");
        Some(Cause::wrong_type(path, &json!(given), &why))
    };
    if flag(schema, "x-kubernetes-int-or-string") {
        return match given {
            "integer" | "string" => None,
            _ => wrong("integer or string"),
        };
    }
    match (schema["type"].as_str().unwrap_or_default(), given) {
        ("", _) | ("number", "integer") => None,
        ("integer", "number") if value.as_f64().is_some_and(|number| number.fract() == 0.0) => None,
        (wanted, given) if wanted == given => None,
        (wanted, _) => wrong(wanted),
    }
}

fn limit(schema: &Value, name: &str) -> Option<usize> {
    schema[name]
        .as_u64()
        .and_then(|limit| usize::try_from(limit).ok())
}

fn check_count(
    schema: &Value,
    (least, most): (&str, &str),
    count: usize,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    if let Some(least) = limit(schema, least)
        && count < least
    {
        let why = format!("{path} in body should have at least {least} items or letters");
        causes.push(Cause::invalid(path, &json!(count), &why));
    }
    if let Some(most) = limit(schema, most)
        && count > most
    {
        let why = format!("{path} in body should have at most {most} items or letters");
        causes.push(Cause::invalid(path, &json!(count), &why));
    }
}

fn check_text(schema: &Value, text: &str, path: &str, causes: &mut Vec<Cause>) {
    check_count(
        schema,
        ("minLength", "maxLength"),
        text.chars().count(),
        path,
        causes,
    );
    if let Some(pattern) = schema["pattern"].as_str()
        && let Ok(regex) = regex::Regex::new(pattern)
        && !regex.is_match(text)
    {
        let why = format!("{path} in body should match '{pattern}'");
        causes.push(Cause::invalid(path, &json!(text), &why));
    }
    if schema["format"] == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
        let why = format!("{path} in body must be of type date-time: {text:?}");
        causes.push(Cause::wrong_type(path, &json!(text), &why));
    }
}

fn check_number(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let number = value.as_f64().unwrap_or_default();
    let bound = |name: &str| schema[name].as_f64();
    let mut fault = |why: String| causes.push(Cause::invalid(path, value, &why));
    if let Some(least) = bound("minimum")
        && (number < least || (flag(schema, "exclusiveMinimum") && number <= least))
    {
        fault(format!(
            "{path} in body should be greater than or equal to {least}"
        ));
    }
    if let Some(most) = bound("maximum")
        && (number > most || (flag(schema, "exclusiveMaximum") && number >= most))
    {
        fault(format!(
            "{path} in body should be less than or equal to {most}"
        ));
    }
    if let Some(step) = bound("multipleOf").filter(|step| *step > 0.0)
        && (number / step).fract() != 0.0
    {
        fault(format!("{path} in body should be a multiple of {step}"));
    }
}

fn check_list(schema: &Value, elements: &[Value], path: &str, causes: &mut Vec<Cause>) {
    check_count(
        schema,
        ("minItems", "maxItems"),
        elements.len(),
        path,
        causes,
    );
    for (index, element) in elements.iter().enumerate() {
        let path = format!("{path}[{index}]");
        check_value(&schema["items"], element, &path, causes);
        if is_repeated(schema, elements, index) {
            causes.push(Cause::duplicate(path, element));
        }
    }
}

/// True for an element that an earlier one in a set or map is the same as.
fn is_repeated(schema: &Value, elements: &[Value], index: usize) -> bool {
    let (before, rest) = elements.split_at(index);
    let Some(own) = rest.first().and_then(|element| identity(schema, element)) else {
        return false;
    };
    before
        .iter()
        .any(|element| identity(schema, element).as_ref() == Some(&own))
}

/// What tells an element of a list from the others; `None` where they may be the same.
fn identity<'a>(schema: &Value, element: &'a Value) -> Option<Vec<&'a Value>> {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array()?;
            let keys = keys.iter().filter_map(Value::as_str);
            Some(keys.map(|key| &element[key]).collect())
        }
        Some("set") => Some(vec![element]),
        _ => flag(schema, "uniqueItems").then(|| vec![element]),
    }
}

fn check_object(schema: &Value, object: &Map<String, Value>, path: &str, causes: &mut Vec<Cause>) {
    check_count(
        schema,
        ("minProperties", "maxProperties"),
        object.len(),
        path,
        causes,
    );
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        if !object.contains_key(name) {
            causes.push(Cause::required(join(path, name), ""));
        }
    }
    for (name, value) in object {
        let property = &schema["properties"][name.as_str()];
        let inner = if property.is_object() {
            property
        } else {
            &schema["additionalProperties"]
        };
        if inner.is_object() {
            check_value(inner, value, &join(path, name), causes);
        }
    }
}

/// `allOf`, `anyOf`, `oneOf` and `not`, whose parts check values and do not describe fields.
fn check_combined(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let parts = |name: &str| schema[name].as_array().cloned().unwrap_or_default();
    let holds = |part: &Value| {
        let mut faults = Vec::new();
        check_value(part, value, path, &mut faults);
        faults.is_empty()
    };
    for part in parts("allOf") {
        check_value(&part, value, path, causes);
    }
    let any = parts("anyOf");
    if !any.is_empty() && !any.iter().any(holds) {
        let why = format!("{path} in body must validate at least one schema (anyOf)");
        causes.push(Cause::invalid(path, &json!(""), &why));
    }
    let one = parts("oneOf");
    if !one.is_empty() && one.iter().filter(|part| holds(part)).count() != 1 {
        let why = format!("{path} in body must validate one and only one schema (oneOf)");
        causes.push(Cause::invalid(path, &json!(""), &why));
    }
    if schema["not"].is_object() && holds(&schema["not"]) {
        let why = format!("{path} in body must not validate the schema (not)");
        causes.push(Cause::invalid(path, &json!(""), &why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Value {
        json!({"type": "object", "properties": {"spec": {"type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer", "minimum": 1},
            "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
            "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "properties": {
                    "name": {"type": "string"}, "protocol": {"type": "string", "default": "TCP"}}}},
            "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "weight": {"x-kubernetes-int-or-string": true},
            "kind": {"oneOf": [{"required": ["x"]}, {"required": ["y"]}], "type": "object",
                "properties": {"x": {"type": "string"}, "y": {"type": "string"}}},
        }}}})
    }

    #[test]
    fn unknown_fields_are_left_out() {
        let (object, unknown) = prune(
            &schema(),
            json!({"metadata": {"name": "n"}, "foo": 1,
            "spec": {"size": 1, "bar": 1, "any": {"x": 1}, "labels": {"a": "b"}, "ports": [{"name": "p", "q": 1}]}}),
        );
        assert_eq!(unknown, ["foo", "spec.bar", "spec.ports[0].q"]);
        assert_eq!(object["spec"]["any"]["x"], 1);
        assert_eq!(object["spec"]["labels"]["a"], "b");
        assert_eq!(object["metadata"]["name"], "n");
    }

    #[test]
    fn defaults_are_filled_in_where_their_place_is() {
        let mut object = json!({"spec": {"ports": [{"name": "p"}]}});
        default(&schema(), &mut object);
        assert_eq!(object["spec"]["mode"], "a");
        assert_eq!(object["spec"]["ports"][0]["protocol"], "TCP");
        assert!(object["spec"]["labels"].is_null());
    }

    #[track_caller]
    fn fault(spec: Value) -> String {
        let causes = check(&schema(), &json!({"spec": spec}));
        let texts: Vec<String> = causes
            .iter()
            .map(|cause| format!("{} {}", cause.field, cause.reason))
            .collect();
        texts.join(", ")
    }

    #[test]
    fn values_are_checked() {
        assert_eq!(fault(json!({"size": 1, "mode": "b", "weight": "1"})), "");
        assert_eq!(fault(json!({})), "spec.size FieldValueRequired");
        assert_eq!(
            fault(json!({"size": "x"})),
            "spec.size FieldValueTypeInvalid"
        );
        assert_eq!(fault(json!({"size": 0})), "spec.size FieldValueInvalid");
        assert_eq!(
            fault(json!({"size": 1, "mode": "c"})),
            "spec.mode FieldValueNotSupported"
        );
        let twice = json!({"size": 1, "ports": [{"name": "p"}, {"name": "p"}]});
        assert_eq!(fault(twice), "spec.ports[1] FieldValueDuplicate");
        assert_eq!(
            fault(json!({"size": 1, "kind": {"x": "1", "y": "1"}})),
            "spec.kind FieldValueInvalid"
        );
        assert_eq!(fault(json!({"size": 1, "kind": {"x": "1"}})), "");
    }
}
