//! From `openAPIV3Schema` to [`Node`], with the rules that make a schema structural.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Number, Value};

use super::cause::Cause;
use super::check;
use super::format::Format;
use super::node::{Constraint, ListType, Node, Rest, Type};
use super::{cel, default, pattern};
use crate::FieldPath;

/// How deep schemas may be nested.
const DEEPEST: usize = 64;

/// Keywords of JSON Schema that no definition may use.
const FORBIDDEN: [&str; 7] = [
    "$ref",
    "$schema",
    "id",
    "definitions",
    "dependencies",
    "patternProperties",
    "additionalItems",
];

/// Keywords that describe fields; parts of combinations only check values.
const DESCRIBING: [&str; 10] = [
    "additionalProperties",
    "default",
    "nullable",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-validations",
];

type Parse = fn(&Value, &Value) -> Result<Option<Constraint>, String>;

/// Keywords that check one value. The parser gets the keyword's value and the schema around it; its error says what the
/// keyword needs.
const CONSTRAINTS: &[(&str, Parse)] = &[
    ("enum", |value, _| match value.as_array() {
        Some(values) => Ok(Some(Constraint::Enum(values.clone()))),
        None => Err("must be a list".to_owned()),
    }),
    ("minimum", |value, schema| {
        let exclusive = flag(schema, "exclusiveMinimum");
        number(value).map(|bound| Some(Constraint::Minimum { bound, exclusive }))
    }),
    ("maximum", |value, schema| {
        let exclusive = flag(schema, "exclusiveMaximum");
        number(value).map(|bound| Some(Constraint::Maximum { bound, exclusive }))
    }),
    ("multipleOf", |value, _| match number(value)? {
        step if step.as_f64().is_some_and(|step| step > 0.0) => {
            Ok(Some(Constraint::MultipleOf(step)))
        }
        _ => Err("must be greater than 0".to_owned()),
    }),
    ("minLength", |value, _| {
        count(value).map(|count| Some(Constraint::MinLength(count)))
    }),
    ("maxLength", |value, _| {
        count(value).map(|count| Some(Constraint::MaxLength(count)))
    }),
    ("pattern", |value, _| {
        let source = value.as_str().ok_or("must be a string")?;
        let regex = pattern::compile(source).map_err(|error| error.to_string())?;
        let source = source.into();
        Ok(Some(Constraint::Pattern { source, regex }))
    }),
    ("format", |value, _| {
        let name = value.as_str().ok_or("must be a string")?;
        Ok(Format::named(name).map(Constraint::Format))
    }),
    ("minItems", |value, _| {
        count(value).map(|count| Some(Constraint::MinItems(count)))
    }),
    ("maxItems", |value, _| {
        count(value).map(|count| Some(Constraint::MaxItems(count)))
    }),
    ("minProperties", |value, _| {
        count(value).map(|count| Some(Constraint::MinProperties(count)))
    }),
    ("maxProperties", |value, _| {
        count(value).map(|count| Some(Constraint::MaxProperties(count)))
    }),
];

/// Compiles a schema.
pub(super) fn compile(schema: &Value) -> Result<Node, Vec<Cause>> {
    let mut compiler = Compiler { causes: Vec::new() };
    let root = compiler.node(schema, &FieldPath::root(), Position::default());
    if compiler.causes.is_empty() && root.kind != Some(Type::Object) && !root.preserve {
        let path = FieldPath::parse("type");
        let cause = Cause::invalid(path, &schema["type"], "must be object at the root");
        compiler.causes.push(cause);
    }
    if compiler.causes.is_empty() {
        Ok(root)
    } else {
        Err(compiler.causes)
    }
}

/// Where a schema stands.
#[derive(Clone, Copy, Default)]
struct Position {
    depth: usize,
    /// Within `allOf`, `anyOf`, `oneOf` or `not`.
    in_combination: bool,
    /// A part of a combination may repeat the types of an int-or-string.
    in_int_or_string: bool,
}

struct Compiler {
    causes: Vec<Cause>,
}

