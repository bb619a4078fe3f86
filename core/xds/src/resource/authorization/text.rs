//! Texts of rules as Envoy's matchers. What Envoy has no word for is a regular expression of a fixed form, which is read back.

use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};
use mesh_ir::policy::{StringPattern, TextAttribute};

use super::super::border::{At, InvalidResource};
use super::super::header_match;

/// There and not empty.
const NOT_EMPTY: &str = ".+";
/// What is special in expressions.
const SPECIAL: &str = r"\.+*?()|[]{}^$";

const SPIFFE: &str = "spiffe://";
/// Before the namespace of an identity.
const ANY_DOMAIN: &str = "spiffe://[^/]+/ns/";
const ANY_ACCOUNT: &str = "/sa/.+";
const ANY_NAMESPACE: &str = "/ns/.+";

/// An optional port, after a dot that may be there.
const ANY_PORT: &str = r"\.?(:[0-9]+)?";

pub(super) fn string(value: &StringPattern) -> StringMatcher {
    matcher(match value {
        StringPattern::Exact(text) => MatchPattern::Exact(text.to_string()),
        StringPattern::Prefix(text) => MatchPattern::Prefix(text.to_string()),
        StringPattern::Suffix(text) => MatchPattern::Suffix(text.to_string()),
        StringPattern::NotEmpty => expression(NOT_EMPTY.to_owned()),
    })
}

pub(super) fn from_string(
    proto: StringMatcher,
    at: &At<'_>,
) -> Result<StringPattern, InvalidResource> {
    open!(at, proto => StringMatcher {
        keep { match_pattern }
        refuse { ignore_case }
        ignore {}
    });
    match match_pattern {
        Some(MatchPattern::Exact(text)) => Ok(StringPattern::Exact(text.into())),
        Some(MatchPattern::Prefix(text)) => Ok(StringPattern::Prefix(text.into())),
        Some(MatchPattern::Suffix(text)) => Ok(StringPattern::Suffix(text.into())),
        Some(MatchPattern::SafeRegex(regex)) if regex.regex == NOT_EMPTY => {
            Ok(StringPattern::NotEmpty)
        }
        Some(MatchPattern::SafeRegex(_)) => Err(at.field("safe_regex").unsupported()),
        Some(MatchPattern::Contains(_)) => Err(at.field("contains").unsupported()),
        Some(MatchPattern::Custom(_)) => Err(at.field("custom").unsupported()),
        None => Err(at.missing()),
    }
}

/// A matcher that holds where one of several values, joined with commas, is as the pattern says.
pub(super) fn one_of_joined(value: &StringPattern) -> StringMatcher {
    matcher(expression(match value {
        StringPattern::Exact(text) => ["(.*,)?", &quote(text), "(,.*)?"].concat(),
        StringPattern::Prefix(text) => ["(.*,)?", &quote(text), ".*"].concat(),
        StringPattern::Suffix(text) => [".*", &quote(text), "(,.*)?"].concat(),
        StringPattern::NotEmpty => NOT_EMPTY.to_owned(),
    }))
}

pub(super) fn from_one_of_joined(proto: &StringMatcher) -> Option<StringPattern> {
    let text = regex_of(proto)?;
    if let Some(rest) = text.strip_prefix("(.*,)?") {
        return match rest.strip_suffix("(,.*)?") {
            Some(exact) => unquote(exact).map(StringPattern::Exact),
            None => unquote(rest.strip_suffix(".*")?).map(StringPattern::Prefix),
        };
    }
    let rest = text.strip_prefix(".*")?.strip_suffix("(,.*)?")?;
    unquote(rest).map(StringPattern::Suffix)
}

/// A host: without case, with and without a port, without a dot at its end.
pub(super) fn host(value: &StringPattern) -> StringMatcher {
    let ends = |start: &str, host: &str| {
        let tail = match split_port(host) {
            Some((host, port)) => [&quote(host), r"\.?:", port].concat(),
            None => [&quote(host), ANY_PORT].concat(),
        };
        ["(?i)", start, &tail].concat()
    };
    matcher(expression(match value {
        StringPattern::Exact(host) => ends("", host),
        StringPattern::Suffix(host) => ends(".*", host),
        StringPattern::Prefix(host) => ["(?i)", &quote(host), ".*"].concat(),
        StringPattern::NotEmpty => NOT_EMPTY.to_owned(),
    }))
}

