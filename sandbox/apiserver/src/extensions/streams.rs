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

use crate::call::{Call, Extension};
use crate::logs::LogQuery;
use crate::portforward::{self, Dial};
use crate::response::{self, Answer};
use crate::spdy;
use crate::state::Api;
use crate::status::Status;

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
        let refused = |error: crate::logs::LogError| Status::bad_request(error.to_string());
        let query =
            LogQuery::parse(call.request.query.iter(), Timestamp::now()).map_err(refused)?;
        let (namespace, name) = (
            call.path.namespace().to_owned(),
            call.path.name().to_owned(),
        );
        let source = query
            .source(&pod(&call.api, &namespace, &name)?)
            .map_err(refused)?;
        let kubelet = call.api.kubelet.clone();
        let run = source.clone();
        let api = call.api.clone();
        let ended = move || {
            let now = pod(&api, &namespace, &name).ok();
            source.has_ended(now.as_ref())
        };
        let stop = call.api.stop.clone();
        let lines = kubelet.log(run, query.options, Box::new(ended)).await;
        let lines = lines.map_err(|error| {
            Status::unavailable(format!("the log cannot be read now: {error}"), 1)
        })?;
        let lines = lines.map(Ok).take_until(stop.cancelled_owned());
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
        let (accept, protocol) = websocket(&call.headers)?;
        let ports = match protocol {
            Protocol::Channels => ports(&call)?,
            Protocol::Spdy => Vec::new(),
        };
        let (api, stop) = (call.api.clone(), call.api.stop.clone());
        let carry = async move {
            let Ok(upgraded) = upgrade.await else { return };
            let socket =
                WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            let dial = dialler(api, pod);
            let served = async {
                match protocol {
                    Protocol::Channels => portforward::serve(socket, &ports, &*dial).await,
                    Protocol::Spdy => spdy::serve(socket, dial).await,
                }
            };
            tokio::select! {
                () = served => {}
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
        let name = HeaderValue::from_static(protocol.name());
        headers.insert(SEC_WEBSOCKET_PROTOCOL, name);
        Ok(answer)
    }
    .boxed()
}

fn dialler(api: Arc<Api>, pod: Pod) -> Arc<Dial> {
    let pod = Arc::new(pod);
    Arc::new(move |port| api.kubelet.dial_pod(pod.clone(), port))
}

/// The protocols of port forwarding that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// kube-rs: a channel for each port.
    Channels,
    /// kubectl: frames of SPDY.
    Spdy,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Channels => "v4.channel.k8s.io",
            Self::Spdy => spdy::PROTOCOL,
        }
    }
}

/// Checks the handshake, and gives the answer to its key and the protocol to speak.
fn websocket(headers: &HeaderMap) -> Result<(HeaderValue, Protocol), Status> {
    let text = |name: http::HeaderName| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    };
    let offered: Vec<&str> = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let mut spoken = [Protocol::Channels, Protocol::Spdy].into_iter();
    let protocol = spoken
        .find(|protocol| offered.contains(&protocol.name()))
        .filter(|_| text(UPGRADE).eq_ignore_ascii_case("websocket"));
    let protocol = protocol.ok_or_else(|| {
        Status::bad_request(
            "the sandbox forwards ports by WebSocket, with the protocols of kube-rs and of kubectl 1.31 and later",
        )
    })?;
    let accept = derive_accept_key(text(SEC_WEBSOCKET_KEY).as_bytes());
    let accept = HeaderValue::from_str(&accept)
        .map_err(|_| Status::bad_request("the WebSocket handshake has no valid key"))?;
    Ok((accept, protocol))
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
