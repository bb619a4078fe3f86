//! Conditions of HTTP rules as route matchers.

use std::sync::Arc;

use mesh_ir::{HeaderMatch, PathMatch, QueryMatch, RouteMatch, ValueMatch};

use super::{Compiler, Refused, SourceMatch};
use crate::diag::FieldPath;
use crate::model::{HttpMatchRequest, StringMatch};
use crate::snapshot::resolve_gateways;

/// Names of conditions that are no headers although people write them as such; Istio ignores them.
const NOT_HEADERS: [&str; 4] = ["uri", "scheme", "method", "authority"];
const CLAIM_PREFIX: &str = "@request.auth.claims";

// === impl Compiler ===

impl Compiler<'_> {
    pub(super) fn condition(
        &mut self,
        condition: &HttpMatchRequest,
        path: &FieldPath,
    ) -> Result<(SourceMatch, RouteMatch), Refused> {
        let mut headers = Vec::new();
        let pseudo = [
            (":method", "method", &condition.method),
            (":authority", "authority", &condition.authority),
            (":scheme", "scheme", &condition.scheme),
        ];
        for (name, field, value) in pseudo {
            if let Some(value) = value {
                let value = self.value(value, &path.key(field))?;
                headers.push(header(name, value, false));
            }
        }
        for (field, conditions, invert) in [
            ("headers", &condition.headers, false),
            ("withoutHeaders", &condition.without_headers, true),
        ] {
            for (name, value) in conditions {
                let path = path.key(field).key(name.as_str());
                if name.starts_with(CLAIM_PREFIX) {
                    let message = "conditions on JWT claims are not supported yet; the rule's match is not applied";
                    return Err(self.unsupported(path, message));
                }
                if NOT_HEADERS.contains(&name.as_str()) {
                    self.no_effect(path);
                    continue;
                }
                let value = self.value(value, &path)?;
                headers.push(header(name, value, invert));
            }
        }
        let mut query = Vec::new();
        for (name, value) in &condition.query_params {
            let path = path.key("queryParams").key(name.as_str());
            query.push(QueryMatch {
                name: name.as_str().into(),
                value: self.value(value, &path)?,
            });
        }
        if condition.stat_prefix.is_some() {
            self.no_effect(path.key("statPrefix"));
        }
        let matcher = RouteMatch {
            path: self.path(condition.uri.as_ref(), &path.key("uri"))?,
            case_sensitive: !condition.ignore_uri_case,
            headers,
            query,
        };
        Ok((self.source_match(condition, path)?, matcher))
    }

    fn source_match(
        &mut self,
        condition: &HttpMatchRequest,
        path: &FieldPath,
    ) -> Result<SourceMatch, Refused> {
        self.audience_of(
            &condition.gateways,
            &condition.source_labels,
            condition.source_namespace.as_ref(),
            condition.port,
            path,
        )
    }

    pub(super) fn audience_of(
        &mut self,
        gateways: &[String],
        labels: &std::collections::BTreeMap<String, String>,
        namespace: Option<&String>,
        port: Option<u32>,
        path: &FieldPath,
    ) -> Result<SourceMatch, Refused> {
        let port = port
            .map(|port| self.port(port, path.key("port")))
            .transpose()?;
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

    fn path(&mut self, uri: Option<&StringMatch>, path: &FieldPath) -> Result<PathMatch, Refused> {
        let Some(uri) = uri else {
            return Ok(RouteMatch::everything().path);
        };
        Ok(match self.value(uri, path)? {
            ValueMatch::Present => RouteMatch::everything().path,
            ValueMatch::Text(mesh_ir::StringMatch::Exact(text)) => PathMatch::Exact(text),
            ValueMatch::Text(mesh_ir::StringMatch::Regex(text)) => PathMatch::Regex(text),
            ValueMatch::Text(
                mesh_ir::StringMatch::Prefix(text) | mesh_ir::StringMatch::Suffix(text),
            ) => PathMatch::Prefix(text),
        })
    }

    fn value(&mut self, value: &StringMatch, path: &FieldPath) -> Result<ValueMatch, Refused> {
        let StringMatch {
            exact,
            prefix,
            regex,
        } = value;
        let text = |text: &String| -> Arc<str> { text.as_str().into() };
        Ok(match (exact, prefix, regex) {
            (None, None, None) => ValueMatch::Present,
            (Some(exact), None, None) if exact.is_empty() => ValueMatch::Present,
            (None, Some(prefix), None) if prefix.is_empty() => ValueMatch::Present,
            (None, None, Some(regex)) if regex.is_empty() || regex == "*" => ValueMatch::Present,
            (Some(exact), None, None) => ValueMatch::Text(mesh_ir::StringMatch::Exact(text(exact))),
            (None, Some(prefix), None) => {
                ValueMatch::Text(mesh_ir::StringMatch::Prefix(text(prefix)))
            }
            (None, None, Some(regex)) => {
                let regex = self.regex(regex, path.key("regex"))?;
                ValueMatch::Text(mesh_ir::StringMatch::Regex(regex))
            }
            _ => {
                let message = "only one of exact, prefix and regex may be set";
                return Err(self.invalid(path.clone(), message));
            }
        })
    }
}

fn header(name: &str, value: ValueMatch, invert: bool) -> HeaderMatch {
    HeaderMatch {
        name: name.to_ascii_lowercase().into(),
        value,
        invert,
    }
}
