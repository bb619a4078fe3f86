//! `httpbin`: the endpoints of the public httpbins that tutorials call. What the echo knows it does;
//! other paths are not found, and paths that are for one method take no other.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::echo::Echo;
use crate::encoding::pairs;
use crate::handler::{Call, Handler, Reply, html, json, method_not_allowed, not_found, text};

/// Most lines of `/stream/N`, as in the public ones.
const MAX_LINES: usize = 100;

const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>httpbin of the samples</title></head><body>\n\
    <h1>httpbin of the samples</h1>\n<p>Try <a href=\"get\">/get</a>, <a href=\"headers\">/headers</a>, \
    <a href=\"ip\">/ip</a>, <a href=\"status/418\">/status/418</a>, <a href=\"delay/2\">/delay/2</a>.</p>\n\
    </body></html>\n";

const TEAPOT: &str = "I am a teapot: tea is all that I make.\n";

pub(crate) struct Httpbin {
    echo: Echo,
}

/// What to do with a request.
#[derive(Debug, PartialEq)]
enum Plan<'a> {
    /// As the echo does it.
    Echo,
    /// What is at the path takes this method only.
    Only(&'static str),
    Page,
    Teapot,
    Json,
    Cookies,
    ResponseHeaders,
    BasicAuth(&'a str, &'a str),
    Bearer,
    Stream(&'a str),
    NotFound,
}

fn plan<'a>(path: &[&'a str], method: &Method) -> Plan<'a> {
    let only = |allowed: &'static str| match allowed.contains(method.as_str()) {
        true => Plan::Echo,
        false => Plan::Only(allowed),
    };
    match path {
        ["get" | "headers" | "ip" | "user-agent" | "health"] | ["bytes", _] => only("GET, HEAD"),
        ["post"] => only("POST"),
        ["put"] => only("PUT"),
        ["patch"] => only("PATCH"),
        ["delete"] => only("DELETE"),
        ["status", "418"] => Plan::Teapot,
        ["anything", ..] | ["status" | "delay", _] | ["redirect-to"] => Plan::Echo,
        [] | ["html"] => Plan::Page,
        ["json"] => Plan::Json,
        ["cookies"] => Plan::Cookies,
        ["response-headers"] => Plan::ResponseHeaders,
        ["basic-auth", user, password] => Plan::BasicAuth(user, password),
        ["bearer"] => Plan::Bearer,
        ["stream", count] => Plan::Stream(count),
        _ => Plan::NotFound,
    }
}

/// The answer's headers are those of the query.
fn response_headers(query: &str) -> Reply {
    let all: Map<String, Value> = pairs(query)
        .map(|(name, value)| (name, Value::String(value)))
        .collect();
    let mut reply = json(StatusCode::OK, &Value::Object(all));
    for (name, value) in pairs(query) {
        let header = HeaderName::try_from(name).ok().zip(value.parse().ok());
        let Some((name, value)) = header else {
            return text(StatusCode::BAD_REQUEST, "the query is no list of headers\n");
        };
        // Its framing is the server's own.
        if name != http::header::CONTENT_LENGTH && name != http::header::TRANSFER_ENCODING {
            reply.headers_mut().insert(name, value);
        }
    }
    reply
}

fn cookies(headers: &HeaderMap) -> Reply {
    let all = headers.get_all(COOKIE).iter();
    let all = all.filter_map(|value| value.to_str().ok());
    let all: Map<String, Value> = all
        .flat_map(|text| text.split(';'))
        .filter_map(|one| one.trim().split_once('='))
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    json(StatusCode::OK, &json!({ "cookies": all }))
}

/// What follows the scheme in `Authorization`.
fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (found, rest) = value.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

fn unauthorized(challenge: &'static str) -> Reply {
    let mut reply = text(StatusCode::UNAUTHORIZED, "");
    let challenge = HeaderValue::from_static(challenge);
    reply.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    reply
}

