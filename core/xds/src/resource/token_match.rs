//! Claims of tokens, as the JWT filter leaves them to those after it.

use std::sync::Arc;

use envoy_types::pb::envoy::r#type::matcher::v3::{
    ListMatcher, MetadataMatcher, OrMatcher, StringMatcher, ValueMatcher, list_matcher,
    metadata_matcher::{PathSegment, path_segment::Segment},
    string_matcher::MatchPattern,
    value_matcher,
};
use mesh_ir::ClaimMatch;
use mesh_ir::policy::StringPattern;

use super::border::{At, InvalidResource};
use super::header_match;
use super::jwt;

/// A claim and values of which it has one.
pub(super) struct Claims {
    pub(super) path: Vec<Arc<str>>,
    pub(super) values: Vec<StringPattern>,
}

fn matcher(pattern: MatchPattern) -> StringMatcher {
    StringMatcher {
        ignore_case: false,
        match_pattern: Some(pattern),
    }
}

fn string(value: &StringPattern) -> StringMatcher {
    matcher(match value {
        StringPattern::Exact(text) => MatchPattern::Exact(text.to_string()),
        StringPattern::Prefix(text) => MatchPattern::Prefix(text.to_string()),
        StringPattern::Suffix(text) => MatchPattern::Suffix(text.to_string()),
        StringPattern::NotEmpty => MatchPattern::SafeRegex(header_match::regex(".+")),
    })
}

fn from_string(proto: &StringMatcher) -> Option<StringPattern> {
    match &proto.match_pattern {
        _ if proto.ignore_case => None,
        Some(MatchPattern::Exact(text)) => Some(StringPattern::Exact(text.as_str().into())),
        Some(MatchPattern::Prefix(text)) => Some(StringPattern::Prefix(text.as_str().into())),
        Some(MatchPattern::Suffix(text)) => Some(StringPattern::Suffix(text.as_str().into())),
        Some(MatchPattern::SafeRegex(regex)) if regex.regex == ".+" => {
            Some(StringPattern::NotEmpty)
        }
        _ => None,
    }
}

fn metadata(path: &[Arc<str>], value: ValueMatcher) -> MetadataMatcher {
    let segment = |key: &str| PathSegment {
        segment: Some(Segment::Key(key.to_owned())),
    };
    let payload = segment(jwt::PAYLOAD);
    MetadataMatcher {
        filter: jwt::NAME.to_owned(),
        path: std::iter::once(payload)
            .chain(path.iter().map(|key| segment(key)))
            .collect(),
        value: Some(value),
        invert: false,
    }
}

fn value(pattern: value_matcher::MatchPattern) -> ValueMatcher {
    ValueMatcher {
        match_pattern: Some(pattern),
    }
}

/// The claim itself is as the pattern says, or one of its items if it is a list.
pub(super) fn claim(path: &[Arc<str>], pattern: &StringPattern) -> MetadataMatcher {
    let itself = value(value_matcher::MatchPattern::StringMatch(string(pattern)));
    let item = value(value_matcher::MatchPattern::ListMatch(Box::new(
        ListMatcher {
            match_pattern: Some(list_matcher::MatchPattern::OneOf(Box::new(itself.clone()))),
        },
    )));
    let either = OrMatcher {
        value_matchers: vec![itself, item],
    };
    metadata(path, value(value_matcher::MatchPattern::OrMatch(either)))
}

/// The criterion of a route.
pub(super) fn of_route(value: &ClaimMatch) -> MetadataMatcher {
    let ClaimMatch {
        path,
        value,
        invert,
    } = value;
    MetadataMatcher {
        invert: *invert,
        ..claim(path, value)
    }
}

pub(super) fn from_route(
    proto: MetadataMatcher,
    at: &At<'_>,
) -> Result<ClaimMatch, InvalidResource> {
    let invert = proto.invert;
    let plain = MetadataMatcher {
        invert: false,
        ..proto
    };
    let Claims { path, values } = from_claim(plain, at)?;
    match <[StringPattern; 1]>::try_from(values) {
        Ok([value]) => Ok(ClaimMatch {
            path,
            value,
            invert,
        }),
        Err(_) => Err(at.field("value").unsupported()),
    }
}

