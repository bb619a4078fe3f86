//! Compiled string criteria and regular expressions with RE2's meaning.

use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

use crate::StringMatch;

/// Limit of a compiled expression in bytes. A hostile `(\w{1000}){1000}` is refused instead of filling memory.
const SIZE_LIMIT: usize = 1 << 20;

/// Why a regular expression is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid regular expression {pattern:?}: {reason}")]
pub struct InvalidRegex {
    /// The expression as configured.
    pub pattern: Arc<str>,
    /// What is wrong with it.
    pub reason: String,
}

/// Whether an expression would be accepted by a route table.
///
/// # Errors
/// Says what is wrong with the expression.
pub fn check_regex(pattern: &str) -> Result<(), InvalidRegex> {
    compile(pattern).map(drop)
}

/// A compiled [`StringMatch`].
#[derive(Clone, Debug)]
pub(super) enum Text {
    Exact(Arc<str>),
    Prefix(Arc<str>),
    Suffix(Arc<str>),
    Regex(Regex),
}

/// A compiled [`StringMatch`], for those who match other texts than requests have.
#[derive(Clone, Debug)]
pub struct StringMatcher(Text);

// === impl StringMatcher ===

impl StringMatcher {
    /// Compiles a criterion.
    ///
    /// # Errors
    /// When it is a regular expression that means nothing.
    pub fn new(spec: &StringMatch) -> Result<Self, InvalidRegex> {
        Text::new(spec).map(Self)
    }

    /// Whether a text fits.
    pub fn is_match(&self, value: &[u8]) -> bool {
        self.0.is_match(value)
    }

    /// The only text that fits, if there is just one.
    pub fn exact(&self) -> Option<&str> {
        match &self.0 {
            Text::Exact(text) => Some(text),
            Text::Prefix(_) | Text::Suffix(_) | Text::Regex(_) => None,
        }
    }
}

/// Compiles an expression that is searched for within a text.
///
/// RE2's `\d`, `\w`, `\s` and `\b` know ASCII only, so Unicode is turned off where the expression allows it. Expressions that need
/// Unicode (`\pL`, classes of other letters) are compiled with it.
pub(super) fn compile(pattern: &str) -> Result<Regex, InvalidRegex> {
    let build = |unicode| {
        RegexBuilder::new(pattern)
            .unicode(unicode)
            .size_limit(SIZE_LIMIT)
            .dfa_size_limit(SIZE_LIMIT)
            .build()
    };
    build(false)
        .or_else(|_| build(true))
        .map_err(|error| InvalidRegex {
            pattern: pattern.into(),
            reason: match error {
                regex::Error::CompiledTooBig(limit) => {
                    format!("it needs more than {limit} bytes when compiled")
                }
                // The library draws the expression over several lines; the last one says what is wrong.
                other => other
                    .to_string()
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .to_owned(),
            },
        })
}

/// Compiles an expression that must match a text as a whole.
pub(super) fn compile_full(pattern: &str) -> Result<Regex, InvalidRegex> {
    // Alone first: wrapped, `a)|(b` would become valid.
    compile(pattern)?;
    compile(&["\\A(?:", pattern, ")\\z"].concat()).map_err(|invalid| InvalidRegex {
        pattern: pattern.into(),
        ..invalid
    })
}

/// A whole expression as it was written.
pub(super) fn written(regex: &Regex) -> &str {
    let whole = regex.as_str();
    let inner = whole.strip_prefix("\\A(?:");
    inner
        .and_then(|inner| inner.strip_suffix(")\\z"))
        .unwrap_or(whole)
}

// === impl Text ===

impl Text {
    pub(super) fn new(spec: &StringMatch) -> Result<Self, InvalidRegex> {
        Ok(match spec {
            StringMatch::Exact(text) => Self::Exact(text.clone()),
            StringMatch::Prefix(text) => Self::Prefix(text.clone()),
            StringMatch::Suffix(text) => Self::Suffix(text.clone()),
            StringMatch::Regex(pattern) => Self::Regex(compile_full(pattern)?),
        })
    }

    pub(super) fn is_match(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => value == text.as_bytes(),
            Self::Prefix(text) => value.starts_with(text.as_bytes()),
            Self::Suffix(text) => value.ends_with(text.as_bytes()),
            Self::Regex(regex) => regex.is_match(value),
        }
    }

    /// In words, for explanations.
    pub(super) fn show(&self) -> String {
        match self {
            Self::Exact(text) => format!("exactly {text:?}"),
            Self::Prefix(text) => format!("the prefix {text:?}"),
            Self::Suffix(text) => format!("the suffix {text:?}"),
            Self::Regex(regex) => format!("a match of {:?}", written(regex)),
        }
    }
}
