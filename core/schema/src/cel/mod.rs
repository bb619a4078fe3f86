//! CEL rules of schemas, `x-kubernetes-validations`.
//!
//! ```text
//! rule text --program::compile--> Program       parsed once, names checked, loops metered
//! value     --convert----------> self, oldSelf  by schema: format, numbers, names of fields
//! ```
//!
//! Expressions are evaluated by `kube-cel`. What it has no bound for is bounded here: the length and depth of an expression
//! when it is compiled, and the cost of all rules of one object when they run ([`functions::COST_LIMIT`]).

mod convert;
mod functions;
mod program;
mod rewrite;

use std::cell::OnceCell;

use serde_json::Value;

use self::functions::{Environment, Failure};
use self::program::Program;
use self::rewrite::Scope;
use super::cause::{Cause, Reason, shown};
use super::check::counterpart;
use super::node::{Node, Rest};
use crate::{FieldPath, Segment};

/// How many rules of one object are told as failed.
const MOST_CAUSES: usize = 100;

/// Reasons that a rule may give.
const REASONS: [Reason; 4] = [
    Reason::Invalid,
    Reason::Required,
    Reason::Forbidden,
    Reason::Duplicate,
];

/// One compiled rule.
#[derive(Debug)]
pub(super) struct Rule {
    source: String,
    program: Program,
    message: Option<String>,
    message_program: Option<Program>,
    reason: Reason,
    /// `fieldPath`, relative to the value.
    field: FieldPath,
    /// `optionalOldSelf`: the rule also holds for new values, and `oldSelf` is an optional.
    optional_old: bool,
}

/// Whether a text is an expression, whatever it names.
///
/// # Errors
/// Why it is none, as part of a sentence.
pub(super) fn check_syntax(text: &str) -> Result<(), String> {
    program::parse(text).map(drop)
}

/// Compiles the rules of a schema that is compiled otherwise. `path` is that of the schema.
pub(super) fn compile(
    rules: Option<&Value>,
    node: &Node,
    path: &FieldPath,
    causes: &mut Vec<Cause>,
) -> Vec<Rule> {
    let whole = path.0.is_empty();
    let path = path.key("x-kubernetes-validations");
    let rules = rules.and_then(Value::as_array).into_iter().flatten();
    let compiled = rules.enumerate().filter_map(|(index, rule)| {
        match self::rule(rule, node, &path.index(index), whole) {
            Ok(rule) => Some(rule),
            Err(cause) => {
                causes.push(*cause);
                None
            }
        }
    });
    compiled.collect()
}

fn rule(rule: &Value, node: &Node, path: &FieldPath, whole: bool) -> Result<Rule, Box<Cause>> {
    let text = |name: &str| rule[name].as_str().filter(|text| !text.is_empty());
    let invalid =
        |name: &str, why: &str| Box::new(Cause::invalid(path.key(name), &rule[name], why));
    let Some(source) = text("rule").filter(|text| !text.trim().is_empty()) else {
        return Err(Box::new(Cause::required(
            path.key("rule"),
            "rule is not specified",
        )));
    };
    let optional_old = rule["optionalOldSelf"].as_bool() == Some(true);
    let scope = Scope {
        node,
        whole: whole || node.embedded,
        optional_old,
    };
    let parse = |name: &str, source: &str| {
        program::compile(source, scope)
            .map_err(|why| invalid(name, &format!("compilation failed: {why}")))
    };
    let program = parse("rule", source)?;
    if optional_old && !program.uses_old() {
        let why = "may not be set if oldSelf is not used in rule";
        return Err(invalid("optionalOldSelf", why));
    }
    let message_program = match text("messageExpression") {
        Some(source) => Some(parse("messageExpression", source)?),
        None => None,
    };
    let reason = match text("reason") {
        None => Reason::Invalid,
        Some(name) => {
            let known = REASONS.into_iter().find(|reason| reason.name() == name);
            known.ok_or_else(|| {
                let known = REASONS.map(|reason| Value::from(reason.name()));
                Box::new(Cause::unsupported(
                    path.key("reason"),
                    &rule["reason"],
                    &known,
                ))
            })?
        }
    };
    let field = field_path(text("fieldPath").unwrap_or_default());
    let field = field.filter(|field| is_field(node, field));
    let field = field.ok_or_else(|| {
        invalid(
            "fieldPath",
            "must be a path of fields below, such as .spec.name or ['a-b'], that the schema has",
        )
    })?;
    Ok(Rule {
        source: source.trim().to_owned(),
        program,
        message: text("message").map(str::to_owned),
        message_program,
        reason,
        field,
        optional_old,
    })
}

/// `.a.b['c-d']`.
fn field_path(text: &str) -> Option<FieldPath> {
    let mut path = FieldPath::root();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = if let Some(rest) = rest.strip_prefix("['") {
            rest.split_once("']")?
        } else {
            let rest = rest.strip_prefix('.')?;
            rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()))
        };
        if name.is_empty() {
            return None;
        }
        path = path.key(name);
        rest = after;
    }
    Some(path)
}

