//! The criteria of one route, compiled.

use std::borrow::Cow;
use std::sync::Arc;

use regex::bytes::Regex;

use super::request::{RequestView, path_and_query};
use super::text::{InvalidRegex, Text, compile_full, written};
use crate::trace::Mismatch;
use crate::{ClaimMatch, HeaderMatch, PathMatch, QueryMatch, RouteMatch, ValueMatch};

/// A compiled [`RouteMatch`].
#[derive(Clone, Debug)]
pub(super) struct Criteria {
    path: Path,
    ignore_case: bool,
    headers: Box<[Header]>,
    query: Box<[Query]>,
    claims: Box<[ClaimMatch]>,
}

/// Compiled [`HeaderMatch`]es, all of which must hold.
#[derive(Clone, Debug, Default)]
pub struct HeaderCriteria(Box<[Header]>);

#[derive(Clone, Debug)]
enum Path {
    Any,
    Prefix(Arc<str>),
    SegmentPrefix(Arc<str>),
    Exact(Arc<str>),
    Regex(Regex),
}

#[derive(Clone, Debug)]
struct Header {
    source: Source,
    /// None: there, whatever it is.
    value: Option<Text>,
    invert: bool,
}

/// Where a header's value is found.
#[derive(Clone, Debug)]
enum Source {
    Method,
    Authority,
    Scheme,
    /// Path with query.
    Path,
    Named(Arc<str>),
}

#[derive(Clone, Debug)]
struct Query {
    name: Arc<str>,
    value: Option<Text>,
}

// === impl Criteria ===

impl Criteria {
    pub(super) fn new(spec: &RouteMatch) -> Result<Self, InvalidRegex> {
        let RouteMatch {
            path,
            case_sensitive,
            headers,
            query,
            claims,
        } = spec;
        Ok(Self {
            path: Path::new(path)?,
            ignore_case: !case_sensitive,
            headers: headers.iter().map(Header::new).collect::<Result<_, _>>()?,
            query: query.iter().map(Query::new).collect::<Result<_, _>>()?,
            claims: claims.clone().into(),
        })
    }

    pub(super) fn is_match(&self, request: &impl RequestView) -> bool {
        self.path.is_match(request.path(), self.ignore_case)
            && self.headers.iter().all(|header| header.is_match(request))
            && self.query.iter().all(|query| query.is_match(request))
            && self.claims.iter().all(|claim| has_claim(claim, request))
    }

    /// The first criterion that is not met.
    pub(super) fn mismatch(&self, request: &impl RequestView) -> Option<Mismatch> {
        if !self.path.is_match(request.path(), self.ignore_case) {
            return Some(Mismatch::new(
                "path",
                self.path.show(),
                Some(request.path()),
            ));
        }
        if let Some(header) = self.headers.iter().find(|one| !one.is_match(request)) {
            return Some(header.mismatch(request));
        }
        if let Some(query) = self.query.iter().find(|one| !one.is_match(request)) {
            return Some(query.mismatch(request));
        }
        let claim = self.claims.iter().find(|one| !has_claim(one, request))?;
        Some(claim_mismatch(claim))
    }
}

// === impl HeaderCriteria ===

impl HeaderCriteria {
    /// Criteria that all must hold.
    ///
    /// # Errors
    /// When one is no expression.
    pub fn new(specs: &[HeaderMatch]) -> Result<Self, InvalidRegex> {
        Ok(Self(
            specs.iter().map(Header::new).collect::<Result<_, _>>()?,
        ))
    }

    /// Whether all hold.
    pub fn is_match(&self, request: &impl RequestView) -> bool {
        self.0.iter().all(|header| header.is_match(request))
    }
}

// === impl Path ===

impl Path {
    fn new(spec: &PathMatch) -> Result<Self, InvalidRegex> {
        Ok(match spec {
            _ if spec.is_catch_all() => Self::Any,
            PathMatch::Prefix(text) => Self::Prefix(text.clone()),
            PathMatch::SegmentPrefix(text) => Self::SegmentPrefix(text.clone()),
            PathMatch::Exact(text) => Self::Exact(text.clone()),
            PathMatch::Regex(pattern) => Self::Regex(compile_full(pattern)?),
        })
    }

