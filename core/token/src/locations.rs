//! Where tokens are found in a request, and how they are taken out.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use mesh_ir::matching::{HeadEdits, RequestView};
use mesh_ir::policy::TokenLocation;

/// Header of cookies.
const COOKIE: &str = "cookie";

/// The tokens in a place. What is no text is a token that nobody can read.
pub(crate) fn tokens<R: RequestView>(location: &TokenLocation, request: &R) -> Vec<String> {
    let mut found = Vec::new();
    match location {
        TokenLocation::Header { name, prefix } => each_line(request, name, |line| {
            found.extend(behind(prefix, line).map(text));
        }),
        TokenLocation::Parameter(name) => {
            let pairs = pairs(request.query().unwrap_or_default(), b'&');
            let named = pairs.filter(|(key, _)| decoded(key) == name.as_bytes());
            found.extend(named.map(|(_, value)| text(&decoded(value))));
        }
        TokenLocation::Cookie(name) => each_line(request, COOKIE, |line| {
            let named = pairs(line, b';').filter(|(key, _)| key.trim_ascii() == name.as_bytes());
            found.extend(named.map(|(_, value)| text(unquoted(value.trim_ascii()))));
        }),
    }
    found
}

/// Takes the tokens of a place out.
pub(crate) fn take_out<R: RequestView>(
    location: &TokenLocation,
    request: &R,
    edits: &mut HeadEdits,
) {
    match location {
        TokenLocation::Header { name, .. } => edits.remove(name),
        TokenLocation::Parameter(name) => {
            let query = match &edits.query {
                Some(query) => query.clone(),
                None => request.query().map(<[u8]>::to_vec),
            };
            let query = query.unwrap_or_default();
            let rest = query.split(|byte| *byte == b'&').filter(|pair| {
                let (key, _) = pair_of(pair);
                decoded(key) != name.as_bytes()
            });
            let rest = rest.collect::<Vec<_>>().join(&b'&');
            edits.query = Some(Some(rest).filter(|rest| !rest.is_empty()));
        }
        TokenLocation::Cookie(name) => {
            let mut rest: Vec<Vec<u8>> = Vec::new();
            let mut keep = |line: &[u8]| {
                let kept = line.split(|byte| *byte == b';').filter(|pair| {
                    let (key, _) = pair_of(pair);
                    key.trim_ascii() != name.as_bytes()
                });
                rest.extend(kept.map(|pair| pair.trim_ascii().to_vec()));
            };
            let before = edits.set.iter().find(|(known, _)| **known == *COOKIE);
            match before {
                Some((_, line)) => keep(line),
                None => each_line(request, COOKIE, keep),
            }
            let cookie = Arc::from(COOKIE);
            if rest.is_empty() {
                edits.set.retain(|(known, _)| *known != cookie);
                edits.remove(&cookie);
            } else {
                edits.set(&cookie, rest.join(&b"; "[..]));
            }
        }
    }
}

fn each_line<R: RequestView>(request: &R, name: &str, mut visit: impl FnMut(&[u8])) {
    request.each_line(name, &mut |line| {
        visit(line);
        ControlFlow::Continue(())
    });
}

/// What stands behind a prefix; none without it. The name of a scheme is compared in any case (RFC 9110, 11.1).
fn behind<'l>(prefix: &str, line: &'l [u8]) -> Option<&'l [u8]> {
    let (head, rest) = line.split_at_checked(prefix.len())?;
    let same = if prefix.ends_with(' ') {
        head.eq_ignore_ascii_case(prefix.as_bytes())
    } else {
        head == prefix.as_bytes()
    };
    same.then_some(rest.trim_ascii())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn pairs(text: &[u8], separator: u8) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(move |byte| *byte == separator).map(pair_of)
}

fn pair_of(pair: &[u8]) -> (&[u8], &[u8]) {
    let equals = pair.iter().position(|byte| *byte == b'=');
    let split = equals.and_then(|at| Some((pair.get(..at)?, pair.get(at + 1..)?)));
    split.unwrap_or((pair, b""))
}

fn unquoted(value: &[u8]) -> &[u8] {
    let inside = value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    inside.unwrap_or(value)
}

/// A part of a query without percent-encoding.
fn decoded(part: &[u8]) -> Cow<'_, [u8]> {
    if !part.contains(&b'%') {
        return Cow::Borrowed(part);
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part;
    while let Some((first, more)) = rest.split_first() {
        let escaped = match more {
            [high, low, ..] if *first == b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                digit(*high).zip(digit(*low))
            }
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                bytes.extend(u8::try_from(high << 4 | low));
                rest = more.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    Cow::Owned(bytes)
}
