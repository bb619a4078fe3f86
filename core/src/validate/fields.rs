//! Fields that do not exist. They would be dropped silently, so a slip of the pen would change what the mesh does.
//!
//! What exists is read from the JSON schema of our types. Fields of Istio that this program has no type for yet are listed
//! here: they are accepted and survive in the raw value.

use std::sync::LazyLock;

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

use super::http_route::nearest;
use super::{At, Violations};
use crate::model::{DestinationRuleSpec, GatewaySpec, ServiceEntrySpec, VirtualServiceSpec};
use crate::resource::Kind;

/// Fields of Istio's types that ours lack.
const ALSO: &[(&str, &[&str])] = &[
    ("HttpRoute", &["mirrorPercent"]),
    ("L4MatchAttributes", &["sourceSubnet"]),
    ("LoadBalancerSettings", &["warmupDurationSecs"]),
    ("TrafficPolicy", &["tunnel", "proxyProtocol", "retryBudget"]),
    ("WorkloadSelector", &["labels"]),
    (
        "ServerTls",
        &[
            "caCertCredentialName",
            "caCrl",
            "credentialNames",
            "tlsCertificates",
            "verifyCertificateHash",
            "verifyCertificateSpki",
        ],
    ),
];

/// Fields of every object.
const OBJECT: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];

/// The schema of a kind's `spec`, with its definitions.
struct Root(Value);

static SCHEMAS: LazyLock<[(Kind, Root); 4]> = LazyLock::new(|| {
    [
        (Kind::VirtualService, Root::of::<VirtualServiceSpec>()),
        (Kind::DestinationRule, Root::of::<DestinationRuleSpec>()),
        (Kind::Gateway, Root::of::<GatewaySpec>()),
        (Kind::ServiceEntry, Root::of::<ServiceEntrySpec>()),
    ]
});

/// Reports fields that the object's kind does not have.
pub(super) fn check(violations: &mut Violations<'_>) {
    let kind = violations.resource.key.kind;
    let Some((_, root)) = SCHEMAS.iter().find(|(known, _)| *known == kind) else {
        return;
    };
    let raw = violations.resource.raw.clone();
    let at = At::Root;
    for (name, _) in raw.as_object().into_iter().flatten() {
        if !OBJECT.contains(&name.as_str()) {
            unknown(name, OBJECT.to_vec(), &at, violations);
        }
    }
    if let Some(spec) = raw.get("spec") {
        root.walk(spec, &root.0, "", &at.key("spec"), violations);
    }
}

fn unknown(name: &str, known: Vec<&str>, at: &At<'_>, violations: &mut Violations<'_>) {
    let message = format!("there is no field {name:?}");
    match nearest(name, &known) {
        Some(similar) => {
            violations.add_hint(&at.key(name), message, format!("did you mean {similar:?}?"));
        }
        None => violations.add(&at.key(name), message),
    }
}

impl Root {
    fn of<T: JsonSchema>() -> Self {
        Self(
            SchemaGenerator::default()
                .into_root_schema_for::<T>()
                .into(),
        )
    }

    /// Follows references and optional types to the schema that says what is inside, and its name.
    fn resolve<'s>(&'s self, mut schema: &'s Value, mut name: &'s str) -> (&'s Value, &'s str) {
        // Each step goes to another definition or deeper; a cycle without properties cannot exist in types.
        for _ in 0..8 {
            if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
                name = reference.rsplit('/').next().unwrap_or_default();
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
        (schema, name)
    }

    fn walk(
        &self,
        value: &Value,
        schema: &Value,
        name: &str,
        at: &At<'_>,
        violations: &mut Violations<'_>,
    ) {
        let (schema, name) = self.resolve(schema, name);
        match value {
            Value::Object(map) => match schema.get("properties").and_then(Value::as_object) {
                Some(properties) => self.walk_object(map, properties, name, at, violations),
                None => {
                    if let Some(inner) =
                        schema.get("additionalProperties").filter(|s| s.is_object())
                    {
                        for (key, value) in map {
                            self.walk(value, inner, "", &at.key(key), violations);
                        }
                    }
                }
            },
            Value::Array(items) => {
                if let Some(inner) = schema.get("items") {
                    for (position, item) in items.iter().enumerate() {
                        self.walk(item, inner, "", &at.index(position), violations);
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
        name: &str,
        at: &At<'_>,
        violations: &mut Violations<'_>,
    ) {
        let also = ALSO
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(&[][..], |(_, fields)| fields);
        for (key, value) in map {
            match properties.get(key) {
                Some(inner) => self.walk(value, inner, "", &at.key(key), violations),
                None if also.contains(&key.as_str()) => {}
                None => {
                    let known = properties
                        .keys()
                        .map(String::as_str)
                        .chain(also.iter().copied());
                    unknown(key, known.collect(), at, violations);
                }
            }
        }
    }
}
