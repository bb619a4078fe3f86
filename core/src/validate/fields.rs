//! Fields that do not exist. They would be dropped silently, so a slip of the pen would change what the mesh does.
//!
//! What exists is read from the JSON schema of our types.

use serde_json::{Map, Value};

use super::http_route::nearest;
use super::{At, Violations};

/// Fields of every object.
const OBJECT: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];

/// The fields that a kind has: the JSON schema of its `spec`, with its definitions.
pub(crate) struct Fields(Value);

fn unknown(name: &str, known: Vec<&str>, at: &At<'_>, violations: &mut Violations) {
    let message = format!("there is no field {name:?}");
    match nearest(name, &known) {
        Some(similar) => {
            violations.add_hint(&at.key(name), message, format!("did you mean {similar:?}?"));
        }
        None => violations.add(&at.key(name), message),
    }
}

// === impl Fields ===

impl Fields {
    /// The fields of a schema.
    pub(crate) fn new(schema: Value) -> Self {
        Self(schema)
    }

    /// Reports fields of an object that its kind does not have.
    pub(crate) fn check(&self, object: &Value, violations: &mut Violations) {
        let at = At::Root;
        for (name, _) in object.as_object().into_iter().flatten() {
            if !OBJECT.contains(&name.as_str()) {
                unknown(name, OBJECT.to_vec(), &at, violations);
            }
        }
        if let Some(spec) = object.get("spec") {
            self.walk(spec, &self.0, &at.key("spec"), violations);
        }
    }

    /// Follows references and optional types to the schema that says what is inside.
    fn resolve<'s>(&'s self, mut schema: &'s Value) -> &'s Value {
        // Each step goes to another definition or deeper; a cycle without properties cannot exist in types.
        for _ in 0..8 {
            if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
                let name = reference.rsplit('/').next().unwrap_or_default();
                match self.0.get("$defs").and_then(|all| all.get(name)) {
                    Some(found) => schema = found,
                    None => break,
                }
                continue;
            }
            let Some(choices) = schema.get("anyOf").and_then(Value::as_array) else {
                break;
            };
            let Some(choice) = choices.iter().find(|choice| choice.get("$ref").is_some()) else {
                break;
            };
            schema = choice;
        }
        schema
    }

    fn walk(&self, value: &Value, schema: &Value, at: &At<'_>, violations: &mut Violations) {
        let schema = self.resolve(schema);
        match value {
            Value::Object(map) => match schema.get("properties").and_then(Value::as_object) {
                Some(properties) => self.walk_object(map, properties, at, violations),
                None => {
                    if let Some(inner) =
                        schema.get("additionalProperties").filter(|s| s.is_object())
                    {
                        for (key, value) in map {
                            self.walk(value, inner, &at.key(key), violations);
                        }
                    }
                }
            },
            Value::Array(items) => {
                if let Some(inner) = schema.get("items") {
                    for (position, item) in items.iter().enumerate() {
                        self.walk(item, inner, &at.index(position), violations);
                    }
                }
            }
            _ => {}
        }
    }

    fn walk_object(
        &self,
        map: &Map<String, Value>,
        properties: &Map<String, Value>,
        at: &At<'_>,
        violations: &mut Violations,
    ) {
        for (key, value) in map {
            match properties.get(key) {
                Some(inner) => self.walk(value, inner, &at.key(key), violations),
                None => {
                    let known = properties.keys().map(String::as_str);
                    unknown(key, known.collect(), at, violations);
                }
            }
        }
    }
}
