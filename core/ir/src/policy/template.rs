//! Path templates: `/pages/{*}/files/{**}`.

use std::fmt;
use std::sync::Arc;

/// A path in which `{*}` stands for one segment and `{**}` for any rest, as `AuthorizationPolicy` and Envoy's URI templates know it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathTemplate(Arc<str>);

/// Why a text is no path template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid path template {template:?}: {reason}")]
pub struct InvalidPathTemplate {
    /// The text.
    pub template: Arc<str>,
    /// What is wrong with it.
    pub reason: &'static str,
}

// === impl PathTemplate ===

impl PathTemplate {
    /// Whether a path of a policy is meant as a template: it contains `{*}` or `{**}`.
    pub fn is_template(text: &str) -> bool {
        text.contains("{*}") || text.contains("{**}")
    }

    /// Reads a template. As in Istio, an operator is a segment of its own, `{**}` is the last operator and there is at most one of it,
    /// and a star or brace stands nowhere else.
    ///
    /// # Errors
    /// Says which of these rules is broken.
    pub fn parse(text: &str) -> Result<Self, InvalidPathTemplate> {
        let invalid = |reason| InvalidPathTemplate {
            template: text.into(),
            reason,
        };
        let Some(rest) = text.strip_prefix('/') else {
            return Err(invalid("it must begin with a slash"));
        };
        let mut has_rest = false;
        for segment in rest.split('/') {
            match segment {
                "{*}" | "{**}" if has_rest => {
                    return Err(invalid("{**} must be the last operator"));
                }
                "{*}" => {}
                "{**}" => has_rest = true,
                text if text.contains(['*', '{', '}']) => {
                    return Err(invalid(
                        "stars and braces may stand only in {*} and {**}, each a segment of its own",
                    ));
                }
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }

    /// The template as it is written.
    pub fn text(&self) -> &Arc<str> {
        &self.0
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_of_istio_are_read() {
        for text in ["/{*}", "/a/{*}/b/{**}", "/{**}", "/{**}/x.jpg", "/a/{*}/"] {
            assert!(PathTemplate::parse(text).is_ok(), "{text}");
            assert!(PathTemplate::is_template(text), "{text}");
        }
    }

    #[test]
    fn bad_mixes_are_refused() {
        for text in [
            "a/{*}",
            "/{**}/{*}",
            "/{**}/{**}",
            "/a{*}",
            "/{*}b",
            "/*/{*}",
            "/{x}/{*}",
            "/{*",
            "",
        ] {
            assert!(PathTemplate::parse(text).is_err(), "{text}");
        }
    }
}
