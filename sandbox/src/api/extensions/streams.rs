//! Parts of pods that are not stored: their logs, and connections to their ports.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::api::call::{Call, Extension};
use crate::api::logs::LogQuery;
use crate::api::portforward::{self, Dial};
use crate::api::response::{self, Answer};
use crate::api::state::Api;
use crate::api::status::Status;
use crate::node;

/// The protocol of port forwarding that is spoken.
const CHANNELS: &str = "v4.channel.k8s.io";

pub const ROWS: &[Extension] = &[
    row("log", &["GET"], log),
    row("portforward", &["GET", "POST"], forward),
    row("exec", &["GET", "POST"], refuse),
    row("attach", &["GET", "POST"], refuse),
    row("ephemeralcontainers", &["GET", "PUT", "PATCH"], refuse),
];

const fn row(
    subresource: &'static str,
    methods: &'static [&'static str],
    handle: fn(Call) -> BoxFuture<'static, Answer>,
) -> Extension {
    Extension {
        group: "",
        resource: "pods",
        subresource,
        methods,
        handle,
    }
}

/// The pod of the path.
fn pod(api: &Api, namespace: &str, name: &str) -> Result<Pod, Status> {
    let object = api
        .core("pods", namespace, name)
        .ok_or_else(|| Status::not_found("", "pods", name))?;
    Pod::deserialize(&*object)
        .map_err(|error| Status::internal(format!("the stored pod cannot be read: {error}")))
}

// === log ===

fn log(call: Call) -> BoxFuture<'static, Answer> {
    async move {
        let refused = |error: crate::api::logs::LogError| Status::bad_request(error.to_string());
        let query =
            LogQuery::parse(call.request.query.iter(), Timestamp::now()).map_err(refused)?;
        let (namespace, name) = (
            call.path.namespace().to_owned(),
            call.path.name().to_owned(),
        );
        let source = query
            .source(&pod(&call.api, &namespace, &name)?)
            .map_err(refused)?;
        let path = source.path(&call.api.directory);
        let api = call.api.clone();
        let ended = move || {
            let now = pod(&api, &namespace, &name).ok();
            source.has_ended(now.as_ref())
        };
        let stop = call.api.stop.clone();
        let lines = node::read_log(path, query.selection, ended)
            .map(Ok)
            .take_until(stop.cancelled_owned());
        Ok(response::stream("text/plain; charset=utf-8", lines))
    }
    .boxed()
}

// === portforward ===

fn forward(mut call: Call) -> BoxFuture<'static, Answer> {
    async move {
        let pod = pod(&call.api, call.path.namespace(), call.path.name())?;
        let Some(upgrade) = call.upgrade.take() else {
            return Err(Status::bad_request(
                "port forwarding needs an upgrade of the connection",
            ));
        };
        let accept = websocket(&call.headers)?;
        let ports = ports(&call)?;
        let (api, stop) = (call.api.clone(), call.api.stop.clone());
        let carry = async move {
            let Ok(upgraded) = upgrade.await else { return };
            let socket =
                WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            let dial = dialler(api, pod);
            tokio::select! {
                () = portforward::serve(socket, &ports, &*dial) => {}
                () = stop.cancelled() => {}
            }
        };
        // The task ends with the connection, the pod's side, or the server.
        tokio::spawn(carry);
        let mut answer = Response::new(response::nothing());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(CHANNELS));
        Ok(answer)
    }
    .boxed()
}

fn dialler(api: Arc<Api>, pod: Pod) -> Box<Dial> {
    let pod = Arc::new(pod);
    Box::new(move |port| {
        let (backend, pod) = (api.backend.clone(), pod.clone());
        async move { node::dial_pod(&*backend, &pod, port).await }.boxed()
    })
}

/// Checks the handshake, and gives the answer to its key.
fn websocket(headers: &HeaderMap) -> Result<HeaderValue, Status> {
    let text = |name: http::HeaderName| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    };
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offered = offered
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    if !text(UPGRADE).eq_ignore_ascii_case("websocket")
        || !offered.any(|protocol| protocol.trim() == CHANNELS)
    {
        return Err(Status::bad_request(format!(
            "the sandbox forwards ports by WebSocket with the protocol {CHANNELS} only, which kubectl does not speak; every \
             pod's address can be reached directly (see `meshctl sandbox status`)"
        )));
    }
    HeaderValue::from_str(&derive_accept_key(text(SEC_WEBSOCKET_KEY).as_bytes()))
        .map_err(|_| Status::bad_request("the WebSocket handshake has no valid key"))
}

/// The ports asked for: `ports=80&ports=81`, or with commas.
fn ports(call: &Call) -> Result<Vec<u16>, Status> {
    let words = call.request.query.all("ports");
    let ports: Result<Vec<u16>, _> = words
        .flat_map(|value| value.split(','))
        .map(|port| {
            let number = port.parse().ok().filter(|port| *port != 0);
            number.ok_or_else(|| Status::bad_request(format!("{port:?} is not a port")))
        })
        .collect();
    match ports? {
        none if none.is_empty() => Err(Status::bad_request(
            "the query parameter \"ports\" is missing",
        )),
        many if many.len() > portforward::MOST_PORTS => Err(Status::bad_request(format!(
            "no more than {} ports are forwarded at once",
            portforward::MOST_PORTS
        ))),
        ports => Ok(ports),
    }
}

// === what the sandbox does not do ===

fn refuse(call: Call) -> BoxFuture<'static, Answer> {
    let part = call.path.subresource;
    let text = format!(
        "the sandbox does not do {part}: its pods are processes of this machine, which run without a file system of their own"
    );
    async move { Err(Status::bad_request(text)) }.boxed()
}