fn is_field(node: &Node, path: &FieldPath) -> bool {
    let mut names = path.0.iter();
    names
        .try_fold(node, |node, segment| match segment {
            Segment::Key(name) => node.field(name),
            Segment::Index(_) => None,
        })
        .is_some()
}

/// The rules that an object breaks. Values in which something else is wrong at one of the paths `broken` are left out.
pub(super) fn check(
    root: &Node,
    object: &Value,
    old: Option<&Value>,
    broken: &[FieldPath],
) -> Vec<Cause> {
    if !root.has_rules() {
        return Vec::new();
    }
    let mut checker = Checker {
        environment: OnceCell::new(),
        broken,
        path: Vec::new(),
        causes: Vec::new(),
        exhausted: false,
    };
    checker.value(root, object, old, true);
    checker.causes
}

struct Checker<'b> {
    environment: OnceCell<Environment>,
    broken: &'b [FieldPath],
    path: Vec<Segment>,
    causes: Vec<Cause>,
    /// No rule is evaluated any more.
    exhausted: bool,
}

impl Checker<'_> {
    /// `whole`: the value is an object with metadata.
    fn value(&mut self, node: &Node, value: &Value, old: Option<&Value>, whole: bool) {
        if !node.has_rules() || self.exhausted || (value.is_null() && node.nullable) {
            return;
        }
        self.rules(node, value, old, whole);
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    let Some(inner) = node.field(name) else {
                        continue;
                    };
                    let old = old.and_then(|old| old.get(name));
                    self.path.push(Segment::Key(name.as_str().into()));
                    self.value(inner, value, old, inner.embedded);
                    self.path.pop();
                }
            }
            Value::Array(elements) => {
                let Some(items) = &node.items else { return };
                for (index, element) in elements.iter().enumerate() {
                    let old = counterpart(&node.list, element, old);
                    self.path.push(Segment::Index(index));
                    self.value(items, element, old, items.embedded);
                    self.path.pop();
                }
            }
            _ => {}
        }
    }

    fn rules(&mut self, node: &Node, value: &Value, old: Option<&Value>, whole: bool) {
        let applies = |rule: &&Rule| match (old, rule.program.uses_old()) {
            (None, true) => rule.optional_old,
            // Unchanged values may break rules that did not exist when they were stored.
            (Some(old), false) => old != value,
            _ => true,
        };
        let mut rules = node.rules.iter().filter(applies).peekable();
        let is_broken = |broken: &FieldPath| broken.0.starts_with(&self.path);
        if rules.peek().is_none() || self.broken.iter().any(is_broken) {
            return;
        }
        let environment = self.environment.get_or_init(Environment::new);
        let convert = |value| convert::value(Some(node), value, whole);
        let (own, old) = (convert(value), old.map(convert));
        let mut causes = Vec::new();
        for rule in rules {
            let bindings = functions::Bindings {
                own: &own,
                old: old.as_ref(),
                optional_old: rule.optional_old,
            };
            let path = FieldPath(self.path.clone());
            match environment.is_true(&rule.program, &bindings) {
                Ok(true) => {}
                Ok(false) => {
                    let message = rule.message_for(environment, &bindings);
                    causes.push(rule.cause(path, value, &message));
                }
                Err(Failure::Cost) => {
                    let why = "the validation rules of this object cost too much to evaluate, no further rules were run";
                    causes.push(Cause::invalid(path, value, why));
                    self.exhausted = true;
                    break;
                }
                Err(Failure::Error(why)) => {
                    let about = rule.message.as_deref().unwrap_or(&rule.source);
                    let why = format!("{why} evaluating rule: {about}");
                    causes.push(Cause::invalid(path, value, &why));
                }
            }
        }
        let room = MOST_CAUSES.saturating_sub(self.causes.len());
        self.causes.extend(causes.into_iter().take(room));
    }
}

impl Rule {
    /// What is wrong with a value at a path for which the rule does not hold.
    fn cause(&self, mut path: FieldPath, value: &Value, message: &str) -> Cause {
        path.0.extend(self.field.0.iter().cloned());
        match self.reason {
            Reason::Required => Cause::required(path, message),
            Reason::Forbidden => Cause::forbidden(path, message),
            Reason::Duplicate => {
                let message = format!("Duplicate value: {}", shown(value));
                Cause::new(path, Reason::Duplicate, message)
            }
            _ => Cause::invalid(path, value, message),
        }
    }

    /// What to say when the rule is broken. A message that cannot be computed gives way to the fixed one.
    fn message_for(&self, environment: &Environment, bindings: &functions::Bindings<'_>) -> String {
        let computed = self.message_program.as_ref().and_then(|program| {
            let text = environment.text(program, bindings)?;
            let text = text.trim();
            let is_good = !text.is_empty() && !text.contains('\n') && text.len() <= 5 << 10;
            is_good.then(|| text.to_owned())
        });
        let fixed = || self.message.clone();
        computed
            .or_else(fixed)
            .unwrap_or_else(|| format!("failed rule: {}", self.source))
    }
}

/// Whether a node has a schema for the elements or fields of its values.
fn is_map(node: &Node) -> bool {
    matches!(node.rest, Rest::Values(_) | Rest::Any)
}

#[cfg(test)]
mod tests;
