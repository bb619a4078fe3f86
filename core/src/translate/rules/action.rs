//! Redirects, direct responses and rewrites.

use std::num::NonZeroU16;
use std::sync::Arc;

use base64::Engine;
use mesh_ir::{DirectResponse, PathMatch, PathRewrite, Redirect};

use super::{Compiler, Refused};
use crate::diag::FieldPath;
use crate::model::{HttpDirectResponse, HttpRedirect, HttpRewrite};

const REDIRECT_CODES: [u32; 5] = [301, 302, 303, 307, 308];

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
        &mut self,
        redirect: &HttpRedirect,
        path: &FieldPath,
    ) -> Result<(Redirect, RedirectPort), Refused> {
        let code = redirect
            .redirect_code
            .filter(|code| *code != 0)
            .unwrap_or(301);
        let Some(code) = u16::try_from(code)
            .ok()
            .filter(|_| REDIRECT_CODES.contains(&code))
        else {
            let message = format!("redirect code {code} is not one of 301, 302, 303, 307 and 308");
            return Err(self.invalid(path.key("redirectCode"), message));
        };
        let port = redirect
            .port
            .map(|port| self.port(port, path.key("port")))
            .transpose()?;
        let mut from = RedirectPort::Fixed;
        match redirect.derive_port.as_deref() {
            // Without a port Envoy takes the default of the new scheme when the scheme changes, and keeps the request's otherwise.
            None | Some("FROM_PROTOCOL_DEFAULT") => {}
            Some("FROM_REQUEST_PORT") => from = RedirectPort::OfRequest,
            Some(other) => {
                let message =
                    format!("{other:?} is not FROM_PROTOCOL_DEFAULT or FROM_REQUEST_PORT");
                return Err(self.invalid(path.key("derivePort"), message));
            }
        }
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
        let Some(code) = u16::try_from(direct.status)
            .ok()
            .filter(|code| (200..600).contains(code))
        else {
            let message = format!("status {} is not between 200 and 599", direct.status);
            return Err(self.invalid(path.key("status"), message));
        };
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
                            "the body is not base64 of a text; other bytes are not supported yet";
                        return Err(self.invalid(path.key("body").key("bytes"), message));
                    }
                }
            }
        };
        Ok(DirectResponse { code, body })
    }

    /// The change of the path. A plain rewrite replaces what a prefix or exact path matched, or else the whole path.
    pub(super) fn path_rewrite(
        &mut self,
        rewrite: Option<&HttpRewrite>,
        matched: &PathMatch,
        path: &FieldPath,
    ) -> Result<Option<PathRewrite>, Refused> {
        let Some(rewrite) = rewrite else {
            return Ok(None);
        };
        let uri = rewrite.uri.as_deref().filter(|uri| !uri.is_empty());
        match (uri, &rewrite.uri_regex_rewrite) {
            (Some(_), Some(_)) => {
                let message = "only one of uri and uriRegexRewrite may be set";
                Err(self.invalid(path.clone(), message))
            }
            (Some(uri), None) => Ok(Some(match matched {
                PathMatch::Regex(_) => PathRewrite::Full(uri.into()),
                PathMatch::Prefix(_) | PathMatch::SegmentPrefix(_) | PathMatch::Exact(_) => {
                    PathRewrite::Prefix(uri.into())
                }
            })),
            (None, Some(regex)) => {
                let path = path.key("uriRegexRewrite").key("match");
                Ok(Some(PathRewrite::Regex {
                    pattern: self.regex(&regex.pattern, path)?,
                    substitution: regex.rewrite.as_str().into(),
                }))
            }
            (None, None) => Ok(None),
        }
    }
}
