//! The `Location` of a redirect.

use super::domains::{port_start, strip_port};
use super::request::RequestView;
use super::rewrite::Rewriter;
use crate::Redirect;

/// Builds the `Location` value by Envoy's rules.
///
/// The request's port stays unless the redirect names one, or the scheme changes and the port was the old scheme's default.
/// The query stays unless the new path brings one.
pub(super) fn location(
    redirect: &Redirect,
    rewriter: Option<&Rewriter>,
    request: &impl RequestView,
) -> Vec<u8> {
    let Redirect {
        code: _,
        scheme,
        host,
        port,
        path: _,
    } = redirect;
    let old_scheme = request.scheme();
    let new_scheme = scheme
        .as_ref()
        .map_or(old_scheme, |scheme| scheme.as_bytes());

    let mut out = Vec::with_capacity(128);
    out.extend_from_slice(new_scheme);
    out.extend_from_slice(b"://");
    let host = match (host, port) {
        (Some(host), _) => host.as_bytes(),
        (None, Some(_)) => strip_port(request.authority()),
        (None, None) => kept_authority(request.authority(), old_scheme, new_scheme),
    };
    out.extend_from_slice(host);
    if let Some(port) = port
        && Some(port.get()) != default_port(new_scheme)
    {
        out.extend_from_slice(format!(":{port}").as_bytes());
    }
    let path = match rewriter {
        Some(rewriter) => rewriter.apply(request.path()),
        None => request.path().into(),
    };
    out.extend_from_slice(&path);
    if let Some(query) = request.query()
        && !path.contains(&b'?')
    {
        out.push(b'?');
        out.extend_from_slice(query);
    }
    out
}

fn kept_authority<'a>(authority: &'a [u8], old: &[u8], new: &[u8]) -> &'a [u8] {
    if old == new {
        return authority;
    }
    let port = port_start(authority)
        .and_then(|colon| authority.get(colon + 1..))
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse::<u16>().ok());
    match (port, default_port(old)) {
        (Some(port), Some(default)) if port == default => strip_port(authority),
        _ => authority,
    }
}

fn default_port(scheme: &[u8]) -> Option<u16> {
    match scheme {
        b"http" => Some(80),
        b"https" => Some(443),
        _ => None,
    }
}