/// Istio's plain forms mean the same here: hosts are always compared like that.
pub(super) fn from_host(
    proto: StringMatcher,
    at: &At<'_>,
) -> Result<StringPattern, InvalidResource> {
    if let Some(found) = regex_of(&proto).and_then(host_of) {
        return Ok(found);
    }
    let plain = StringMatcher {
        ignore_case: false,
        ..proto
    };
    let lower =
        |text: std::sync::Arc<str>| -> std::sync::Arc<str> { text.to_ascii_lowercase().into() };
    Ok(match from_string(plain, at)? {
        StringPattern::Exact(text) => StringPattern::Exact(lower(text)),
        StringPattern::Prefix(text) => StringPattern::Prefix(lower(text)),
        StringPattern::Suffix(text) => StringPattern::Suffix(lower(text)),
        StringPattern::NotEmpty => StringPattern::NotEmpty,
    })
}

fn host_of(text: &str) -> Option<StringPattern> {
    let text = text.strip_prefix("(?i)")?;
    let (is_suffix, rest) = match text.strip_prefix(".*") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let ends = |host: String| {
        let host = host.into();
        if is_suffix {
            StringPattern::Suffix(host)
        } else {
            StringPattern::Exact(host)
        }
    };
    if let Some(host) = rest.strip_suffix(ANY_PORT) {
        return unquote(host).map(|host| ends(host.to_string()));
    }
    if let Some((host, port)) = rest.rsplit_once(r"\.?:") {
        return unquote(host).map(|host| ends([&host, ":", port].concat()));
    }
    unquote(rest.strip_suffix(".*")?).map(StringPattern::Prefix)
}

fn split_port(host: &str) -> Option<(&str, &str)> {
    let (host, port) = host.rsplit_once(':')?;
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    digits.then_some((host, port))
}

/// A part of a certificate's identity.
pub(super) fn identity(attribute: &TextAttribute, value: &StringPattern) -> Option<StringMatcher> {
    Some(matcher(match attribute {
        TextAttribute::SourcePrincipal => match value {
            StringPattern::Exact(text) => MatchPattern::Exact([SPIFFE, text].concat()),
            StringPattern::Prefix(text) => MatchPattern::Prefix([SPIFFE, text].concat()),
            StringPattern::Suffix(text) => MatchPattern::Suffix(text.to_string()),
            StringPattern::NotEmpty => expression(NOT_EMPTY.to_owned()),
        },
        TextAttribute::SourceNamespace => {
            expression([ANY_DOMAIN, &piece(value), ANY_ACCOUNT].concat())
        }
        TextAttribute::SourceServiceAccount => {
            let (namespace, name) = account(value);
            expression([ANY_DOMAIN, &piece(&namespace), "/sa/", &piece(&name)].concat())
        }
        TextAttribute::SourceTrustDomain => {
            expression([SPIFFE, &piece(value), ANY_NAMESPACE].concat())
        }
        _ => return None,
    }))
}

pub(super) fn from_identity(
    proto: StringMatcher,
    at: &At<'_>,
) -> Result<(TextAttribute, StringPattern), InvalidResource> {
    if let Some(found) = regex_of(&proto).and_then(identity_of) {
        return Ok(found);
    }
    let value = match from_string(proto, at)? {
        StringPattern::Exact(text) => text
            .strip_prefix(SPIFFE)
            .map(|it| StringPattern::Exact(it.into())),
        StringPattern::Prefix(text) => text
            .strip_prefix(SPIFFE)
            .map(|it| StringPattern::Prefix(it.into())),
        other => Some(other),
    };
    match value {
        Some(value) => Ok((TextAttribute::SourcePrincipal, value)),
        None => Err(at.value("only identities that begin with spiffe:// can be compared")),
    }
}

fn identity_of(text: &str) -> Option<(TextAttribute, StringPattern)> {
    if text == NOT_EMPTY {
        return Some((TextAttribute::SourcePrincipal, StringPattern::NotEmpty));
    }
    if let Some(rest) = text.strip_prefix(ANY_DOMAIN) {
        if let Some(namespace) = rest.strip_suffix(ANY_ACCOUNT) {
            return Some((TextAttribute::SourceNamespace, from_piece(namespace)?));
        }
        if let Some((namespace, name)) = rest.split_once("/sa/") {
            let account = from_account(&from_piece(namespace)?, &from_piece(name)?)?;
            return Some((TextAttribute::SourceServiceAccount, account));
        }
    }
    // As Istio writes them, which escapes nothing: these names have no special characters but dots.
    if let Some(rest) = text
        .strip_prefix(".*/ns/")
        .and_then(|rest| rest.strip_suffix("/.*"))
    {
        let pattern = StringPattern::parse(&rest.replace(".*", "*"));
        return Some((TextAttribute::SourceNamespace, pattern));
    }
    if let Some(rest) = text.strip_prefix("spiffe://.+/ns/") {
        let (namespace, name) = rest.strip_suffix("(/.+)?")?.split_once("/(.+/|)sa/")?;
        let account = StringPattern::Exact([namespace, "/", name].concat().into());
        return Some((TextAttribute::SourceServiceAccount, account));
    }
    let domain = text.strip_prefix(SPIFFE)?.strip_suffix(ANY_NAMESPACE)?;
    Some((TextAttribute::SourceTrustDomain, from_piece(domain)?))
}