    fn is_match(&self, path: &[u8], ignore_case: bool) -> bool {
        let same = |left: &[u8], right: &[u8]| {
            if ignore_case {
                left.eq_ignore_ascii_case(right)
            } else {
                left == right
            }
        };
        match self {
            Self::Any => true,
            Self::Exact(text) => same(path, text.as_bytes()),
            Self::Prefix(text) => path
                .split_at_checked(text.len())
                .is_some_and(|(head, _)| same(head, text.as_bytes())),
            Self::SegmentPrefix(text) => {
                path.split_at_checked(text.len())
                    .is_some_and(|(head, rest)| {
                        same(head, text.as_bytes()) && matches!(rest.first(), None | Some(b'/'))
                    })
            }
            Self::Regex(regex) => regex.is_match(path),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Any => "anything".into(),
            Self::Exact(text) => format!("exactly {text:?}"),
            Self::Prefix(text) => format!("the prefix {text:?}"),
            Self::SegmentPrefix(text) => format!("{text:?} or a path below it"),
            Self::Regex(regex) => format!("a match of {:?}", written(regex)),
        }
    }
}

// === impl Header ===

impl Header {
    fn new(spec: &HeaderMatch) -> Result<Self, InvalidRegex> {
        let HeaderMatch {
            name,
            value,
            invert,
        } = spec;
        Ok(Self {
            source: Source::new(name),
            value: text_of(value)?,
            invert: *invert,
        })
    }

    fn is_match(&self, request: &impl RequestView) -> bool {
        let value = self.source.value(request);
        let matches = match (&self.value, value) {
            (None, value) => value.is_some(),
            (Some(text), Some(value)) => text.is_match(&value),
            // Istio asks Envoy to treat a missing header as an empty one where the criterion is inverted.
            (Some(text), None) => self.invert && text.is_match(b""),
        };
        matches != self.invert
    }

    fn mismatch(&self, request: &impl RequestView) -> Mismatch {
        let value = show(self.value.as_ref());
        let expected = if self.invert {
            ["not ", &value].concat()
        } else {
            value
        };
        let actual = self.source.value(request);
        Mismatch::new(
            ["header ", self.source.name()].concat(),
            expected,
            actual.as_deref(),
        )
    }
}

fn show(value: Option<&Text>) -> String {
    value.map_or_else(|| "any value".into(), Text::show)
}

fn text_of(value: &ValueMatch) -> Result<Option<Text>, InvalidRegex> {
    match value {
        ValueMatch::Present => Ok(None),
        ValueMatch::Text(spec) => Text::new(spec).map(Some),
    }
}

// === impl Source ===

impl Source {
    fn new(name: &Arc<str>) -> Self {
        match &**name {
            ":method" => Self::Method,
            // Envoy stores `Host` as `:authority`.
            ":authority" | "host" => Self::Authority,
            ":scheme" => Self::Scheme,
            ":path" => Self::Path,
            _ => Self::Named(name.clone()),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Method => ":method",
            Self::Authority => ":authority",
            Self::Scheme => ":scheme",
            Self::Path => ":path",
            Self::Named(name) => name,
        }
    }

    fn value<'a>(&self, request: &'a impl RequestView) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Method => Some(Cow::Borrowed(request.method())),
            Self::Authority => Some(Cow::Borrowed(request.authority())),
            Self::Scheme => Some(Cow::Borrowed(request.scheme())),
            Self::Path => Some(path_and_query(request)),
            Self::Named(name) => request.header(name),
        }
    }
}

// === impl Query ===

impl Query {
    fn new(spec: &QueryMatch) -> Result<Self, InvalidRegex> {
        let QueryMatch { name, value } = spec;
        Ok(Self {
            name: name.clone(),
            value: text_of(value)?,
        })
    }

    fn is_match(&self, request: &impl RequestView) -> bool {
        let value = self.value(request);
        value.is_some_and(|value| self.value.as_ref().is_none_or(|text| text.is_match(value)))
    }

    fn value<'a>(&self, request: &'a impl RequestView) -> Option<&'a [u8]> {
        parameter(request.query()?, self.name.as_bytes())
    }

    fn mismatch(&self, request: &impl RequestView) -> Mismatch {
        Mismatch::new(
            ["query parameter ", &self.name].concat(),
            show(self.value.as_ref()),
            self.value(request),
        )
    }
}

fn has_claim(claim: &ClaimMatch, request: &impl RequestView) -> bool {
    let ClaimMatch {
        path,
        value,
        invert,
    } = claim;
    let mut passes = |text: &str| value.is_match(text.as_bytes());
    request.any_claim(path, &mut passes) != *invert
}

/// What claims a request has is not told: they are somebody's.
fn claim_mismatch(claim: &ClaimMatch) -> Mismatch {
    let not = if claim.invert { "not " } else { "" };
    Mismatch::new(
        ["claim ", &claim.path.join(".")].concat(),
        format!("{not}{}", claim.value),
        None,
    )
}

/// The value of the first parameter of a name; empty if it has no `=`.
fn parameter<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=');
        let (key, value) = match equals {
            Some(at) => (pair.get(..at)?, pair.get(at + 1..)?),
            None => (pair, &[][..]),
        };
        (key == name).then_some(value)
    })
}
