//! The values of expressions.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{Attributes, Function, Literal, Node, Operator};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// Several.
    List(Vec<Value<'a>>),
}

/// None is an error.
pub(super) fn evaluate<'a>(node: &'a Node, attributes: &'a impl Attributes) -> Option<Value<'a>> {
    let value = |node: &'a Node| evaluate(node, attributes);
    match node {
        Node::Literal(literal) => Some(match literal {
            Literal::Null => Value::Null,
            Literal::Bool(value) => Value::Bool(*value),
            Literal::Int(value) => Value::Int(*value),
            Literal::Double(value) => Value::Double(*value),
            Literal::Text(text) => Value::Text(Cow::Borrowed(text)),
        }),
        Node::List(nodes) => nodes
            .iter()
            .map(value)
            .collect::<Option<_>>()
            .map(Value::List),
        Node::Attribute(attribute) => attributes.attribute(*attribute),
        Node::Header(map, name) => {
            let name = value(name)?.into_text()?;
            attributes.header(*map, &name).map(Value::Text)
        }
        Node::Headers(_) => None,
        Node::Has(node) => Some(Value::Bool(
            matches!(**node, Node::Headers(_)) || value(node).is_some(),
        )),
        Node::Not(node) => Some(Value::Bool(!value(node)?.bool()?)),
        Node::Negate(node) => match value(node)? {
            Value::Int(value) => value.checked_neg().map(Value::Int),
            Value::Double(value) => Some(Value::Double(-value)),
            _ => None,
        },
        Node::And(left, right) => decided(value(left), || value(right), false),
        Node::Or(left, right) => decided(value(left), || value(right), true),
        Node::If(parts) => {
            let [condition, then, otherwise] = &**parts;
            if value(condition)?.bool()? {
                value(then)
            } else {
                value(otherwise)
            }
        }
        Node::Binary(operator, left, right) => {
            if *operator == Operator::In
                && let Node::Headers(map) = **right
            {
                let name = value(left)?.into_text()?.to_ascii_lowercase();
                return Some(Value::Bool(attributes.header(map, &name).is_some()));
            }
            binary(*operator, value(left)?, value(right)?)
        }
        Node::Call(function, arguments) => {
            let arguments: Option<Vec<Value<'a>>> = arguments.iter().map(value).collect();
            call(*function, arguments?)
        }
        Node::Matches(text, pattern) => {
            let Value::Text(text) = value(text)? else {
                return None;
            };
            Some(Value::Bool(pattern.is_match(&text)))
        }
    }
}

/// One side is enough where it says `decides`, even if the other one cannot be computed.
fn decided<'a>(
    left: Option<Value<'a>>,
    right: impl FnOnce() -> Option<Value<'a>>,
    decides: bool,
) -> Option<Value<'a>> {
    let left = left.and_then(|value| value.bool());
    if left == Some(decides) {
        return Some(Value::Bool(decides));
    }
    let right = right().and_then(|value| value.bool());
    if right == Some(decides) {
        return Some(Value::Bool(decides));
    }
    left.and(right).map(Value::Bool)
}

fn binary<'a>(operator: Operator, left: Value<'a>, right: Value<'a>) -> Option<Value<'a>> {
    use Operator::{
        Add, AtLeast, AtMost, Divide, Equal, Greater, In, Less, Multiply, Remainder, Subtract,
        Unequal,
    };
    let ordered =
        |wanted: fn(Ordering) -> bool| left.order(&right).map(|order| Value::Bool(wanted(order)));
    match operator {
        Equal => Some(Value::Bool(left.equals(&right))),
        Unequal => Some(Value::Bool(!left.equals(&right))),
        Less => ordered(Ordering::is_lt),
        AtMost => ordered(Ordering::is_le),
        Greater => ordered(Ordering::is_gt),
        AtLeast => ordered(Ordering::is_ge),
        In => {
            let Value::List(items) = right else {
                return None;
            };
            Some(Value::Bool(items.iter().any(|item| item.equals(&left))))
        }
        Add | Subtract | Multiply | Divide | Remainder => compute(operator, left, right),
    }
}

fn compute<'a>(operator: Operator, left: Value<'a>, right: Value<'a>) -> Option<Value<'a>> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => match operator {
            Operator::Add => left.checked_add(right),
            Operator::Subtract => left.checked_sub(right),
            Operator::Multiply => left.checked_mul(right),
            Operator::Divide => left.checked_div(right),
            _ => left.checked_rem(right),
        }
        .map(Value::Int),
        (Value::Double(left), Value::Double(right)) => match operator {
            Operator::Add => Some(left + right),
            Operator::Subtract => Some(left - right),
            Operator::Multiply => Some(left * right),
            Operator::Divide => Some(left / right),
            _ => None,
        }
        .map(Value::Double),
        (Value::Text(left), Value::Text(right)) if operator == Operator::Add => {
            Some(Value::Text(Cow::Owned(left.into_owned() + &right)))
        }
        _ => None,
    }
}

fn call(function: Function, arguments: Vec<Value<'_>>) -> Option<Value<'_>> {
    let mut arguments = arguments.into_iter();
    let (first, second) = (arguments.next()?, arguments.next());
    let about = |test: fn(&str, &str) -> bool| match (&first, &second) {
        (Value::Text(text), Some(Value::Text(part))) => Some(Value::Bool(test(text, part))),
        _ => None,
    };
    match function {
        Function::StartsWith => about(|text, part| text.starts_with(part)),
        Function::EndsWith => about(|text, part| text.ends_with(part)),
        Function::Contains => about(|text, part| text.contains(part)),
        Function::Size => {
            let size = match &first {
                Value::Text(text) => text.chars().count(),
                Value::List(items) => items.len(),
                _ => return None,
            };
            i64::try_from(size).ok().map(Value::Int)
        }
        Function::Text => first
            .into_text()
            .map(|text| Value::Text(Cow::Owned(text.into_owned()))),
        Function::Int => match first {
            Value::Int(value) => Some(Value::Int(value)),
            Value::Double(value) if value.abs() < 9e18 => Some(Value::Int(value as i64)),
            Value::Text(text) => text.parse().ok().map(Value::Int),
            _ => None,
        },
    }
}

// === impl Value ===

impl<'a> Value<'a> {
    fn bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// As a text; none for lists and nothing.
    pub fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bool(value) => Some(Cow::Borrowed(if value { "true" } else { "false" })),
            Self::Int(value) => Some(Cow::Owned(value.to_string())),
            Self::Double(value) => Some(Cow::Owned(value.to_string())),
            Self::Null | Self::List(_) => None,
        }
    }

    /// Numbers are compared as numbers; values of different types are unequal.
    fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int(_) | Self::Double(_), Self::Int(_) | Self::Double(_)) => {
                self.order(other) == Some(Ordering::Equal)
            }
            _ => self == other,
        }
    }

    fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(right)),
            (Self::Double(left), Self::Double(right)) => left.partial_cmp(right),
            (Self::Int(left), Self::Double(right)) => (*left as f64).partial_cmp(right),
            (Self::Double(left), Self::Int(right)) => left.partial_cmp(&(*right as f64)),
            (Self::Text(left), Self::Text(right)) => Some(left.cmp(right)),
            (Self::Bool(left), Self::Bool(right)) => Some(left.cmp(right)),
            _ => None,
        }
    }
}
