//! Paths of operations: patterns and templates.

use std::sync::Arc;

use crate::policy::{PathPattern, PathTemplate, StringPattern};

/// A path pattern, ready to be compared.
#[derive(Clone, Debug)]
pub(super) enum PathMatcher {
    Text(StringPattern),
    Template(Template),
}

/// A template in parts.
#[derive(Clone, Debug)]
pub(super) struct Template {
    /// Segments before `{**}`, or all; none stands for `{*}`.
    head: Box<[Option<Arc<str>>]>,
    /// What follows `{**}`, with its slash; none where there is no `{**}`.
    rest: Option<Box<str>>,
}

// === impl PathMatcher ===

impl PathMatcher {
    pub(super) fn new(pattern: &PathPattern) -> Self {
        match pattern {
            PathPattern::Text(pattern) => Self::Text(pattern.clone()),
            PathPattern::Template(template) => Self::Template(Template::new(template)),
        }
    }

    pub(super) fn is_match(&self, path: &[u8]) -> bool {
        match self {
            Self::Text(pattern) => pattern.is_match(path),
            Self::Template(template) => template.is_match(path),
        }
    }
}

// === impl Template ===

impl Template {
    fn new(template: &PathTemplate) -> Self {
        let text = template.text().strip_prefix('/').unwrap_or_default();
        let (head, rest) = match text.split_once("{**}") {
            Some((head, rest)) => (head.strip_suffix('/').unwrap_or(head), Some(rest.into())),
            None => (text, None),
        };
        let segment = |segment: &str| (segment != "{*}").then(|| Arc::from(segment));
        // `/{**}` has no segments before it, `/` has an empty one.
        let head = if head.is_empty() && rest.is_some() {
            Box::default()
        } else {
            head.split('/').map(segment).collect()
        };
        Self { head, rest }
    }

    fn is_match(&self, path: &[u8]) -> bool {
        let Some(mut left) = path.strip_prefix(b"/") else {
            return false;
        };
        let last = self.head.len().checked_sub(1);
        for (index, wanted) in self.head.iter().enumerate() {
            let end = left.iter().position(|byte| *byte == b'/');
            let (segment, next) = left
                .split_at_checked(end.unwrap_or(left.len()))
                .unwrap_or((left, b""));
            let same = match wanted {
                Some(text) => segment == text.as_bytes(),
                None => !segment.is_empty(),
            };
            let ends = Some(index) == last && self.rest.is_none();
            if !same || ends != end.is_none() {
                return false;
            }
            left = next.strip_prefix(b"/").unwrap_or(next);
        }
        match &self.rest {
            Some(rest) => left.ends_with(rest.as_bytes()),
            None => left.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, path: &str, expect: bool) {
        let template = Template::new(&PathTemplate::parse(template).unwrap());
        assert_eq!(template.is_match(path.as_bytes()), expect, "{path}");
    }

    #[test]
    fn a_star_is_one_segment() {
        check("/pages/{*}", "/pages/a", true);
        check("/pages/{*}", "/pages/", false);
        check("/pages/{*}", "/pages", false);
        check("/pages/{*}", "/pages/a/b", false);
        check("/{*}/b/{*}", "/a/b/c", true);
        check("/{*}/b/{*}", "/a/c/c", false);
        check("/a/{*}/", "/a/x/", true);
        check("/a/{*}/", "/a/x", false);
    }

    #[test]
    fn two_stars_are_any_rest() {
        check("/a/{**}", "/a/b/c", true);
        check("/a/{**}", "/a/", true);
        check("/a/{**}", "/a", false);
        check("/a/{**}", "/ab/c", false);
        check("/{**}", "/", true);
        check("/a/{*}/{**}", "/a/b/c/d", true);
        check("/a/{*}/{**}", "/a//d", false);
        check("/{**}/end", "/x/y/end", true);
        check("/{**}/end", "/x/y/bend", false);
    }

    #[test]
    fn case_counts() {
        check("/a/{*}", "/A/b", false);
    }
}