pub(super) fn from_claim(proto: MetadataMatcher, at: &At<'_>) -> Result<Claims, InvalidResource> {
    open!(at, proto => MetadataMatcher {
        keep { filter, path, value }
        refuse { invert }
        ignore {}
    });
    let keys: Option<Vec<Arc<str>>> = path
        .into_iter()
        .map(|PathSegment { segment }| match segment? {
            Segment::Key(key) => Some(key.into()),
        })
        .collect();
    let path = match keys.as_deref() {
        Some([payload, path @ ..]) if filter == jwt::NAME && &**payload == jwt::PAYLOAD => {
            path.to_vec()
        }
        _ => return Err(at.value("only claims of the JWT filter can be compared")),
    };
    let mut values = Vec::new();
    if !collect(&at.require("value", value)?, &mut values) || path.is_empty() {
        return Err(at.field("value").unsupported());
    }
    Ok(Claims { path, values })
}

/// The texts that a value is compared with; false if it is compared otherwise.
fn collect(proto: &ValueMatcher, values: &mut Vec<StringPattern>) -> bool {
    match &proto.match_pattern {
        Some(value_matcher::MatchPattern::StringMatch(text)) => {
            let Some(text) = from_string(text) else {
                return false;
            };
            if !values.contains(&text) {
                values.push(text);
            }
            true
        }
        Some(value_matcher::MatchPattern::ListMatch(list)) => match &list.match_pattern {
            Some(list_matcher::MatchPattern::OneOf(item)) => collect(item, values),
            None => false,
        },
        Some(value_matcher::MatchPattern::OrMatch(OrMatcher { value_matchers })) => {
            value_matchers.iter().all(|one| collect(one, values))
        }
        _ => false,
    }
}

/// The pattern of a text, or any text: Envoy refuses a listener with an empty prefix or suffix.
fn unless_empty(pattern: fn(Arc<str>) -> StringPattern, text: Arc<str>) -> StringPattern {
    if text.is_empty() {
        StringPattern::NotEmpty
    } else {
        pattern(text)
    }
}

/// `ISSUER/SUBJECT`, split at the last slash.
pub(super) fn principal(pattern: &StringPattern) -> [MetadataMatcher; 2] {
    use StringPattern::{Exact, NotEmpty, Prefix, Suffix};
    let split = |text: &Arc<str>| -> Option<(Arc<str>, Arc<str>)> {
        let (issuer, subject) = text.rsplit_once('/')?;
        Some((issuer.into(), subject.into()))
    };
    let (issuer, subject) = match pattern {
        NotEmpty => (NotEmpty, NotEmpty),
        Exact(text) => match split(text) {
            Some((issuer, subject)) => (Exact(issuer), Exact(subject)),
            None => (Exact(text.clone()), Exact("".into())),
        },
        Prefix(text) => match split(text) {
            Some((issuer, subject)) => (Exact(issuer), unless_empty(Prefix, subject)),
            None => (Prefix(text.clone()), NotEmpty),
        },
        Suffix(text) => match split(text) {
            Some((issuer, subject)) => (unless_empty(Suffix, issuer), Exact(subject)),
            None => (NotEmpty, Suffix(text.clone())),
        },
    };
    let of = |claim: &str, pattern: &StringPattern| {
        let text = value_matcher::MatchPattern::StringMatch(string(pattern));
        metadata(&[claim.into()], value(text))
    };
    [of("iss", &issuer), of("sub", &subject)]
}

/// None if it is not the identity of a token.
pub(super) fn from_principal(
    issuer: MetadataMatcher,
    subject: MetadataMatcher,
) -> Option<StringPattern> {
    use StringPattern::{Exact, NotEmpty, Prefix, Suffix};
    let of = |matcher: MetadataMatcher, claim: &str| {
        let Claims { path, values } = from_claim(matcher, &At::root()).ok()?;
        let [key] = path.as_slice() else { return None };
        let [value] = values.as_slice() else {
            return None;
        };
        (&**key == claim).then(|| value.clone())
    };
    let join = |issuer: &str, subject: &str| [issuer, "/", subject].concat().into();
    Some(match (of(issuer, "iss")?, of(subject, "sub")?) {
        (NotEmpty, NotEmpty) => NotEmpty,
        (Exact(issuer), Exact(subject)) => Exact(join(&issuer, &subject)),
        (Exact(issuer), Prefix(subject)) => Prefix(join(&issuer, &subject)),
        (Exact(issuer), NotEmpty) => Prefix(join(&issuer, "")),
        (Prefix(issuer), NotEmpty) => Prefix(issuer),
        (Suffix(issuer), Exact(subject)) => Suffix(join(&issuer, &subject)),
        (NotEmpty, Exact(subject)) => Suffix(join("", &subject)),
        (NotEmpty, Suffix(subject)) => Suffix(subject),
        _ => return None,
    })
}
