//! Answers of the proxy itself: redirects and direct responses; and the rewrites that redirects share with forwarding.

use std::num::NonZeroU16;

use envoy_types::pb::envoy::config::route::v3::{
    DirectResponseAction, RedirectAction,
    redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier},
};
use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;
use mesh_ir::{DirectResponse, PathRewrite, Redirect};

use super::border::{At, InvalidResource};
use super::{header_match, values};

/// Status codes of redirects.
const CODES: [(u16, RedirectResponseCode); 5] = [
    (301, RedirectResponseCode::MovedPermanently),
    (302, RedirectResponseCode::Found),
    (303, RedirectResponseCode::SeeOther),
    (307, RedirectResponseCode::TemporaryRedirect),
    (308, RedirectResponseCode::PermanentRedirect),
];

pub(super) fn to_proto(value: &Redirect) -> RedirectAction {
    let Redirect {
        code,
        scheme,
        host,
        port,
        path,
    } = value;
    let response_code = CODES
        .iter()
        .find(|(known, _)| known == code)
        .map_or(RedirectResponseCode::MovedPermanently, |(_, proto)| *proto);
    RedirectAction {
        host_redirect: host.as_deref().unwrap_or_default().to_owned(),
        port_redirect: port.map_or(0, |port| port.get().into()),
        response_code: response_code.into(),
        strip_query: false,
        scheme_rewrite_specifier: scheme
            .as_ref()
            .map(|scheme| SchemeRewriteSpecifier::SchemeRedirect(scheme.to_string())),
        path_rewrite_specifier: path.as_ref().map(|path| match path {
            PathRewrite::Full(path) => PathRewriteSpecifier::PathRedirect(path.to_string()),
            PathRewrite::Prefix(prefix) => PathRewriteSpecifier::PrefixRewrite(prefix.to_string()),
            PathRewrite::Regex {
                pattern,
                substitution,
            } => PathRewriteSpecifier::RegexRewrite(substitute(pattern, substitution)),
        }),
    }
}

pub(super) fn from_proto(proto: RedirectAction, at: &At<'_>) -> Result<Redirect, InvalidResource> {
    open!(at, proto => RedirectAction {
        keep { host_redirect, port_redirect, response_code, scheme_rewrite_specifier, path_rewrite_specifier }
        refuse { strip_query }
        ignore {}
    });
    let code = CODES
        .iter()
        .find(|(_, proto)| i32::from(*proto) == response_code)
        .map(|(code, _)| *code)
        .ok_or_else(|| at.field("response_code").unsupported())?;
    let path = match path_rewrite_specifier {
        None => None,
        Some(PathRewriteSpecifier::PathRedirect(path)) => Some(PathRewrite::Full(path.into())),
        Some(PathRewriteSpecifier::PrefixRewrite(prefix)) => {
            Some(PathRewrite::Prefix(prefix.into()))
        }
        Some(PathRewriteSpecifier::RegexRewrite(regex)) => {
            Some(from_substitute(regex, &at.field("regex_rewrite"))?)
        }
        Some(PathRewriteSpecifier::PathRewrite(_)) => {
            return Err(at.field("path_rewrite").unsupported());
        }
    };
    Ok(Redirect {
        code,
        scheme: match scheme_rewrite_specifier {
            None | Some(SchemeRewriteSpecifier::HttpsRedirect(false)) => None,
            Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => Some("https".into()),
            Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) => Some(scheme.into()),
        },
        host: (!host_redirect.is_empty()).then(|| host_redirect.into()),
        port: NonZeroU16::new(values::port(port_redirect, &at.field("port_redirect"))?),
        path,
    })
}

pub(super) fn substitute(pattern: &str, substitution: &str) -> RegexMatchAndSubstitute {
    RegexMatchAndSubstitute {
        pattern: Some(header_match::regex(pattern)),
        substitution: substitution.to_owned(),
    }
}

pub(super) fn from_substitute(
    proto: RegexMatchAndSubstitute,
    at: &At<'_>,
) -> Result<PathRewrite, InvalidResource> {
    let RegexMatchAndSubstitute {
        pattern,
        substitution,
    } = proto;
    let pattern = header_match::from_regex(at.require("pattern", pattern)?, &at.field("pattern"))?;
    Ok(PathRewrite::Regex {
        pattern: pattern.into(),
        substitution: substitution.into(),
    })
}

pub(super) fn direct(value: &DirectResponse) -> DirectResponseAction {
    let DirectResponse { code, body } = value;
    DirectResponseAction {
        status: u32::from(*code),
        body: if body.is_empty() {
            None
        } else {
            values::inline(body)
        },
        body_format: None,
    }
}

pub(super) fn from_direct(
    proto: DirectResponseAction,
    at: &At<'_>,
) -> Result<DirectResponse, InvalidResource> {
    open!(at, proto => DirectResponseAction {
        keep { status, body }
        refuse { body_format }
        ignore {}
    });
    let code = u16::try_from(status)
        .ok()
        .filter(|code| (200..600).contains(code))
        .ok_or_else(|| {
            at.field("status")
                .value(format!("{status} is not a status code from 200 to 599"))
        })?;
    let body = match body {
        None => String::new(),
        Some(source) => values::from_inline(source, &at.field("body"))?,
    };
    Ok(DirectResponse {
        code,
        body: body.into(),
    })
}