fn basic_auth(headers: &HeaderMap, user: &str, password: &str) -> Reply {
    let wanted = BASE64_STANDARD.encode(format!("{user}:{password}"));
    match credentials(headers, "basic") == Some(wanted.as_str()) {
        true => json(
            StatusCode::OK,
            &json!({ "authenticated": true, "user": user }),
        ),
        false => unauthorized("Basic realm=\"samples\""),
    }
}

fn stream(count: &str) -> Reply {
    let Some(count) = count.parse().ok().filter(|count| *count <= MAX_LINES) else {
        return text(
            StatusCode::BAD_REQUEST,
            "expected /stream/N with N up to 100\n",
        );
    };
    let lines = (0..count).map(|id| format!("{}\n", json!({ "id": id })));
    crate::handler::reply(
        StatusCode::OK,
        "application/json",
        lines.collect::<String>(),
    )
}

// === impl Httpbin ===

impl Httpbin {
    pub(crate) fn new(config: &Config) -> Httpbin {
        Httpbin {
            echo: Echo::new(config),
        }
    }

    async fn answer(&self, call: Call) -> Reply {
        let segments = call.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let headers = call.headers();
        match plan(&path, call.request.method()) {
            Plan::Echo => self.echo.handle(call).await,
            Plan::Only(allowed) => method_not_allowed(allowed),
            Plan::Page => html(StatusCode::OK, PAGE.to_owned()),
            Plan::Teapot => text(StatusCode::IM_A_TEAPOT, TEAPOT),
            Plan::Json => json(
                StatusCode::OK,
                &json!({ "slideshow": { "title": "Sample", "slides": [{ "title": "A mesh" }] } }),
            ),
            Plan::Cookies => cookies(headers),
            Plan::ResponseHeaders => {
                response_headers(call.request.uri().query().unwrap_or_default())
            }
            Plan::BasicAuth(user, password) => basic_auth(headers, user, password),
            Plan::Bearer => match credentials(headers, "bearer") {
                Some(token) => json(
                    StatusCode::OK,
                    &json!({ "authenticated": true, "token": token }),
                ),
                None => unauthorized("Bearer"),
            },
            Plan::Stream(count) => stream(count),
            Plan::NotFound => not_found(),
        }
    }
}

impl Handler for Httpbin {
    fn handle(&self, call: Call) -> BoxFuture<'_, Reply> {
        self.answer(call).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_take_their_methods() {
        let get = |path: &[&'static str]| plan(path, &Method::GET);
        assert_eq!(get(&["get"]), Plan::Echo);
        assert_eq!(get(&["post"]), Plan::Only("POST"));
        assert_eq!(get(&["anything", "a", "b"]), Plan::Echo);
        assert_eq!(get(&["status", "503"]), Plan::Echo);
        assert_eq!(get(&["status", "418"]), Plan::Teapot);
        assert_eq!(get(&["other"]), Plan::NotFound);
        assert_eq!(plan(&["post"], &Method::POST), Plan::Echo);
        assert_eq!(plan(&["get"], &Method::HEAD), Plan::Echo);
        assert_eq!(plan(&["get"], &Method::POST), Plan::Only("GET, HEAD"));
    }

    #[test]
    fn credentials_count() {
        let mut headers = HeaderMap::new();
        let status = |headers: &HeaderMap| basic_auth(headers, "jason", "secret").status().as_u16();
        assert_eq!(status(&headers), 401);
        // "jason:secret"
        headers.insert(AUTHORIZATION, "Basic amFzb246c2VjcmV0".parse().unwrap());
        assert_eq!(status(&headers), 200);
        headers.insert(AUTHORIZATION, "Basic amFzb246c2VjcmV1".parse().unwrap());
        assert_eq!(status(&headers), 401);
    }

    #[test]
    fn answers_carry_the_headers_that_are_asked_for() {
        let reply = response_headers("x-a=1&Content-Type=text%2Fhtml&content-length=3");
        assert_eq!(reply.headers()["x-a"], "1");
        assert_eq!(reply.headers()["content-type"], "text/html");
        assert!(!reply.headers().contains_key("content-length"));
        assert_eq!(response_headers("a%20b=1").status().as_u16(), 400);
    }
}
