//! What matching needs to know of a request.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// A request head as route matching sees it. Values are bytes, because HTTP allows more than UTF-8.
pub trait RequestView {
    /// `GET`, `POST`, ...
    fn method(&self) -> &[u8];
    /// `Host` or `:authority`, with its port if it has one.
    fn authority(&self) -> &[u8];
    /// `http` or `https`.
    fn scheme(&self) -> &[u8];
    /// The path without query and fragment.
    fn path(&self) -> &[u8];
    /// The text behind `?`, if there is a `?`.
    fn query(&self) -> Option<&[u8]>;
    /// The value of a header by its lower-case name; several values are joined with commas.
    fn header(&self, lower_name: &str) -> Option<Cow<'_, [u8]>>;
}

/// A request as plain values, for explanations and tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainRequest {
    /// Method.
    pub method: String,
    /// Authority.
    pub authority: String,
    /// Scheme.
    pub scheme: String,
    /// Path without query.
    pub path: String,
    /// Query without `?`.
    pub query: Option<String>,
    /// Headers by lower-case name, already joined.
    pub headers: BTreeMap<String, String>,
}

// === impl PlainRequest ===

impl PlainRequest {
    /// A `GET` over `http` of a path that may contain a query.
    pub fn get(authority: &str, path_and_query: &str) -> Self {
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (path_and_query, None),
        };
        Self {
            method: "GET".into(),
            authority: authority.into(),
            scheme: "http".into(),
            path: path.into(),
            query,
            headers: BTreeMap::new(),
        }
    }

    /// The same request with one more header; values of a name that is there already are joined.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers
            .entry(name.to_ascii_lowercase())
            .and_modify(|joined| {
                joined.push(',');
                joined.push_str(value);
            })
            .or_insert_with(|| value.to_owned());
        self
    }
}

impl RequestView for PlainRequest {
    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }

    fn authority(&self) -> &[u8] {
        self.authority.as_bytes()
    }

    fn scheme(&self) -> &[u8] {
        self.scheme.as_bytes()
    }

    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }

    fn query(&self) -> Option<&[u8]> {
        self.query.as_deref().map(str::as_bytes)
    }

    fn header(&self, lower_name: &str) -> Option<Cow<'_, [u8]>> {
        self.headers
            .get(lower_name)
            .map(|value| Cow::Borrowed(value.as_bytes()))
    }
}
