//! Values against their schema: types, constraints, lists, and combinations of schemas. CEL rules come after
//! ([`super::cel`]).

use serde_json::{Map, Number, Value};

use super::OBJECT_FIELDS;
use super::cause::Cause;
use super::node::{Constraint, ListType, Node, Type};
use crate::{FieldPath, Segment};

/// How many causes are told of one object.
const MOST_CAUSES: usize = 100;

/// What is wrong with an object, apart from rules. Type and metadata of the object itself are not the schema's business.
pub(super) fn check(root: &Node, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut checker = Checker {
        path: Vec::new(),
        causes: Vec::new(),
    };
    checker.value(root, object, old);
    let is_own = |cause: &Cause| {
        cause.path.0.first().is_some_and(|first| {
            let Segment::Key(name) = first else {
                return false;
            };
            OBJECT_FIELDS.contains(&&**name)
        })
    };
    checker.causes.retain(|cause| !is_own(cause));
    checker.causes
}

/// What is wrong with a value that stands alone.
pub(super) fn check_value(node: &Node, value: &Value) -> Vec<Cause> {
    let mut checker = Checker {
        path: Vec::new(),
        causes: Vec::new(),
    };
    checker.value(node, value, None);
    checker.causes
}

struct Checker {
    path: Vec<Segment>,
    causes: Vec<Cause>,
}

impl Checker {
    fn at(&self) -> FieldPath {
        FieldPath(self.path.clone())
    }

    fn push(&mut self, cause: Cause) {
        if self.causes.len() < MOST_CAUSES {
            self.causes.push(cause);
        }
    }

    /// Adds a value that breaks a constraint, with a sentence about the field.
    fn invalid(&mut self, value: &Value, why: &str) {
        let path = self.at();
        let why = format!("{} in body {why}", subject(&path));
        self.push(Cause::invalid(path, value, &why));
    }

    fn wrong_type(&mut self, value: &Value, wanted: &str, found: &str) {
        let path = self.at();
        let why = format!(
            "{} in body must be of type {wanted}: {found}",
            subject(&path)
        );
        self.push(Cause::wrong_type(path, value, &why));
    }

    fn field(&mut self, name: &str, node: &Node, value: &Value, old: Option<&Value>) {
        self.path.push(Segment::Key(name.into()));
        self.value(node, value, old);
        self.path.pop();
    }

    fn value(&mut self, node: &Node, value: &Value, old: Option<&Value>) {
        // What was stored may stay: the schema may have become stricter since.
        if old == Some(value) || (value.is_null() && node.nullable) {
            return;
        }
        if !self.has_type(node, value) {
            return;
        }
        for constraint in &node.constraints {
            self.constraint(constraint, value);
        }
        match value {
            Value::Array(elements) => self.list(node, elements, old),
            Value::Object(object) => self.object(node, object, old),
            _ => {}
        }
        self.combinations(node, value);
    }

    fn has_type(&mut self, node: &Node, value: &Value) -> bool {
        let found = Type::of(value);
        let wanted = match (node.kind, found) {
            _ if node.int_or_string => match found {
                Some(Type::Integer | Type::String) => return true,
                _ => "integer,string",
            },
            (None, _) | (Some(Type::Number), Some(Type::Integer)) => return true,
            (Some(Type::Integer), Some(Type::Number)) if is_whole(value) => return true,
            (Some(wanted), found) if found == Some(wanted) => return true,
            (Some(wanted), _) => wanted.name(),
        };
        let found = found.map_or("null", Type::name);
        self.wrong_type(&Value::from(found), wanted, &format!("{found:?}"));
        false
    }