impl Compiler {
    fn node(&mut self, schema: &Value, path: &FieldPath, position: Position) -> Node {
        let Some(fields) = schema.as_object() else {
            self.causes
                .push(Cause::invalid(path.clone(), schema, "must be a schema"));
            return Node::default();
        };
        if position.depth > DEEPEST {
            let why = format!("schemas may be nested {DEEPEST} levels deep");
            self.causes.push(Cause::forbidden(path.clone(), &why));
            return Node::default();
        }
        for name in FORBIDDEN
            .into_iter()
            .filter(|name| fields.contains_key(*name))
        {
            self.forbid(path, name, "is not supported in structural schemas");
        }
        if flag(schema, "uniqueItems") {
            self.forbid(
                path,
                "uniqueItems",
                "cannot be true; use x-kubernetes-list-type: set",
            );
        }
        let inside = Position {
            depth: position.depth + 1,
            ..position
        };
        let mut node = Node {
            nullable: flag(schema, "nullable"),
            int_or_string: flag(schema, "x-kubernetes-int-or-string"),
            preserve: flag(schema, "x-kubernetes-preserve-unknown-fields"),
            embedded: flag(schema, "x-kubernetes-embedded-resource"),
            ..Node::default()
        };
        self.kind(&mut node, schema, path, position);
        self.constraints(&mut node, schema, path);
        self.inside(&mut node, schema, path, inside);
        self.list_type(&mut node, schema, path);
        self.combinations(&mut node, schema, path, inside);
        if position.in_combination {
            for name in DESCRIBING
                .into_iter()
                .filter(|name| fields.contains_key(*name))
            {
                self.forbid(
                    path,
                    name,
                    "must not be set inside allOf, anyOf, oneOf and not",
                );
            }
            return node;
        }
        let rules = schema.get("x-kubernetes-validations");
        node.rules = cel::compile(rules, &node, path, &mut self.causes);
        node.rules_inside = !node.rules.is_empty() || children(&node).any(Node::has_rules);
        self.default(&mut node, schema, path);
        node
    }

    fn forbid(&mut self, path: &FieldPath, keyword: &str, why: &str) {
        self.causes.push(Cause::forbidden(path.key(keyword), why));
    }

    fn kind(&mut self, node: &mut Node, schema: &Value, path: &FieldPath, position: Position) {
        let path = path.key("type");
        match schema
            .get("type")
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
        {
            Some(_) if position.in_combination && !position.in_int_or_string => {
                let why = "must not be set inside allOf, anyOf, oneOf and not";
                self.causes.push(Cause::forbidden(path, why));
            }
            Some(_) if node.int_or_string => {
                let why = "must be empty if x-kubernetes-int-or-string is true";
                self.causes.push(Cause::invalid(path, &schema["type"], why));
            }
            Some(name) => {
                node.kind = Type::named(name);
                if node.kind.is_none() {
                    let known = ["object", "array", "string", "integer", "number", "boolean"];
                    let cause = Cause::unsupported(path, &schema["type"], &known.map(Value::from));
                    self.causes.push(cause);
                } else if (node.preserve || node.embedded) && node.kind != Some(Type::Object) {
                    let why = "must be object if unknown fields are preserved or the resource is embedded";
                    self.causes.push(Cause::invalid(path, &schema["type"], why));
                }
            }
            None if position.in_combination || node.int_or_string || node.preserve => {}
            None => self.causes.push(Cause::required(
                path,
                "must not be empty for specified fields",
            )),
        }
    }

    fn constraints(&mut self, node: &mut Node, schema: &Value, path: &FieldPath) {
        for (keyword, parse) in CONSTRAINTS {
            let Some(value) = schema.get(*keyword).filter(|value| !value.is_null()) else {
                continue;
            };
            match parse(value, schema) {
                Ok(constraint) => node.constraints.extend(constraint),
                Err(why) => self
                    .causes
                    .push(Cause::invalid(path.key(*keyword), value, &why)),
            }
        }
        let required = schema["required"].as_array().into_iter().flatten();
        node.required = required.filter_map(Value::as_str).map(Arc::from).collect();
    }

    fn inside(&mut self, node: &mut Node, schema: &Value, path: &FieldPath, position: Position) {
        let below = path.key("properties");
        let properties = schema["properties"].as_object().into_iter().flatten();
        let compiled: BTreeMap<Arc<str>, Node> = properties
            .map(|(name, schema)| {
                let inner = self.node(schema, &below.key(name.as_str()), position);
                (Arc::from(name.as_str()), inner)
            })
            .collect();
        node.properties = compiled;
        let below = path.key("additionalProperties");
        node.rest = match schema.get("additionalProperties") {
            None | Some(Value::Null) => Rest::None,
            Some(Value::Bool(true)) => Rest::Any,
            Some(Value::Bool(false)) => {
                self.causes.push(Cause::forbidden(
                    below,
                    "additionalProperties cannot be set to false",
                ));
                Rest::None
            }
            Some(values) => {
                if !node.properties.is_empty() {
                    let why = "additionalProperties and properties are mutual exclusive";
                    self.causes.push(Cause::forbidden(below.clone(), why));
                }
                Rest::Values(Box::new(self.node(values, &below, position)))
            }
        };
        let below = path.key("items");
        match schema.get("items").filter(|items| !items.is_null()) {
            Some(items) => node.items = Some(Box::new(self.node(items, &below, position))),
            None if node.kind == Some(Type::Array) && !position.in_combination => {
                self.causes
                    .push(Cause::required(below, "must be specified"));
            }
            None => {}
        }
    }

