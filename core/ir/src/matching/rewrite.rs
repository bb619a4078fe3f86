//! Changes of the path.

use std::borrow::Cow;
use std::sync::Arc;

use regex::bytes::{Captures, Regex};

use super::text::{InvalidRegex, compile};
use crate::{PathMatch, PathRewrite};

/// A compiled [`PathRewrite`] together with what the route's matcher matches.
#[derive(Clone, Debug)]
pub struct Rewriter(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// Replaces so many bytes at the start (all if the path is shorter).
    Head {
        length: usize,
        with: Arc<str>,
    },
    Whole(Arc<str>),
    Regex {
        regex: Regex,
        template: Vec<Piece>,
    },
}

#[derive(Clone, Debug)]
enum Piece {
    Text(Box<str>),
    Group(usize),
}

// === impl Rewriter ===

impl Rewriter {
    /// Compiles a rewrite for a route with this matcher.
    ///
    /// # Errors
    /// When the pattern or the substitution of a [`PathRewrite::Regex`] is invalid.
    pub fn new(rewrite: &PathRewrite, matcher: &PathMatch) -> Result<Self, InvalidRegex> {
        Ok(Self(match rewrite {
            PathRewrite::Full(path) => Kind::Whole(path.clone()),
            PathRewrite::Prefix(with) => match matcher {
                PathMatch::Prefix(prefix) | PathMatch::SegmentPrefix(prefix) => Kind::Head {
                    length: prefix.len(),
                    with: with.clone(),
                },
                PathMatch::Exact(_) | PathMatch::Regex(_) => Kind::Whole(with.clone()),
            },
            PathRewrite::Regex {
                pattern,
                substitution,
            } => {
                let regex = compile(pattern)?;
                let template =
                    parse(substitution, regex.captures_len()).map_err(|reason| InvalidRegex {
                        pattern: pattern.clone(),
                        reason,
                    })?;
                Kind::Regex { regex, template }
            }
        }))
    }

    /// The new path for a path without query. Borrowed where nothing needs to be joined.
    pub fn apply<'a>(&'a self, path: &'a [u8]) -> Cow<'a, [u8]> {
        match &self.0 {
            Kind::Whole(with) => Cow::Borrowed(with.as_bytes()),
            Kind::Head { length, with } => match path.get(*length..) {
                None | Some([]) => Cow::Borrowed(with.as_bytes()),
                Some(rest) => Cow::Owned([with.as_bytes(), rest].concat()),
            },
            Kind::Regex { regex, template } => {
                regex.replace_all(path, |groups: &Captures<'_>| expand(template, groups))
            }
        }
    }
}

fn expand(template: &[Piece], groups: &Captures<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in template {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Group(index) => {
                out.extend_from_slice(groups.get(*index).map_or(b"", |group| group.as_bytes()));
            }
        }
    }
    out
}

/// Splits RE2's replacement syntax: `\0` to `\9` are groups, `\\` is a backslash.
fn parse(substitution: &str, groups: usize) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut chars = substitution.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            text.push(char);
            continue;
        }
        match chars.next().map(|next| (next, next.to_digit(10))) {
            Some(('\\', _)) => text.push('\\'),
            Some((_, Some(digit))) => {
                let index = digit as usize;
                if index >= groups {
                    return Err(format!(
                        "the substitution {substitution:?} refers to group {index}, but there are only {}",
                        groups.saturating_sub(1)
                    ));
                }
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text).into()));
                }
                pieces.push(Piece::Group(index));
            }
            _ => {
                return Err(format!(
                    "the substitution {substitution:?} has a backslash that is followed by neither a digit nor a backslash"
                ));
            }
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text.into()));
    }
    Ok(pieces)
}