    fn constraint(&mut self, constraint: &Constraint, value: &Value) {
        match (constraint, value) {
            (Constraint::Enum(allowed), value)
                if !allowed.iter().any(|one| is_same(one, value)) =>
            {
                self.push(Cause::unsupported(self.at(), value, allowed));
            }
            (Constraint::Format(format), value) if !(format.has)(value) => {
                self.wrong_type(value, format.name, &super::cause::shown(value));
            }
            (_, Value::Number(number)) => {
                if let Some(why) = number_violation(constraint, number) {
                    self.invalid(value, &why);
                }
            }
            (_, Value::String(text)) => self.text(constraint, text, value),
            (constraint, Value::Array(elements)) => {
                let count = elements.len() as u64;
                match constraint {
                    Constraint::MinItems(least) if count < *least => {
                        let why = format!("should have at least {least} items");
                        self.invalid(&Value::from(count), &why);
                    }
                    Constraint::MaxItems(most) if count > *most => self.too_many(count, *most),
                    _ => {}
                }
            }
            (constraint, Value::Object(fields)) => {
                let count = fields.len() as u64;
                match constraint {
                    Constraint::MinProperties(least) if count < *least => {
                        let why = format!("should have at least {least} properties");
                        self.invalid(&Value::from(count), &why);
                    }
                    Constraint::MaxProperties(most) if count > *most => self.too_many(count, *most),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, constraint: &Constraint, text: &str, value: &Value) {
        match constraint {
            Constraint::MinLength(least) if (text.chars().count() as u64) < *least => {
                self.invalid(value, &format!("should be at least {least} chars long"));
            }
            Constraint::MaxLength(most) if text.chars().count() as u64 > *most => {
                let message = format!("Too long: may not be more than {most} bytes");
                let cause = Cause::new(self.at(), super::Reason::TooLong, message);
                self.push(cause);
            }
            Constraint::Pattern { source, regex } if !regex.is_match(text) => {
                self.invalid(value, &format!("should match '{source}'"));
            }
            _ => {}
        }
    }

    fn too_many(&mut self, count: u64, most: u64) {
        let message = format!("Too many: {count}: must have at most {most} items");
        let cause = Cause::new(self.at(), super::Reason::TooMany, message);
        self.push(cause);
    }

    fn list(&mut self, node: &Node, elements: &[Value], old: Option<&Value>) {
        let mut seen = std::collections::BTreeSet::new();
        for (index, element) in elements.iter().enumerate() {
            self.path.push(Segment::Index(index));
            if let Some(items) = &node.items {
                self.value(items, element, counterpart(&node.list, element, old));
            }
            if let Some(identity) = identity(node, element)
                && !seen.insert(identity.to_string())
            {
                self.push(Cause::duplicate(self.at(), &identity));
            }
            self.path.pop();
        }
    }

    fn object(&mut self, node: &Node, object: &Map<String, Value>, old: Option<&Value>) {
        let at_root = self.path.is_empty();
        let whole = OBJECT_FIELDS.iter().take(2).filter(|_| node.embedded);
        let required = node
            .required
            .iter()
            .map(|name| &**name)
            .chain(whole.copied());
        for name in required {
            if !object.contains_key(name) {
                let path = self.at().key(name);
                self.push(Cause::required(path, ""));
            }
        }
        for (name, value) in object {
            if (node.embedded || at_root) && OBJECT_FIELDS.contains(&name.as_str()) {
                continue;
            }
            if let Some(inner) = node.field(name) {
                let old = old.and_then(|old| old.get(name));
                self.field(name, inner, value, old);
            }
        }
    }

    /// `allOf`, `anyOf`, `oneOf` and `not`, whose parts check values and describe no fields.
    fn combinations(&mut self, node: &Node, value: &Value) {
        for part in &node.all_of {
            let causes = self.of_part(part, value);
            causes.into_iter().for_each(|cause| self.push(cause));
        }
        if !node.any_of.is_empty() {
            self.alternatives(&node.any_of, value, false);
        }
        if !node.one_of.is_empty() {
            self.alternatives(&node.one_of, value, true);
        }
        if let Some(part) = &node.not
            && self.of_part(part, value).is_empty()
        {
            let path = self.at();
            let why = format!("{:?} must not validate the schema (not)", subject(&path));
            self.push(Cause::invalid(path, &Value::from(""), &why));
        }
    }

    /// `anyOf`, or with `only` `oneOf`. If none fits, the causes of the part that comes nearest follow.
    fn alternatives(&mut self, parts: &[Node], value: &Value, only: bool) {
        let causes: Vec<Vec<Cause>> = parts.iter().map(|part| self.of_part(part, value)).collect();
        let valid = causes.iter().filter(|causes| causes.is_empty()).count();
        let path = self.at();
        let subject = subject(&path);
        let why = match (only, valid) {
            (_, 1) | (false, 2..) => return,
            (true, 0) => format!(
                "{subject:?} must validate one and only one schema (oneOf). Found none valid"
            ),
            (true, valid) => format!(
                "{subject:?} must validate one and only one schema (oneOf). Found {valid} valid alternatives"
            ),
            (false, _) => format!("{subject:?} must validate at least one schema (anyOf)"),
        };
        self.push(Cause::invalid(path, &Value::from(""), &why));
        if valid == 0 {
            let nearest = causes.into_iter().min_by_key(Vec::len).unwrap_or_default();
            nearest.into_iter().for_each(|cause| self.push(cause));
        }
    }

    fn of_part(&self, part: &Node, value: &Value) -> Vec<Cause> {
        let mut checker = Checker {
            path: self.path.clone(),
            causes: Vec::new(),
        };
        checker.value(part, value, None);
        checker.causes
    }
}

/// The field that a sentence is about.
fn subject(path: &FieldPath) -> String {
    if path.0.is_empty() {
        "<root>".to_owned()
    } else {
        path.to_string()
    }
}

fn is_whole(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

/// Equal as JSON: 1 is 1.0.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64()
        }
        (one, other) => one == other,
    }
}

/// Why a number breaks a bound.
fn number_violation(constraint: &Constraint, number: &Number) -> Option<String> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match constraint {
        Constraint::Minimum { bound, exclusive } => {
            let order = compare(number, bound);
            let broken = order == Less || (*exclusive && order == Equal);
            let or_equal = if *exclusive { "" } else { " or equal to" };
            broken.then(|| format!("should be greater than{or_equal} {bound}"))
        }
        Constraint::Maximum { bound, exclusive } => {
            let order = compare(number, bound);
            let broken = order == Greater || (*exclusive && order == Equal);
            let or_equal = if *exclusive { "" } else { " or equal to" };
            broken.then(|| format!("should be less than{or_equal} {bound}"))
        }
        Constraint::MultipleOf(step) => {
            let broken = match (number.as_i64(), step.as_i64()) {
                (Some(number), Some(step)) if step != 0 => number.checked_rem(step) != Some(0),
                _ => {
                    let (number, step) = (number.as_f64()?, step.as_f64()?);
                    (number / step).fract() != 0.0
                }
            };
            broken.then(|| format!("should be a multiple of {step}"))
        }
        _ => None,
    }
}

