//! What matching needs to know of a request.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

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
    /// Visits the values of a header by its lower-case name, one field line after the other, until it is told to stop.
    fn each_line(&self, lower_name: &str, visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>);

    /// Whether a claim of one of its valid tokens has a value that passes; never where no tokens are checked.
    fn any_claim(&self, path: &[Arc<str>], passes: &mut dyn FnMut(&str) -> bool) -> bool {
        let _ = (path, passes);
        false
    }

    /// As [`Self::each_line`], for pseudo-headers too; `host` is `:authority`, as Envoy stores it.
    fn each_value(&self, lower_name: &str, visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) {
        // One value needs no word on whether to go on.
        let _ = match lower_name {
            ":method" => visit(self.method()),
            ":authority" | "host" => visit(self.authority()),
            ":scheme" => visit(self.scheme()),
            ":path" => visit(&path_and_query(self)),
            _ => return self.each_line(lower_name, visit),
        };
    }
}

/// The path with its query.
pub(super) fn path_and_query<R: RequestView + ?Sized>(request: &R) -> Cow<'_, [u8]> {
    match request.query() {
        None => Cow::Borrowed(request.path()),
        Some(query) => Cow::Owned([request.path(), b"?", query].concat()),
    }
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
    /// Values of headers by lower-case name.
    pub headers: BTreeMap<String, Vec<String>>,
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

    /// The same request with one more header line.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers
            .entry(name.to_ascii_lowercase())
            .or_default()
            .push(value.to_owned());
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
        match self.headers.get(lower_name)?.as_slice() {
            [value] => Some(Cow::Borrowed(value.as_bytes())),
            values => Some(Cow::Owned(values.join(",").into_bytes())),
        }
    }

    fn each_line(&self, lower_name: &str, visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) {
        for value in self.headers.get(lower_name).into_iter().flatten() {
            if visit(value.as_bytes()).is_break() {
                return;
            }
        }
    }
}
