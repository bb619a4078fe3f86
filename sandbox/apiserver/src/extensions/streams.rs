//! Parts of pods that are not stored: their logs, connections to their ports, and programs run in them.

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
use crate::exec;
use crate::kubelet::ExecRequest;
use crate::logs::LogQuery;
use crate::portforward::{self, Dial};
use crate::response::{self, Answer};
use crate::spdy;
use crate::state::Api;
use crate::status::Status;

pub const ROWS: &[Extension] = &[
    row("log", &["GET"], log),
    row("portforward", &["GET", "POST"], forward),
    row("exec", &["GET", "POST"], run),
    row("attach", &["GET", "POST"], run),
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
        let (accept, protocol) = websocket(&call.headers, &[Protocol::Channels, Protocol::Spdy])?;
        let ports = match protocol {
            Protocol::Spdy => Vec::new(),
            _ => ports(&call)?,
        };
        let (api, stop) = (call.api.clone(), call.api.stop.clone());
        let carry = async move {
            let Ok(upgraded) = upgrade.await else { return };
            let socket =
                WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            let dial = dialler(api, pod);
            let served = async {
                match protocol {
                    Protocol::Spdy => spdy::serve(socket, dial).await,
                    _ => portforward::serve(socket, &ports, &*dial).await,
                }
            };
            tokio::select! {
                () = served => {}
                () = stop.cancelled() => {}
            }
        };
        // The task ends with the connection, the pod's side, or the server.
        tokio::spawn(carry);
        Ok(switched(accept, protocol))
    }
    .boxed()
}

/// The answer that turns a request into a WebSocket.
fn switched(accept: HeaderValue, protocol: Protocol) -> Response<response::Body> {
    let mut answer = Response::new(response::nothing());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    let name = HeaderValue::from_static(protocol.name());
    headers.insert(SEC_WEBSOCKET_PROTOCOL, name);
    answer
}

fn dialler(api: Arc<Api>, pod: Pod) -> Arc<Dial> {
    let pod = Arc::new(pod);
    Arc::new(move |port| api.kubelet.dial_pod(pod.clone(), port))
}

/// The protocols that are spoken in WebSockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// Channels whose ends are told one by one: kubectl, for programs.
    ChannelsWithEnds,
    /// Channels: kube-rs, for programs and, with some for each port, for ports.
    Channels,
    /// Frames of SPDY: kubectl, for ports.
    Spdy,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::ChannelsWithEnds => "v5.channel.k8s.io",
            Self::Channels => "v4.channel.k8s.io",
            Self::Spdy => spdy::PROTOCOL,
        }
    }
}

/// Checks the handshake, and gives the answer to its key and the first of some protocols that the client speaks.
fn websocket(headers: &HeaderMap, spoken: &[Protocol]) -> Result<(HeaderValue, Protocol), Status> {
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
    let protocol = spoken
        .iter()
        .copied()
        .find(|protocol| offered.contains(&protocol.name()))
        .filter(|_| text(UPGRADE).eq_ignore_ascii_case("websocket"));
    let protocol = protocol.ok_or_else(|| {
        Status::bad_request(
            "the sandbox speaks WebSocket, with the protocols of kube-rs and of kubectl 1.31 and later",
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

// === exec and attach ===

fn run(mut call: Call) -> BoxFuture<'static, Answer> {
    async move {
        let pod = pod(&call.api, call.path.namespace(), call.path.name())?;
        let request = exec_request(&call, pod)?;
        let spoken = [Protocol::ChannelsWithEnds, Protocol::Channels];
        let (accept, protocol) = websocket(&call.headers, &spoken)?;
        let Some(upgrade) = call.upgrade.take() else {
            return Err(Status::bad_request("Upgrade request required"));
        };
        let (kubelet, stop) = (call.api.kubelet.clone(), call.api.stop.clone());
        let carry = async move {
            let Ok(upgraded) = upgrade.await else { return };
            let socket =
                WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            let session = kubelet.exec(request).await;
            let has_ends = protocol == Protocol::ChannelsWithEnds;
            tokio::select! {
                () = exec::serve(socket, session, has_ends) => {}
                () = stop.cancelled() => {}
            }
        };
        // The task ends with the connection, the program, or the server.
        tokio::spawn(carry);
        Ok(switched(accept, protocol))
    }
    .boxed()
}

/// What is to be run, and in which container: the one named, else the pod's default, else its first.
fn exec_request(call: &Call, pod: Pod) -> Result<ExecRequest, Status> {
    let query = &call.request.query;
    let command: Vec<String> = query.all("command").map(str::to_owned).collect();
    let is_exec = call.path.subresource == "exec";
    if is_exec && command.is_empty() {
        return Err(Status::bad_request(
            "you must specify at least one command for the container",
        ));
    }
    let name = pod.metadata.name.clone().unwrap_or_default();
    let status = pod.status.clone().unwrap_or_default();
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        let phase = status.phase.unwrap_or_default();
        return Err(Status::internal(format!(
            "cannot exec into a container in a completed pod; current phase is {phase}"
        )));
    }
    let annotated = pod.metadata.annotations.as_ref().and_then(|annotations| {
        annotations
            .get("kubectl.kubernetes.io/default-container")
            .cloned()
    });
    let spec = pod.spec.clone().unwrap_or_default();
    let all = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    let names: Vec<&str> = all.map(|container| container.name.as_str()).collect();
    let first = spec.containers.first();
    let wanted = query
        .get("container")
        .filter(|container| !container.is_empty())
        .map(str::to_owned)
        .or(annotated.filter(|container| names.contains(&container.as_str())))
        .or_else(|| first.map(|container| container.name.clone()))
        .unwrap_or_default();
    if !names.contains(&wanted.as_str()) {
        return Err(Status::bad_request(format!(
            "container {wanted} is not valid for pod {name}"
        )));
    }
    let statuses = status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
        .flatten();
    let runs = statuses
        .filter(|status| status.name == wanted)
        .any(|status| {
            status
                .state
                .as_ref()
                .is_some_and(|state| state.running.is_some())
        });
    if !runs {
        return Err(Status::internal(format!(
            "unable to upgrade connection: container not found (\"{wanted}\")"
        )));
    }
    let has_terminal = query.flag("tty")?;
    Ok(ExecRequest {
        pod: Arc::new(pod),
        container: wanted,
        command: if is_exec { command } else { Vec::new() },
        has_input: query.flag("stdin")?,
        has_output: query.flag("stdout")?,
        has_errors: query.flag("stderr")? && !has_terminal,
        has_terminal,
    })
}

// === what the sandbox does not do ===

fn refuse(call: Call) -> BoxFuture<'static, Answer> {
    let part = call.path.subresource;
    let text = format!("the sandbox does not support pods/{part}");
    async move { Err(Status::bad_request(text)) }.boxed()
}
