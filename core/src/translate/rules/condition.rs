//! Conditions of HTTP rules as route matchers.

use std::sync::Arc;

use mesh_ir::policy::StringPattern;
use mesh_ir::{ClaimMatch, HeaderMatch, PathMatch, QueryMatch, RouteMatch, ValueMatch};

use super::{Compiler, Refused, SourceMatch};
use crate::diag::FieldPath;
use crate::model::{HttpMatchRequest, StringMatch};
use crate::snapshot::resolve_gateways;

/// Names of conditions that are no headers although people write them as such; Istio ignores them.
const NOT_HEADERS: [&str; 4] = ["uri", "scheme", "method", "authority"];
/// What stands for the claims of tokens; the path of one follows: `.a.b`, or `[a][b]` for names with dots.
const CLAIMS: &str = "@request.auth.claims";

// === impl Compiler ===

impl Compiler<'_> {
    pub(super) fn condition(
        &mut self,
        condition: &HttpMatchRequest,
        path: &FieldPath,
    ) -> Result<(SourceMatch, RouteMatch), Refused> {
        let mut headers = Vec::new();
        let mut claims = Vec::new();
        let pseudo = [
            (":method", &condition.method),
            (":authority", &condition.authority),
            (":scheme", &condition.scheme),
        ];
        for (name, value) in pseudo {
            if let Some(value) = value {
                headers.push(header(name, text_match(value), false));
            }
        }
        for (field, conditions, invert) in [
            ("headers", &condition.headers, false),
            ("withoutHeaders", &condition.without_headers, true),
        ] {
            for (name, value) in conditions {
                let path = path.key(field).key(name.as_str());
                if let Some(claim) = claim_path(name) {
                    let Some(value) = pattern(value) else {
                        let message = "claims of tokens can be compared with exact and prefix only; the rule's match is not applied";
                        return Err(self.unsupported(path, message));
                    };
                    claims.push(ClaimMatch {
                        path: claim,
                        value,
                        invert,
                    });
                    continue;
                }
                if NOT_HEADERS.contains(&name.as_str()) {
                    self.no_effect(path);
                    continue;
                }
                headers.push(header(name, text_match(value), invert));
            }
        }
        let mut query = Vec::new();
        for (name, value) in &condition.query_params {
            query.push(QueryMatch {
                name: name.as_str().into(),
                value: text_match(value),
            });
        }
        if condition.stat_prefix.is_some() {
            self.no_effect(path.key("statPrefix"));
        }
        let matcher = RouteMatch {
            path: self.path_match(condition.uri.as_ref()),
            case_sensitive: !condition.ignore_uri_case,
            headers,
            query,
            claims,
        };
        Ok((self.source_match(condition)?, matcher))
    }

    fn source_match(&self, condition: &HttpMatchRequest) -> Result<SourceMatch, Refused> {
        self.audience_of(
            &condition.gateways,
            &condition.source_labels,
            condition.source_namespace.as_ref(),
            condition.port,
        )
    }

    /// The condition on the path. Prefixes of VirtualServices end anywhere, those of other objects that are turned into some at a segment.
    fn path_match(&self, uri: Option<&StringMatch>) -> PathMatch {
        let origin = &self.resource.origin;
        let at_segments = origin.is_derived() && !origin.is_legacy();
        match uri.map(text_match) {
            None | Some(ValueMatch::Present) => RouteMatch::everything().path,
            Some(ValueMatch::Text(text)) => match text {
                mesh_ir::StringMatch::Exact(text) => PathMatch::Exact(text),
                mesh_ir::StringMatch::Regex(text) => PathMatch::Regex(text),
                mesh_ir::StringMatch::Prefix(text) | mesh_ir::StringMatch::Suffix(text) => {
                    match at_segments && !text.ends_with('/') {
                        true => PathMatch::SegmentPrefix(text),
                        false => PathMatch::Prefix(text),
                    }
                }
            },
        }
    }

    pub(super) fn audience_of(
        &self,
        gateways: &[String],
        labels: &std::collections::BTreeMap<String, String>,
        namespace: Option<&String>,
        port: Option<u32>,
    ) -> Result<SourceMatch, Refused> {
        let port = port.map(super::port).transpose()?;
        let gateways = if gateways.is_empty() {
            Vec::new()
        } else {
            resolve_gateways(gateways, &self.resource.key.namespace)
        };
        Ok(SourceMatch {
            gateways,
            labels: labels.clone(),
            namespace: namespace.filter(|name| !name.is_empty()).cloned(),
            port,
        })
    }
}

/// A comparison with a text; without one, and for `*` as an expression, it only has to be there.
fn text_match(value: &StringMatch) -> ValueMatch {
    let StringMatch {
        exact,
        prefix,
        regex,
    } = value;
    let given = |text: &Option<String>| -> Option<Arc<str>> {
        text.as_deref()
            .filter(|text| !text.is_empty())
            .map(Arc::from)
    };
    let text = given(exact)
        .map(mesh_ir::StringMatch::Exact)
        .or_else(|| given(prefix).map(mesh_ir::StringMatch::Prefix))
        .or_else(|| {
            let regex = given(regex).filter(|regex| **regex != *"*");
            regex.map(mesh_ir::StringMatch::Regex)
        });
    text.map_or(ValueMatch::Present, ValueMatch::Text)
}

/// The path of a claim; none if it is a header that is named.
fn claim_path(name: &str) -> Option<Vec<Arc<str>>> {
    let (start, rest) = name.split_at_checked(CLAIMS.len())?;
    if !start.eq_ignore_ascii_case(CLAIMS) {
        return None;
    }
    if let Some(inside) = rest.strip_prefix('[') {
        let inside = inside.strip_suffix(']')?;
        return Some(inside.split("][").map(Arc::from).collect());
    }
    let rest = rest.strip_prefix('.')?;
    Some(rest.split('.').map(Arc::from).collect())
}

/// None for a regular expression.
fn pattern(value: &StringMatch) -> Option<StringPattern> {
    match text_match(value) {
        ValueMatch::Present => Some(StringPattern::NotEmpty),
        ValueMatch::Text(mesh_ir::StringMatch::Exact(text)) => Some(StringPattern::Exact(text)),
        ValueMatch::Text(mesh_ir::StringMatch::Prefix(text)) => Some(StringPattern::Prefix(text)),
        ValueMatch::Text(mesh_ir::StringMatch::Suffix(_) | mesh_ir::StringMatch::Regex(_)) => None,
    }
}

fn header(name: &str, value: ValueMatch, invert: bool) -> HeaderMatch {
    HeaderMatch {
        name: name.to_ascii_lowercase().into(),
        value,
        invert,
    }
}
