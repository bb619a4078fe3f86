//! The words of expressions.

use std::sync::Arc;

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(Arc<str>),
    Int(i64),
    Double(f64),
    Text(Arc<str>),
    /// An operator or a parenthesis.
    Sign(&'static str),
}

/// Longer ones first.
const SIGNS: [&str; 25] = [
    "||", "&&", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ".", ",", "?", ":", "+",
    "-", "*", "/", "%", "{", "}", "=",
];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = if matches!(first, '"' | '\'') {
            quoted(rest, first)?
        } else if first.is_ascii_digit() {
            number(rest)?
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            (Token::Name(name.into()), after)
        } else {
            let sign = SIGNS.iter().find_map(|sign| {
                let after = rest.strip_prefix(sign)?;
                Some((Token::Sign(sign), after))
            });
            sign.ok_or_else(|| format!("{first:?} is not expected"))?
        };
        found.push(token);
        rest = after.trim_start();
    }
    Ok(found)
}

fn quoted(text: &str, quote: char) -> Result<(Token, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => {
                let escaped = chars.next().map(|(_, char)| char);
                value.push(match escaped {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some(char @ ('\\' | '"' | '\'' | '`' | '?')) => char,
                    Some(char) => return Err(format!("the escape \\{char} is not known here")),
                    None => break,
                });
            }
            char if char == quote => {
                let after = text.get(at + 1..).unwrap_or_default();
                return Ok((Token::Text(value.into()), after));
            }
            char => value.push(char),
        }
    }
    Err(format!("the text at {text} does not end"))
}

fn number(text: &str) -> Result<(Token, &str), String> {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '.')
        .unwrap_or(text.len());
    let (digits, after) = text.split_at(end);
    let wrong = || format!("{digits} is not a number");
    if let Some(hex) = digits.strip_prefix("0x") {
        let value = i64::from_str_radix(hex, 16).map_err(|_| wrong())?;
        return Ok((Token::Int(value), after));
    }
    let whole = digits.strip_suffix('u').unwrap_or(digits);
    if whole.contains(['.', 'e', 'E']) {
        let value = whole.parse().map_err(|_| wrong())?;
        return Ok((Token::Double(value), after));
    }
    let value = whole.parse().map_err(|_| wrong())?;
    Ok((Token::Int(value), after))
}