/// What a pattern of `NAMESPACE/NAME` says of its parts.
fn account(value: &StringPattern) -> (StringPattern, StringPattern) {
    use StringPattern::{Exact, NotEmpty, Prefix, Suffix};
    let split = |text: &str| -> Option<(String, String)> {
        let (namespace, name) = text.split_once('/')?;
        Some((namespace.to_owned(), name.to_owned()))
    };
    match value {
        Exact(text) => match split(text) {
            Some((namespace, name)) => (Exact(namespace.into()), Exact(name.into())),
            None => (Exact(text.clone()), Exact("".into())),
        },
        Prefix(text) => match split(text) {
            Some((namespace, name)) => (Exact(namespace.into()), Prefix(name.into())),
            None => (Prefix(text.clone()), NotEmpty),
        },
        Suffix(text) => match split(text) {
            Some((namespace, name)) => (Suffix(namespace.into()), Exact(name.into())),
            None => (NotEmpty, Suffix(text.clone())),
        },
        NotEmpty => (NotEmpty, NotEmpty),
    }
}

fn from_account(namespace: &StringPattern, name: &StringPattern) -> Option<StringPattern> {
    use StringPattern::{Exact, NotEmpty, Prefix, Suffix};
    let join = |namespace: &str, name: &str| [namespace, "/", name].concat().into();
    Some(match (namespace, name) {
        (Exact(namespace), Exact(name)) => Exact(join(namespace, name)),
        (Exact(namespace), Prefix(name)) => Prefix(join(namespace, name)),
        (Suffix(namespace), Exact(name)) => Suffix(join(namespace, name)),
        (Prefix(namespace), NotEmpty) => Prefix(namespace.clone()),
        (NotEmpty, Suffix(name)) => Suffix(name.clone()),
        (NotEmpty, NotEmpty) => NotEmpty,
        _ => return None,
    })
}

/// One part of an identity.
fn piece(value: &StringPattern) -> String {
    match value {
        StringPattern::Exact(text) => quote(text),
        StringPattern::Prefix(text) => [&quote(text), "[^/]*"].concat(),
        StringPattern::Suffix(text) => ["[^/]*", &quote(text)].concat(),
        StringPattern::NotEmpty => "[^/]+".to_owned(),
    }
}

fn from_piece(text: &str) -> Option<StringPattern> {
    if text == "[^/]+" {
        return Some(StringPattern::NotEmpty);
    }
    if let Some(prefix) = text.strip_suffix("[^/]*") {
        return unquote(prefix).map(StringPattern::Prefix);
    }
    if let Some(suffix) = text.strip_prefix("[^/]*") {
        return unquote(suffix).map(StringPattern::Suffix);
    }
    unquote(text).map(StringPattern::Exact)
}

fn matcher(pattern: MatchPattern) -> StringMatcher {
    StringMatcher {
        ignore_case: false,
        match_pattern: Some(pattern),
    }
}

fn expression(regex: String) -> MatchPattern {
    MatchPattern::SafeRegex(header_match::regex(&regex))
}

fn regex_of(proto: &StringMatcher) -> Option<&str> {
    match &proto.match_pattern {
        Some(MatchPattern::SafeRegex(regex)) if !proto.ignore_case => Some(&regex.regex),
        _ => None,
    }
}

fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for letter in text.chars() {
        if SPECIAL.contains(letter) {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted
}

/// The text of an expression that matches nothing else; none if it is another kind of expression.
fn unquote(expression: &str) -> Option<std::sync::Arc<str>> {
    let mut text = String::with_capacity(expression.len());
    let mut letters = expression.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.push(letters.next().filter(|next| SPECIAL.contains(*next))?),
            letter if SPECIAL.contains(letter) => return None,
            letter => text.push(letter),
        }
    }
    Some(text.into())
}
