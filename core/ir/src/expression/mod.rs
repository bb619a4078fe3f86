//! Expressions over what is known of a request: the part of CEL that filters of access logs and labels of metrics are written in.
//!
//! ```text
//! "response.code >= 400 || !has(request.headers['x-user'])" --Expression::parse--> Expression --evaluate(attributes)--> Value
//! ```
//!
//! Known are literals, lists, the operators `? : || && == != < <= > >= in + - * / % !`, `has(...)`, the methods `startsWith`, `endsWith`,
//! `contains`, `matches` and `size`, the functions `size`, `string` and `int`, and Envoy's attributes as far as [`Attribute`] has them. Anything
//! else is refused with its name. What cannot be computed (a header that is not there, a comparison of different types) is an error, which
//! `&&` and `||` pass over where the other side decides, as in CEL.

mod attribute;
mod evaluate;
mod parse;
mod token;

use std::borrow::Cow;
use std::sync::Arc;

pub use attribute::{Attribute, Attributes, HeaderMap};
pub use evaluate::Value;

/// Deepest nesting of an expression.
const MAX_DEPTH: usize = 64;

/// Longest expression, in words.
const MAX_TOKENS: usize = 512;

/// An expression that can be evaluated.
#[derive(Clone, Debug)]
pub struct Expression(Node);

#[derive(Clone, Debug)]
enum Node {
    Literal(Literal),
    List(Vec<Node>),
    Attribute(Attribute),
    /// A header, by its lower-case name.
    Header(HeaderMap, Box<Node>),
    Headers(HeaderMap),
    /// Whether there is such an attribute.
    Has(Box<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    If(Box<[Node; 3]>),
    Binary(Operator, Box<Node>, Box<Node>),
    Call(Function, Vec<Node>),
    /// A pattern that is known beforehand.
    Matches(Box<Node>, regex::Regex),
}

#[derive(Clone, Debug)]
enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Arc<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    StartsWith,
    EndsWith,
    Contains,
    Size,
    Text,
    Int,
}

// === impl Expression ===

impl Expression {
    /// Understands an expression.
    ///
    /// # Errors
    /// With what is wrong, or not known here.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::parse(text).map(Self)
    }

    /// Its value; none if it cannot be computed.
    pub fn evaluate<'a>(&'a self, attributes: &'a impl Attributes) -> Option<Value<'a>> {
        evaluate::evaluate(&self.0, attributes)
    }

    /// Whether it holds. What cannot be computed, or is no boolean, does not.
    pub fn holds(&self, attributes: &impl Attributes) -> bool {
        matches!(self.evaluate(attributes), Some(Value::Bool(true)))
    }

    /// Its value as a text; none if it cannot be computed.
    pub fn text<'a>(&'a self, attributes: &'a impl Attributes) -> Option<Cow<'a, str>> {
        self.evaluate(attributes)?.into_text()
    }
}

#[cfg(test)]
mod tests;
