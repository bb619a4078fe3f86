//! Redirects, direct responses and rewrites.

use std::num::NonZeroU16;
use std::sync::Arc;

use base64::Engine;
use mesh_ir::{DirectResponse, PathMatch, PathRewrite, Redirect};

use super::{Compiler, Refused, port};
use crate::diag::FieldPath;
use crate::model::{HttpDirectResponse, HttpRedirect, HttpRewrite};

/// Where the port of a redirect comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RedirectPort {
    /// The redirect itself.
    Fixed,
    /// The port on which the request came.
    OfRequest,
}

// === impl Compiler ===

impl Compiler<'_> {
    pub(super) fn redirect(
        &self,
        redirect: &HttpRedirect,
    ) -> Result<(Redirect, RedirectPort), Refused> {
        let code = redirect
            .redirect_code
            .filter(|code| *code != 0)
            .unwrap_or(301);
        let code = u16::try_from(code).map_err(|_| Refused)?;
        let port = redirect.port.map(port).transpose()?;
        let from = match redirect.derive_port.as_deref() {
            Some("FROM_REQUEST_PORT") => RedirectPort::OfRequest,
            // Without a port Envoy takes the default of the new scheme when the scheme changes, and keeps the request's otherwise.
            _ => RedirectPort::Fixed,
        };
        let text = |text: &Option<String>| -> Option<Arc<str>> {
            text.as_deref()
                .filter(|text| !text.is_empty())
                .map(Arc::from)
        };
        Ok((
            Redirect {
                code,
                scheme: text(&redirect.scheme),
                host: text(&redirect.authority),
                port: port.and_then(NonZeroU16::new),
                path: text(&redirect.uri)
                    .map(PathRewrite::Full)
                    .or_else(|| text(&redirect.prefix_rewrite).map(PathRewrite::Prefix)),
            },
            from,
        ))
    }

    pub(super) fn direct(
        &mut self,
        direct: &HttpDirectResponse,
        path: &FieldPath,
    ) -> Result<DirectResponse, Refused> {
        let code = u16::try_from(direct.status).map_err(|_| Refused)?;
        let body = direct.body.as_ref();
        let bytes = body.and_then(|body| body.bytes.as_deref());
        let body: Arc<str> = match bytes {
            None => body
                .and_then(|body| body.string.as_deref())
                .unwrap_or_default()
                .into(),
            Some(encoded) => {
                let decoded = base64::engine::general_purpose::STANDARD
                    .decode(encoded)
                    .ok()
                    .and_then(|bytes| String::from_utf8(bytes).ok());
                match decoded {
                    Some(text) => text.into(),
                    None => {
                        let message =
                            "bodies that are no text are not supported yet; the rule is left out";
                        return Err(self.unsupported(path.key("body").key("bytes"), message));
                    }
                }
            }
        };
        Ok(DirectResponse { code, body })
    }

    /// The change of the path. A plain rewrite replaces what a prefix or exact path matched, or else the whole path.
    pub(super) fn path_rewrite(
        &self,
        rewrite: Option<&HttpRewrite>,
        matched: &PathMatch,
    ) -> Option<PathRewrite> {
        let rewrite = rewrite?;
        let uri = rewrite.uri.as_deref().filter(|uri| !uri.is_empty());
        if let Some(uri) = uri {
            return Some(match matched {
                PathMatch::Regex(_) => PathRewrite::Full(uri.into()),
                PathMatch::Prefix(_) | PathMatch::SegmentPrefix(_) | PathMatch::Exact(_) => {
                    PathRewrite::Prefix(uri.into())
                }
            });
        }
        let regex = rewrite.uri_regex_rewrite.as_ref()?;
        Some(PathRewrite::Regex {
            pattern: regex.pattern.as_str().into(),
            substitution: regex.rewrite.as_str().into(),
        })
    }
}
