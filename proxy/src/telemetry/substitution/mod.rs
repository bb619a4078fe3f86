//! Texts with Envoy's command operators, compiled once: lines of the access log, and values of headers.

mod operator;
mod tls;

use std::time::SystemTime;

pub(crate) use operator::{Field, Operator};

use crate::record::Record;

/// A text whose operators are replaced by what a record says.
#[derive(Clone, Debug)]
pub struct Substitution(Vec<Piece>);

/// A part of a text.
#[derive(Clone, Debug)]
enum Piece {
    Literal(Vec<u8>),
    Operator(Operator),
}

// === impl Substitution ===

impl Substitution {
    /// Cuts a text at its operators; `%%` is a percent sign.
    ///
    /// # Errors
    /// With the operator that this proxy does not know, or what is wrong with it.
    pub fn compile(text: &str) -> Result<Self, String> {
        let mut pieces = vec![];
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some((before, tail)) = rest.split_once('%') {
            literal.extend_from_slice(before.as_bytes());
            if let Some(tail) = tail.strip_prefix('%') {
                literal.push(b'%');
                rest = tail;
                continue;
            }
            let (operator, tail) = Operator::parse(tail)?;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Operator(operator));
            rest = tail;
        }
        literal.extend_from_slice(rest.as_bytes());
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self(pieces))
    }

    /// The operator, if the text is one and nothing else.
    pub(crate) fn only_operator(&self) -> Option<&Operator> {
        match self.0.as_slice() {
            [Piece::Operator(operator)] => Some(operator),
            _ => None,
        }
    }

    /// Writes the text, with `absent` for operators that have no value or an empty one.
    pub fn write(&self, out: &mut Vec<u8>, record: &Record<'_>, now: SystemTime, absent: &[u8]) {
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text),
                Piece::Operator(operator) => match operator.value(record, now) {
                    Some(field) => field.write(out, absent),
                    None => out.extend_from_slice(absent),
                },
            }
        }
    }
}