fn compare(one: &Number, other: &Number) -> std::cmp::Ordering {
    if let (Some(one), Some(other)) = (one.as_i64(), other.as_i64()) {
        return one.cmp(&other);
    }
    let (one, other) = (one.as_f64(), other.as_f64());
    one.partial_cmp(&other).unwrap_or(std::cmp::Ordering::Equal)
}

/// What tells an element of a set or map from the others; none where they may be the same.
fn identity(node: &Node, element: &Value) -> Option<Value> {
    match &node.list {
        ListType::Atomic => None,
        ListType::Set => Some(element.clone()),
        ListType::Map(keys) => {
            let of_key = |key: &std::sync::Arc<str>| {
                let value = element.get(&**key)?;
                Some((key.to_string(), value.clone()))
            };
            Some(Value::Object(keys.iter().filter_map(of_key).collect()))
        }
    }
}

/// The stored element that has become `element`; only elements of maps can be told from each other.
pub(super) fn counterpart<'v>(
    list: &ListType,
    element: &Value,
    old: Option<&'v Value>,
) -> Option<&'v Value> {
    let ListType::Map(keys) = list else {
        return None;
    };
    let same = |other: &&Value| {
        keys.iter()
            .all(|key| other.get(&**key) == element.get(&**key))
    };
    old?.as_array()?.iter().find(same)
}
