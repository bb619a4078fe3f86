//! An echo in the manner of httpbin: answers with what it received, and on request with a certain
//! status, after a delay, with many bytes, or with a redirect.
//!
//! [`plan()`] decides from the path and the query alone what will be done; the handler does it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{CONTENT_TYPE, HOST, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::encoding::pairs;
use crate::handler::{Call, Handler, Reply, json, reply, text, versioned};

/// Longest delay; a longer one is cut to it.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// Most bytes of `/bytes/N`.
const MAX_BYTES: usize = 10 << 20;

/// Most bytes of a received body that are told back. The rest is only counted.
const MAX_DATA: usize = 64 << 10;

/// Content type of forms, of which parameters may follow.
const FORM: &[u8] = b"application/x-www-form-urlencoded";

/// What a request asks for.
#[derive(Debug, PartialEq)]
struct Plan {
    delay: Duration,
    status: StatusCode,
    shape: Shape,
}

#[derive(Debug, PartialEq)]
enum Shape {
    /// Everything that was received.
    Echo,
    /// `/status/CODE`: no body.
    Empty,
    /// `/headers`
    Headers,
    /// `/ip`
    Ip,
    /// `/user-agent`
    UserAgent,
    /// `/health`
    Health,
    /// `/bytes/N`
    Bytes(usize),
    /// `/redirect-to?url=URL`
    Redirect(HeaderValue),
}

pub(crate) struct Echo {
    version: String,
    pod: String,
    requests: AtomicUsize,
}

/// A received body: how long it was, and its beginning.
struct Received {
    bytes: u64,
    data: Vec<u8>,
    complete: bool,
}

/// Decides what to do for `path` and `query`. `turn` counts requests, for lists of statuses.
fn plan(path: &[&str], query: &str, turn: usize) -> Result<Plan, String> {
    let mut plan = Plan {
        delay: Duration::ZERO,
        status: StatusCode::OK,
        shape: Shape::Echo,
    };
    let mut url = None;
    for (name, value) in pairs(query) {
        match name.as_str() {
            "status" => plan.status = status(&value, turn)?,
            "delay" => plan.delay = delay(&value)?,
            "url" => url = HeaderValue::from_str(&value).ok(),
            _ => {}
        }
    }
    match path {
        ["status", codes] => {
            plan.status = status(codes, turn)?;
            plan.shape = Shape::Empty;
        }
        ["delay", seconds] => plan.delay = delay(seconds)?,
        ["headers"] => plan.shape = Shape::Headers,
        ["ip"] => plan.shape = Shape::Ip,
        ["user-agent"] => plan.shape = Shape::UserAgent,
        ["health"] => plan.shape = Shape::Health,
        ["bytes", count] => {
            let count = count.parse().ok().filter(|count| *count <= MAX_BYTES);
            let count = count.ok_or("expected /bytes/N with N up to 10485760")?;
            plan.shape = Shape::Bytes(count);
        }
        ["redirect-to"] => {
            plan.status = StatusCode::FOUND;
            plan.shape = Shape::Redirect(url.ok_or("expected /redirect-to?url=URL")?);
        }
        _ => {}
    }
    Ok(plan)
}

/// One status, or several with commas between them, which are taken in turn.
fn status(codes: &str, turn: usize) -> Result<StatusCode, String> {
    let parsed: Option<Vec<StatusCode>> = codes
        .split(',')
        .map(|code| {
            let code = code.trim().parse().ok()?;
            let code = Some(code).filter(|code| (200..=599).contains(code))?;
            StatusCode::from_u16(code).ok()
        })
        .collect();
    parsed
        .and_then(|codes| codes.get(turn % codes.len().max(1)).copied())
        .ok_or_else(|| format!("{codes:?} is no status, expected codes from 200 to 599"))
}

fn delay(seconds: &str) -> Result<Duration, String> {
    let delay = seconds.parse().ok();
    delay
        .and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok())
        .map(|delay| delay.min(MAX_DELAY))
        .ok_or_else(|| format!("{seconds:?} is no delay, expected seconds such as 2 or 0.5"))
}

/// Headers with names as people write them, repeated ones joined by commas.
fn headers_json(headers: &HeaderMap) -> Value {
    let mut named = BTreeMap::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        named.insert(title_case(name.as_str()), values.join(","));
    }
    json!(named)
}

fn title_case(name: &str) -> String {
    let mut start = true;
    name.chars()
        .map(|letter| {
            let upper = start;
            start = letter == '-';
            if upper {
                letter.to_ascii_uppercase()
            } else {
                letter
            }
        })
        .collect()
}

async fn receive(mut body: Incoming) -> Received {
    let mut received = Received {
        bytes: 0,
        data: Vec::new(),
        complete: true,
    };
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            received.complete = false;
            break;
        };
        if let Some(chunk) = frame.data_ref() {
            received.bytes += chunk.len() as u64;
            let room = MAX_DATA.saturating_sub(received.data.len());
            let kept = chunk.get(..room.min(chunk.len())).unwrap_or_default();
            received.data.extend_from_slice(kept);
        }
    }
    received
}

