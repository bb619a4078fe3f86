//! Small readings of objects that several tables share.

use serde_json::Value;

/// A text, empty when it is not there.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A text, or what stands for none.
pub fn text_or<'a>(value: &'a Value, none: &'a str) -> &'a str {
    value
        .as_str()
        .filter(|text| !text.is_empty())
        .unwrap_or(none)
}

/// A whole number, 0 when it is not there.
pub fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// The elements of a list that may be missing.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// How many entries a map has.
pub fn count(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}

/// The object's name.
pub fn name(object: &Value) -> &str {
    text(&object["metadata"]["name"])
}

/// `k=v,k=v`, sorted; `<none>` for an empty map.
pub fn pairs(value: &Value) -> String {
    let mut pairs: Vec<String> = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", text(value)))
        .collect();
    pairs.sort();
    or_none(pairs.join(","))
}

/// A label selector with its expressions.
pub fn selector(value: &Value) -> String {
    let mut parts = Vec::new();
    if count(&value["matchLabels"]) > 0 {
        parts.push(pairs(&value["matchLabels"]));
    }
    for expression in list(&value["matchExpressions"]) {
        let key = text(&expression["key"]);
        let values: Vec<&str> = list(&expression["values"]).iter().map(text).collect();
        parts.push(match text(&expression["operator"]) {
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            operator => format!(
                "{key} {} ({})",
                operator.to_ascii_lowercase(),
                values.join(",")
            ),
        });
    }
    or_none(parts.join(","))
}

/// The status of a condition, `None` when there is no such condition.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let mut conditions = list(&object["status"]["conditions"]).iter();
    let found = conditions.find(|condition| condition["type"] == kind)?;
    found["status"].as_str()
}

/// The text, or `<none>` when it is empty.
pub fn or_none(text: String) -> String {
    if text.is_empty() {
        "<none>".to_owned()
    } else {
        text
    }
}

/// The names and the images of a template's containers, each with commas.
pub fn containers(template: &Value) -> (String, String) {
    let of = |field: &str| {
        let containers = list(&template["spec"]["containers"]).iter();
        let texts: Vec<&str> = containers
            .map(|container| text(&container[field]))
            .collect();
        texts.join(",")
    };
    (of("name"), of("image"))
}