    fn list_type(&mut self, node: &mut Node, schema: &Value, path: &FieldPath) {
        let keyword = "x-kubernetes-list-type";
        let keys = schema["x-kubernetes-list-map-keys"].as_array();
        let keys: Vec<Arc<str>> = keys
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(Arc::from)
            .collect();
        node.list = match schema[keyword].as_str() {
            None | Some("" | "atomic") => ListType::Atomic,
            Some("set") => ListType::Set,
            Some("map") => {
                self.list_keys(node, &keys, path);
                ListType::Map(keys)
            }
            Some(_) => {
                let known = ["atomic", "set", "map"].map(Value::from);
                let cause = Cause::unsupported(path.key(keyword), &schema[keyword], &known);
                self.causes.push(cause);
                return;
            }
        };
        if schema[keyword].is_string() && node.kind != Some(Type::Array) {
            let why = "must be array if x-kubernetes-list-type is specified";
            self.causes
                .push(Cause::invalid(path.key("type"), &schema["type"], why));
        }
    }

    /// The keys of a map are fields of its elements that every element has.
    fn list_keys(&mut self, node: &Node, keys: &[Arc<str>], path: &FieldPath) {
        let path = path.key("x-kubernetes-list-map-keys");
        if keys.is_empty() {
            let why = "must not be empty if x-kubernetes-list-type is map";
            self.causes.push(Cause::required(path, why));
            return;
        }
        let Some(items) = &node.items else { return };
        for (index, key) in keys.iter().enumerate() {
            let why = match items.properties.get(key) {
                None => "entries must all be names of item properties",
                Some(property) if property.default.is_some() || items.required.contains(key) => {
                    continue;
                }
                Some(_) => "entries must be required or have a default",
            };
            let cause = Cause::invalid(path.index(index), &Value::from(&**key), why);
            self.causes.push(cause);
        }
    }

    fn combinations(
        &mut self,
        node: &mut Node,
        schema: &Value,
        path: &FieldPath,
        position: Position,
    ) {
        let position = Position {
            in_combination: true,
            in_int_or_string: position.in_int_or_string || node.int_or_string,
            ..position
        };
        let mut parts = |keyword: &str| -> Vec<Node> {
            let below = path.key(keyword);
            let parts = schema[keyword].as_array().into_iter().flatten().enumerate();
            parts
                .map(|(index, part)| self.node(part, &below.index(index), position))
                .collect()
        };
        node.all_of = parts("allOf");
        node.any_of = parts("anyOf");
        node.one_of = parts("oneOf");
        if let Some(part) = schema.get("not").filter(|part| !part.is_null()) {
            node.not = Some(Box::new(self.node(part, &path.key("not"), position)));
        }
    }

    fn default(&mut self, node: &mut Node, schema: &Value, path: &FieldPath) {
        let Some(given) = schema.get("default").filter(|given| !given.is_null()) else {
            return;
        };
        let mut value = given.clone();
        default::fill(node, &mut value);
        let path = path.key("default");
        for mut cause in check::check_value(node, &value) {
            let below = std::mem::replace(&mut cause.path, path.clone());
            cause.path.0.extend(below.0);
            self.causes.push(cause);
        }
        node.default = Some(given.clone());
    }
}

fn children(node: &Node) -> impl Iterator<Item = &Node> {
    let rest = match &node.rest {
        Rest::Values(values) => Some(&**values),
        Rest::None | Rest::Any => None,
    };
    let items = node.items.as_deref();
    node.properties.values().chain(rest).chain(items)
}

fn flag(schema: &Value, keyword: &str) -> bool {
    schema.get(keyword).and_then(Value::as_bool) == Some(true)
}

fn number(value: &Value) -> Result<Number, String> {
    let number = value.as_number().cloned();
    number.ok_or_else(|| "must be a number".to_owned())
}

fn count(value: &Value) -> Result<u64, String> {
    let whole = value.as_u64().or_else(|| {
        // Read from YAML or from a client that writes all numbers with a fraction.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and not negative, and saturating"
        )]
        value
            .as_f64()
            .filter(|number| number.fract() == 0.0 && *number >= 0.0)
            .map(|number| number as u64)
    });
    whole.ok_or_else(|| "must be a whole number that is not negative".to_owned())
}
