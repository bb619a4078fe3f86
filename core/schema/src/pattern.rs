//! Regular expressions with RE2's syntax, which Kubernetes, Istio and Envoy use, on the `regex` crate.
//!
//! Both match in linear time and share most of the syntax. What differs is written anew: the classes `\d`, `\w`, `\s` and
//! `\b` mean ASCII in RE2, `[`, `&&`, `--` and `~~` have no meaning inside brackets, `\Q...\E` quotes, and a brace that begins
//! no repetition stands for itself.

use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

/// Memory that a compiled expression may take, in bytes.
const SIZE_LIMIT: usize = 1 << 20;

/// Why an expression was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It would take more memory than is allowed.
    #[error("the expression is too large")]
    TooLarge,
    /// It is no regular expression, or none that RE2 knows.
    #[error("{0:?} is not a regular expression: {1}")]
    Syntax(String, String),
}

/// Compiles an expression that matches anywhere in a text.
///
/// # Errors
/// If it is no RE2 expression, or too large.
pub fn compile(pattern: &str) -> Result<Regex, PatternError> {
    RegexBuilder::new(&translate(pattern))
        .size_limit(SIZE_LIMIT)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
            error => {
                let text = error.to_string();
                let reason = text
                    .lines()
                    .rev()
                    .find_map(|line| line.strip_prefix("error: "));
                let reason = reason.unwrap_or("syntax error").to_owned();
                PatternError::Syntax(pattern.to_owned(), reason)
            }
        })
}

/// RE2's syntax in that of the `regex` crate.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern.chars().peekable();
    while let Some(letter) = rest.next() {
        match letter {
            '\\' => escape(&mut rest, &mut out, false),
            '[' => class(&mut rest, &mut out),
            '{' if !begins_repetition(rest.clone()) => out.push_str("\\{"),
            letter => out.push(letter),
        }
    }
    out
}

/// True for what follows `{` in `{2}`, `{2,}` and `{2,3}`.
fn begins_repetition(rest: Peekable<Chars<'_>>) -> bool {
    let inside: String = rest.take_while(|letter| *letter != '}').collect();
    let (least, most) = inside.split_once(',').unwrap_or((&inside, ""));
    let digits = |text: &str| text.chars().all(|letter| letter.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

fn escape(rest: &mut Peekable<Chars<'_>>, out: &mut String, in_class: bool) {
    match rest.next() {
        Some('d') => out.push_str("[0-9]"),
        Some('D') => out.push_str("[^0-9]"),
        Some('w') => out.push_str("[0-9A-Za-z_]"),
        Some('W') => out.push_str("[^0-9A-Za-z_]"),
        Some('s') => out.push_str("[\\t\\n\\x0C\\r ]"),
        Some('S') => out.push_str("[^\\t\\n\\x0C\\r ]"),
        Some('b') if !in_class => out.push_str("(?-u:\\b)"),
        Some('B') if !in_class => out.push_str("(?-u:\\B)"),
        Some('Q') => {
            let mut quoted = String::new();
            while let Some(letter) = rest.next() {
                if letter == '\\' && rest.next_if_eq(&'E').is_some() {
                    break;
                }
                quoted.push(letter);
            }
            out.push_str(&regex::escape(&quoted));
        }
        // A word boundary in the crate.
        Some(letter @ ('<' | '>')) => out.push(letter),
        Some(letter) => {
            out.push('\\');
            out.push(letter);
            if matches!(letter, 'p' | 'P' | 'x') && rest.peek() == Some(&'{') {
                for letter in rest.by_ref() {
                    out.push(letter);
                    if letter == '}' {
                        break;
                    }
                }
            }
        }
        None => out.push('\\'),
    }
}

/// The rest of a class in brackets.
fn class(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    if rest.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    if rest.next_if_eq(&']').is_some() {
        out.push_str("\\]");
    }
    while let Some(letter) = rest.next() {
        match letter {
            ']' => {
                out.push(']');
                return;
            }
            '\\' => escape(rest, out, true),
            '[' if rest.peek() == Some(&':') => {
                out.push('[');
                for letter in rest.by_ref() {
                    out.push(letter);
                    if letter == ']' {
                        break;
                    }
                }
            }
            '[' => out.push_str("\\["),
            // Twice in a row they are operators of the crate; a single `-` is a range in both.
            '&' | '~' => {
                out.push('\\');
                out.push(letter);
            }
            '-' if rest.peek() == Some(&'-') => out.push_str("\\-"),
            letter => out.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn matches(pattern: &str, text: &str) -> bool {
        compile(pattern).unwrap().is_match(text)
    }

    #[test]
    fn classes_are_those_of_ascii() {
        assert!(matches(r"^\d+$", "123") && !matches(r"^\d+$", "١٢٣"));
        assert!(matches(r"^[\w.]+$", "a_b.c") && !matches(r"^\w$", "é"));
        assert!(matches(r"\bfoo\b", "a foo b"));
    }

    #[test]
    fn what_re2_takes_literally_is_literal() {
        assert!(matches(r"^[[]$", "["));
        assert!(matches(r"^[a&&b]+$", "a&b"));
        assert!(matches(r"^a{$", "a{") && matches(r"^a{1,2}$", "aa"));
        assert!(matches(r"^a{x}$", "a{x}"));
        assert!(matches(r"^\Qa.b\E$", "a.b") && !matches(r"^\Qa.b\E$", "axb"));
        assert!(matches(r"^[]a]$", "]"));
        assert!(matches(r"^[[:alpha:]]$", "x"));
        assert!(matches(r"^\<a\>$", "<a>"));
        assert!(matches(r"^\p{Greek}\x{61}$", "αa"));
    }

    #[test]
    fn what_re2_does_not_know_is_refused() {
        for pattern in [
            "(",
            "[",
            "a**b(",
            r"(?=a)",
            r"\1",
            "(?<!a)b",
            r"a{2000}{2000}",
        ] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
        let error = compile("a(").unwrap_err().to_string();
        assert!(
            error.starts_with("\"a(\" is not a regular expression: "),
            "{error}"
        );
    }
}