// === impl Echo ===

impl Echo {
    pub(crate) fn new(config: &Config) -> Echo {
        Echo {
            version: config.version("v1"),
            pod: config.pod_name(),
            requests: AtomicUsize::new(0),
        }
    }

    async fn answer(&self, call: Call) -> Reply {
        let turn = self.requests.fetch_add(1, Ordering::Relaxed);
        let segments = call.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let query = call.request.uri().query().unwrap_or_default();
        let Plan {
            delay,
            status,
            shape,
        } = match plan(&path, query, turn) {
            Ok(plan) => plan,
            Err(wrong) => return text(StatusCode::BAD_REQUEST, format!("{wrong}\n")),
        };
        tokio::time::sleep(delay).await;
        let origin = call.remote.ip().to_string();
        match shape {
            Shape::Echo => json(status, &self.report(call).await),
            Shape::Empty => reply(status, "text/plain; charset=utf-8", ""),
            Shape::Headers => json(status, &json!({ "headers": headers_json(call.headers()) })),
            Shape::Ip => json(status, &json!({ "origin": origin })),
            Shape::UserAgent => {
                let agent = call.headers().get(USER_AGENT);
                let agent = agent.map(|value| String::from_utf8_lossy(value.as_bytes()));
                json(status, &json!({ "user-agent": agent }))
            }
            Shape::Health => text(status, "Echo is healthy\n"),
            Shape::Bytes(count) => {
                let body = Bytes::from(vec![b'.'; count]);
                reply(status, "application/octet-stream", body)
            }
            Shape::Redirect(url) => {
                let mut reply = text(status, "");
                reply.headers_mut().insert(LOCATION, url);
                reply
            }
        }
    }

    /// Everything about one request. `url`, `args`, `origin`, `data`, `form` and `json` are named as in httpbin.
    async fn report(&self, call: Call) -> Value {
        let (head, body) = call.request.into_parts();
        let received = receive(body).await;
        let uri = &head.uri;
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.unwrap_or_default();
        let path_and_query = uri.path_and_query().map_or("/", |path| path.as_str());
        let args: Map<String, Value> = pairs(uri.query().unwrap_or_default())
            .map(|(name, value)| (name, Value::String(value)))
            .collect();
        let form = match head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes) {
            Some(kind) if kind.starts_with(FORM) => {
                let pairs = pairs(&String::from_utf8_lossy(&received.data)).collect();
                serde_json::to_value::<BTreeMap<_, _>>(pairs).unwrap_or_default()
            }
            _ => json!({}),
        };
        json!({
            "method": head.method.as_str(),
            "path": uri.path(),
            "args": args,
            "url": format!("http://{host}{path_and_query}"),
            "protocol": format!("{:?}", head.version),
            "host": host,
            "headers": headers_json(&head.headers),
            "origin": call.remote.ip().to_string(),
            "bodyBytes": received.bytes,
            "bodyComplete": received.complete,
            "data": String::from_utf8_lossy(&received.data),
            "form": form,
            "json": serde_json::from_slice::<Value>(&received.data).ok(),
            "local": call.local.to_string(),
            "remote": call.remote.to_string(),
            "version": self.version,
            "pod": self.pod,
        })
    }
}

impl Handler for Echo {
    fn handle(&self, call: Call) -> BoxFuture<'_, Reply> {
        async move { versioned(self.answer(call).await, &self.version) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_from_path_and_query() {
        let plan = |path: &[&str], query| plan(path, query, 0).unwrap();
        let plain = plan(&["get"], "status=503&delay=0.5");
        assert_eq!(plain.delay, Duration::from_millis(500));
        assert_eq!((plain.status.as_u16(), plain.shape), (503, Shape::Echo));
        let status = plan(&["status", "418"], "");
        assert_eq!((status.status.as_u16(), status.shape), (418, Shape::Empty));
        assert_eq!(plan(&["delay", "900"], "").delay, MAX_DELAY);
        assert_eq!(plan(&["bytes", "12"], "").shape, Shape::Bytes(12));
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (path, query) in [
            (&["status", "99"][..], ""),
            (&["status", "200,x"], ""),
            (&["delay", "-1"], ""),
            (&["delay", "NaN"], ""),
            (&["bytes", "999999999999"], ""),
            (&["redirect-to"], ""),
            (&["redirect-to"], "url=a%0d%0ab"),
            (&[], "status=100"),
        ] {
            assert!(plan(path, query, 0).is_err(), "{path:?} {query:?}");
        }
    }

    #[test]
    fn several_statuses_are_taken_in_turn() {
        let codes: Vec<u16> = (0..4)
            .map(|turn| status("200,200,503", turn).unwrap().as_u16())
            .collect();
        assert_eq!(codes, [200, 200, 503, 200]);
    }

    #[test]
    fn header_names_as_people_write_them() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("a"));
        headers.append("x-forwarded-for", HeaderValue::from_static("b"));
        assert_eq!(headers_json(&headers), json!({ "X-Forwarded-For": "a,b" }));
    }
}
