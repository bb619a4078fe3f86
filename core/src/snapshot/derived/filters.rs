//! What filters of routes do to requests and responses, in the words of a VirtualService.

use serde_json::{Map, Value, json};

use super::Deriver;
use super::backends::{Backend, Referrer};
use crate::model::gateway_api::{
    HttpCorsFilter, HttpHeaderFilter, HttpPathModifier, HttpRequestMirrorFilter,
    HttpRequestRedirectFilter, HttpUrlRewriteFilter,
};

/// Changes to headers.
pub(super) fn headers(filter: &HttpHeaderFilter) -> Value {
    let pairs = |all: &[crate::model::gateway_api::HttpHeader]| -> Map<String, Value> {
        let pairs = all.iter();
        pairs
            .map(|header| (header.name.to_string(), header.value.clone().into()))
            .collect()
    };
    json!({"set": pairs(&filter.set), "add": pairs(&filter.add), "remove": filter.remove})
}

/// Where copies go; none if that backend cannot be used, so that there are none.
pub(super) fn mirror(
    deriver: &Deriver<'_>,
    filter: &HttpRequestMirrorFilter,
    from: Referrer<'_>,
) -> Option<Value> {
    let backend = &filter.backend_ref;
    let destination = Backend::from(backend);
    let fraction = filter.fraction.as_ref().map(|fraction| {
        let of = f64::from(fraction.denominator.unwrap_or(100).max(1));
        f64::from(fraction.numerator) / of * 100.0
    });
    let percent = fraction.or(filter.percent.map(f64::from));
    let destination = destination.destination(deriver, from)?;
    Some(json!({"destination": destination, "percentage": {"value": percent.unwrap_or(100.0)}}))
}

/// An answer that sends the client elsewhere. Without a scheme and a port clients stay at the port that they have come to.
pub(super) fn redirect(filter: &HttpRequestRedirectFilter) -> Value {
    let mut redirect = json!({"redirectCode": filter.status_code.unwrap_or(302)});
    if let Some(scheme) = &filter.scheme {
        redirect["scheme"] = scheme.as_str().into();
    }
    if let Some(host) = &filter.hostname {
        redirect["authority"] = host.to_string().into();
    }
    match filter.port {
        Some(port) => redirect["port"] = port.into(),
        None => {
            let derived = match filter.scheme {
                Some(_) => "FROM_PROTOCOL_DEFAULT",
                None => "FROM_REQUEST_PORT",
            };
            redirect["derivePort"] = derived.into();
        }
    }
    match filter.path.as_ref() {
        Some(HttpPathModifier {
            replace_full_path: Some(path),
            ..
        }) => redirect["uri"] = path.as_str().into(),
        Some(HttpPathModifier {
            replace_prefix_match: Some(prefix),
            ..
        }) => redirect["prefixRewrite"] = prefix.as_str().into(),
        _ => {}
    }
    redirect
}

/// Changes to host and path. `prefix` is what the rule matches.
pub(super) fn rewrite(filter: &HttpUrlRewriteFilter, prefix: &str) -> Value {
    let mut rewrite = json!({});
    if let Some(host) = &filter.hostname {
        rewrite["authority"] = host.to_string().into();
    }
    match filter.path.as_ref() {
        Some(HttpPathModifier {
            replace_full_path: Some(path),
            ..
        }) => {
            rewrite["uriRegexRewrite"] = json!({"match": "/.*", "rewrite": path});
        }
        Some(HttpPathModifier {
            replace_prefix_match: Some(new),
            ..
        }) => match new.trim_end_matches('/') {
            // What follows the prefix begins with a slash, or is nothing.
            "" => {
                let pattern = format!("{}/*", regex::escape(prefix));
                rewrite["uriRegexRewrite"] = json!({"match": pattern, "rewrite": "/"});
            }
            new => rewrite["uri"] = new.into(),
        },
        _ => {}
    }
    rewrite
}

/// Whose pages may read answers.
pub(super) fn cors(filter: &HttpCorsFilter) -> Value {
    let origins = filter
        .allow_origins
        .iter()
        .map(|origin| match origin.split_once('*') {
            None => json!({"exact": origin}),
            Some(("", "")) => json!({"regex": ".*"}),
            Some((before, after)) => {
                let (before, after) = (regex::escape(before), regex::escape(after));
                json!({"regex": format!("{before}.+{after}")})
            }
        });
    let texts = |all: &[crate::model::gateway_api::HeaderName]| -> Vec<String> {
        all.iter().map(|name| name.to_string()).collect()
    };
    let mut cors = json!({
        "allowOrigins": origins.collect::<Vec<_>>(),
        "allowMethods": serde_json::to_value(&filter.allow_methods).unwrap_or_default(),
        "allowHeaders": texts(&filter.allow_headers),
        "exposeHeaders": texts(&filter.expose_headers),
        "maxAge": format!("{}s", filter.max_age.unwrap_or(5)),
    });
    if let Some(credentials) = filter.allow_credentials {
        cors["allowCredentials"] = credentials.into();
    }
    cors
}
