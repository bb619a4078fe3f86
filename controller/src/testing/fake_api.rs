//! An API server in memory that fails on demand.
//!
//! It knows no kinds: a path is a collection when something is listed, watched or created there, and an object is a path below. It
//! keeps versions and a log of events, from which watches are served. Patches are merged, whatever their type.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

/// Says what goes wrong with a request.
type Faults = Arc<dyn Fn(&Seen) -> Option<Fault> + Send + Sync>;
type ResponseBody = UnsyncBoxBody<Bytes, io::Error>;

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is answered with this status.
    Status(u16),
    /// It is not answered before watches are dropped.
    Hang,
    /// It is answered late.
    Slow(Duration),
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at: Instant,
    pub method: Method,
    pub path: String,
    pub query: String,
}

/// The server. Clones are the same server.
#[derive(Clone, Default)]
pub struct FakeApi {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Changes with every event, and when watches are to end.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    version: u64,
    /// Events before this version are forgotten.
    oldest: u64,
    /// Watches that began before the last drop end.
    dropped: u64,
    objects: BTreeMap<String, Value>,
    /// Version, collection, and what happened.
    events: Vec<(u64, String, Value)>,
    fault: Option<Faults>,
    seen: Vec<Seen>,
}

// === impl Seen ===

impl Seen {
    /// Whether it lists a collection.
    pub fn is_list(&self) -> bool {
        self.method == Method::GET && !self.is_watch()
    }

    /// Whether it watches a collection.
    pub fn is_watch(&self) -> bool {
        self.query.contains("watch=true")
    }
}

// === impl FakeApi ===

impl FakeApi {
    /// A client of it. Needs a runtime.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }

    /// Lets requests fail from now on, instead of earlier faults.
    pub fn inject(&self, fault: impl Fn(&Seen) -> Option<Fault> + Send + Sync + 'static) {
        self.state().fault = Some(Arc::new(fault));
    }

    /// Lets nothing fail any more.
    pub fn heal(&self) {
        self.state().fault = None;
    }

    /// Ends all watches.
    pub fn drop_watches(&self) {
        self.state().dropped += 1;
        self.shared.changed.send_modify(|count| *count += 1);
    }

    /// Forgets the events so far: watches that want to go on from an older version get 410 Gone.
    pub fn forget_events(&self) {
        let mut state = self.state();
        state.oldest = state.version;
        state.events.clear();
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// The object at a path.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.state().objects.get(path).cloned()
    }

    /// Creates or replaces an object.
    pub fn put(&self, path: &str, object: Value) -> Value {
        self.store(path, object)
    }

