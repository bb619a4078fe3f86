//! A request as it goes on after policies have changed its head: later policies and routes see the changes.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::RequestView;
use crate::evaluate::Tokens;

/// Changes that policies make to a request's head: what they take out, then what they write. Values are literal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadEdits {
    /// Lower-case names of headers that are removed.
    pub remove: Vec<Arc<str>>,
    /// Headers that replace those of their lower-case names.
    pub set: Vec<(Arc<str>, Vec<u8>)>,
    /// The query that replaces the request's, if it is changed; none within is none at all.
    pub query: Option<Option<Vec<u8>>>,
}

/// A request with changes to its head.
#[derive(Debug)]
pub struct EditedRequest<'a, R> {
    /// As it came.
    pub request: &'a R,
    /// What has changed.
    pub edits: &'a HeadEdits,
    /// Its tokens.
    pub tokens: Tokens<'a>,
}

// === impl HeadEdits ===

impl HeadEdits {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        let Self { remove, set, query } = self;
        remove.is_empty() && set.is_empty() && query.is_none()
    }

    /// Removes a header.
    pub fn remove(&mut self, lower_name: &Arc<str>) {
        if !self.remove.contains(lower_name) {
            self.remove.push(lower_name.clone());
        }
    }

    /// Replaces a header.
    pub fn set(&mut self, lower_name: &Arc<str>, value: impl Into<Vec<u8>>) {
        self.set.retain(|(known, _)| known != lower_name);
        self.set.push((lower_name.clone(), value.into()));
    }

    /// Whether what a header has so far goes.
    pub fn drops(&self, name: &[u8]) -> bool {
        let same = |known: &Arc<str>| known.as_bytes().eq_ignore_ascii_case(name);
        self.remove.iter().any(same) || self.set.iter().any(|(known, _)| same(known))
    }

    /// Removes a header, also one that was set before.
    pub fn unset(&mut self, lower_name: &Arc<str>) {
        self.set.retain(|(known, _)| known != lower_name);
        self.remove(lower_name);
    }

    /// These changes, and others after them.
    pub fn followed_by(mut self, later: &HeadEdits) -> Self {
        let Self { remove, set, query } = later;
        for name in remove {
            self.unset(name);
        }
        for (name, value) in set {
            self.set(name, value.clone());
        }
        if query.is_some() {
            self.query.clone_from(query);
        }
        self
    }

    /// The value that a header is set to.
    pub(crate) fn value(&self, lower_name: &str) -> Option<&[u8]> {
        let mut set = self.set.iter();
        let found = set.find(|(known, _)| **known == *lower_name);
        found.map(|(_, value)| value.as_slice())
    }
}

// === impl EditedRequest ===

impl<R: RequestView> RequestView for EditedRequest<'_, R> {
    fn method(&self) -> &[u8] {
        self.request.method()
    }

    fn authority(&self) -> &[u8] {
        self.request.authority()
    }

    fn scheme(&self) -> &[u8] {
        self.request.scheme()
    }

    fn path(&self) -> &[u8] {
        self.request.path()
    }

    fn query(&self) -> Option<&[u8]> {
        match &self.edits.query {
            Some(query) => query.as_deref(),
            None => self.request.query(),
        }
    }

    fn header(&self, lower_name: &str) -> Option<Cow<'_, [u8]>> {
        match self.edits.value(lower_name) {
            Some(value) => Some(Cow::Borrowed(value)),
            None if self.edits.drops(lower_name.as_bytes()) => None,
            None => self.request.header(lower_name),
        }
    }

    fn each_line(&self, lower_name: &str, visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) {
        match self.edits.value(lower_name) {
            // One value needs no word on whether to go on.
            Some(value) => drop(visit(value)),
            None if self.edits.drops(lower_name.as_bytes()) => {}
            None => self.request.each_line(lower_name, visit),
        }
    }

    fn any_claim(&self, path: &[Arc<str>], passes: &mut dyn FnMut(&str) -> bool) -> bool {
        let mut tokens = self.tokens.verified().iter();
        tokens.any(|token| token.any_claim(path, &mut *passes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::PlainRequest;

    #[test]
    fn headers_and_query_are_those_that_go_on() {
        let request = PlainRequest::get("a", "/x?token=1")
            .with_header("x-sub", "forged")
            .with_header("authorization", "Bearer x")
            .with_header("x-other", "kept");
        let mut edits = HeadEdits::default();
        edits.remove(&"authorization".into());
        edits.set(&"x-sub".into(), "first");
        edits.set(&"x-sub".into(), "alice");
        edits.query = Some(None);
        let edited = EditedRequest {
            request: &request,
            edits: &edits,
            tokens: Tokens::None,
        };
        let header = |name| edited.header(name).map(Cow::into_owned);
        assert_eq!(header("x-sub"), Some(b"alice".to_vec()));
        assert_eq!(header("authorization"), None);
        assert_eq!(header("x-other"), Some(b"kept".to_vec()));
        assert_eq!(edited.query(), None);
        let mut lines = Vec::new();
        edited.each_line("x-sub", &mut |line| {
            lines.push(line.to_vec());
            ControlFlow::Continue(())
        });
        assert_eq!(lines, [b"alice".to_vec()]);
    }
}