    /// Removes an object.
    pub fn delete(&self, path: &str) {
        let mut state = self.state();
        if let Some(mut object) = state.objects.remove(path) {
            state.version += 1;
            object["metadata"]["resourceVersion"] = json!(state.version.to_string());
            state.log(path, "DELETED", object);
        }
        drop(state);
        self.shared.changed.send_modify(|count| *count += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self, path: &str, mut object: Value) -> Value {
        let mut state = self.state();
        let known = state.objects.contains_key(path);
        state.version += 1;
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        state.objects.insert(path.to_owned(), object.clone());
        state.log(
            path,
            if known { "MODIFIED" } else { "ADDED" },
            object.clone(),
        );
        drop(state);
        self.shared.changed.send_modify(|count| *count += 1);
        object
    }

    async fn answer(self, request: Request<Body>) -> Response<ResponseBody> {
        let (head, body) = request.into_parts();
        let seen = Seen {
            at: Instant::now(),
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
        };
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let body = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or(Value::Null);
        let fault = {
            let mut state = self.state();
            state.seen.push(seen.clone());
            state.fault.clone()
        };
        match fault.and_then(|fault| fault(&seen)) {
            None => {}
            Some(Fault::Status(code)) => return failure(code, "injected"),
            Some(Fault::Hang) => {
                self.until_dropped().await;
                return failure(504, "injected");
            }
            Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
        }
        match seen.method {
            _ if seen.is_watch() => self.watch(&seen),
            Method::GET => self.read(&seen.path),
            Method::POST => self.create(&seen.path, body),
            Method::PUT => self.replace(&seen.path, body),
            Method::PATCH => self.patch(&seen.path, &body),
            _ => failure(405, "not known here"),
        }
    }

    async fn until_dropped(&self) {
        let mut changes = self.shared.changed.subscribe();
        let began = self.state().dropped;
        while self.state().dropped == began && changes.changed().await.is_ok() {}
    }

    fn read(&self, path: &str) -> Response<ResponseBody> {
        let state = self.state();
        if let Some(object) = state.objects.get(path) {
            return success(object);
        }
        if !is_collection(path) {
            return failure(404, "not found");
        }
        let items: Vec<&Value> = state
            .objects
            .iter()
            .filter(|(object, _)| collections(object).any(|other| other == path))
            .map(|(_, object)| object)
            .collect();
        let version = state.version.to_string();
        success(
            &json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": version}, "items": items}),
        )
    }

    fn create(&self, path: &str, body: Value) -> Response<ResponseBody> {
        let path = format!(
            "{path}/{}",
            body["metadata"]["name"].as_str().unwrap_or_default()
        );
        if self.get(&path).is_some() {
            return failure(409, "already exists");
        }
        success(&self.store(&path, body))
    }

    fn replace(&self, path: &str, body: Value) -> Response<ResponseBody> {
        let Some(old) = self.get(path) else {
            return failure(404, "not found");
        };
        let given = &body["metadata"]["resourceVersion"];
        if given.is_string() && *given != old["metadata"]["resourceVersion"] {
            return failure(409, "the object has been modified");
        }
        success(&self.store(path, body))
    }

    fn patch(&self, path: &str, body: &Value) -> Response<ResponseBody> {
        let (path, subresource) = match path.strip_suffix("/status") {
            Some(object) => (object, true),
            None => (path, false),
        };
        let Some(old) = self.get(path) else {
            return match subresource {
                true => failure(404, "not found"),
                // Server-side apply creates.
                false => success(&self.store(path, body.clone())),
            };
        };
        let mut new = old.clone();
        merge(&mut new, body);
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
        if new == old {
            return success(&old);
        }
        success(&self.store(path, new))
    }

    fn watch(&self, seen: &Seen) -> Response<ResponseBody> {
        let since = seen
            .query
            .split('&')
            .find_map(|pair| pair.strip_prefix("resourceVersion="));
        let mut since: u64 = since.and_then(|text| text.parse().ok()).unwrap_or(0);
        let (path, server) = (seen.path.clone(), self.clone());
        let began = self.state().dropped;
        let stream = async_events(move || {
            let (path, server) = (path.clone(), server.clone());
            let state = server.state();
            if state.dropped > began {
                return None;
            }
            if since < state.oldest {
                since = u64::MAX;
                return Some(vec![
                    json!({"type": "ERROR", "object": status(410, "too old resource version")}),
                ]);
            }
            let new = state.events.iter().filter(|(version, collection, _)| {
                *version > since && collections(collection).any(|other| other == path)
            });
            let events: Vec<Value> = new.map(|(_, _, event)| event.clone()).collect();
            since = since.max(state.version);
            Some(events)
        });
        let changes = self.shared.changed.subscribe();
        let frames = futures::stream::unfold(
            (stream, changes, true),
            |(mut next, mut changes, first)| async move {
                if !first && changes.changed().await.is_err() {
                    return None;
                }
                let events = next()?;
                let text: String = events.iter().map(|event| format!("{event}\n")).collect();
                Some((Ok(Frame::data(Bytes::from(text))), (next, changes, false)))
            },
        );
        let body = StreamBody::new(frames.boxed());
        Response::new(UnsyncBoxBody::new(body))
    }
}

/// Only gives a closure its type.
fn async_events<F: FnMut() -> Option<Vec<Value>> + Send + 'static>(next: F) -> F {
    next
}

impl tonic::codegen::Service<Request<Body>> for FakeApi {
    type Response = Response<ResponseBody>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move { Ok(server.answer(request).await) })
    }
}

// === impl State ===

impl State {
    fn log(&mut self, path: &str, kind: &str, object: Value) {
        let event = json!({"type": kind, "object": object});
        self.events.push((self.version, path.to_owned(), event));
    }
}

/// `/api/v1/namespaces/NS/PLURAL` has an odd number of parts after the version, an object an even one.
fn is_collection(path: &str) -> bool {
    let skip = if path.starts_with("/apis/") { 3 } else { 2 };
    let parts = path.split('/').skip(1 + skip);
    parts.count() % 2 == 1
}

/// The collections that an object is in: its namespace's and the one of all namespaces.
fn collections(object: &str) -> impl Iterator<Item = String> {
    let parts: Vec<&str> = object.split('/').collect();
    let skip = if object.starts_with("/apis/") { 4 } else { 3 };
    let own = parts[..parts.len() - 1].join("/");
    let all = match parts.get(skip..) {
        Some(["namespaces", _, plural, _]) => Some([&parts[..skip], &[*plural]].concat().join("/")),
        _ => None,
    };
    std::iter::once(own).chain(all)
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key.as_str()], value);
        }
    }
}

fn success(object: &Value) -> Response<ResponseBody> {
    respond(200, object)
}

fn failure(code: u16, message: &str) -> Response<ResponseBody> {
    respond(code, &status(code, message))
}

fn status(code: u16, message: &str) -> Value {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code})
}

fn respond(code: u16, body: &Value) -> Response<ResponseBody> {
    let body = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {});
    let mut response = Response::new(UnsyncBoxBody::new(body));
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap();
    response
}
