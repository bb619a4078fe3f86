//! Calls a webhook: finds its endpoint, speaks TLS with it and posts the review.
//!
//! A Service is called at one of its ready endpoints, by the store's EndpointSlices, so that no network of Services must be there
//! yet. Each call has a connection of its own; TLS sessions are resumed.

use std::io;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rand::seq::IteratorRandom as _;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::configuration::{Endpoint, Webhook};
use crate::state::Api;
use crate::store::State;

/// An answer holds at most a patch that writes the whole object, in base64.
const LARGEST_ANSWER: usize = 8 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("failed to call webhook: Post {url:?}: {why}")]
    Failed { url: String, why: String },
    #[error("received invalid webhook response: {0}")]
    Answer(String),
}

/// Where a webhook is reached.
struct Place {
    url: String,
    /// Host and port, as the request names them.
    authority: String,
    server_name: String,
    path: String,
}

/// The body of the webhook's answer.
pub async fn call(api: &Api, webhook: &Webhook, review: &Value) -> Result<Bytes, CallError> {
    let place = Place::of(&webhook.endpoint, webhook.timeout.as_secs());
    let answer = async {
        let stream = connect(api, &webhook.endpoint).await?;
        post(stream, webhook, &place, review).await
    };
    let answer = tokio::time::timeout(webhook.timeout, answer).await;
    let answer = answer.unwrap_or_else(|_| Err("context deadline exceeded".to_owned()));
    answer.map_err(|why| CallError::Failed {
        url: place.url,
        why,
    })
}

async fn connect(api: &Api, endpoint: &Endpoint) -> Result<TcpStream, String> {
    let (address, connected) = match endpoint {
        Endpoint::Service {
            namespace,
            name,
            port,
            path: _,
        } => {
            let (address, port) = resolve(&api.store.lock(), namespace, name, *port)?;
            let connected = api.kubelet.dial(address, port).await;
            (format!("{address}:{port}"), connected)
        }
        Endpoint::Url(url) => {
            let host = url.host().unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let port = url.port_u16().unwrap_or(443);
            let connected = TcpStream::connect((host, port)).await;
            (format!("{host}:{port}"), connected)
        }
    };
    let stream = connected.map_err(|error| format!("dial tcp {address}: {error}"))?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// A ready endpoint of a port of a Service.
fn resolve(state: &State, namespace: &str, name: &str, port: u16) -> Result<(IpAddr, u16), String> {
    let service = state
        .get("services", namespace, name)
        .ok_or_else(|| format!("service {name:?} not found"))?;
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let named = ports
        .clone()
        .find(|known| known["port"] == port)
        .map(|known| known["name"].as_str().unwrap_or_default())
        .ok_or_else(|| format!("no service port {port} found for service {name:?}"))?;
    let slices = state.list("endpointslices.discovery.k8s.io", Some(namespace), None);
    let slices = slices.map(|(_, slice)| slice).filter(|slice| {
        let labels = &slice["metadata"]["labels"];
        labels["kubernetes.io/service-name"] == name
    });
    let endpoints = slices.flat_map(|slice| {
        let mut ports = slice["ports"].as_array().into_iter().flatten();
        let port = ports.find(|port| port["name"].as_str().unwrap_or_default() == named);
        let port = port.and_then(|port| u16::try_from(port["port"].as_u64()?).ok());
        let ready = slice["endpoints"].as_array().into_iter().flatten();
        let ready = ready.filter(|endpoint| endpoint["conditions"]["ready"] != false);
        let addresses = ready.filter_map(|endpoint| endpoint["addresses"][0].as_str());
        let addresses = addresses.filter_map(|address| address.parse::<IpAddr>().ok());
        addresses.filter_map(move |address| Some((address, port?)))
    });
    endpoints
        .choose(&mut rand::rng())
        .ok_or_else(|| format!("no endpoints available for service {name:?}"))
}

async fn post(
    stream: TcpStream,
    webhook: &Webhook,
    place: &Place,
    review: &Value,
) -> Result<Bytes, String> {
    let shown = |error: &dyn std::error::Error| error.to_string();
    let name = ServerName::try_from(place.server_name.clone()).map_err(|error| shown(&error))?;
    let connector = TlsConnector::from(webhook.tls.clone());
    let stream = connector.connect(name, stream).await;
    let stream = stream.map_err(|error: io::Error| shown(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| shown(&error))?;
    let request = http::Request::post(&place.path)
        .header(HOST, &place.authority)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json")
        .body(Full::new(Bytes::from(review.to_string())))
        .map_err(|error| shown(&error))?;
    let answer = async {
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| shown(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST_ANSWER);
        let body = body.collect().await.map_err(|error| error.to_string())?;
        let body = body.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        let text = String::from_utf8_lossy(&body[..body.len().min(1024)]);
        Err(format!("it answers {status}: {}", text.trim()))
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection's end may come with the answer.
        _ = connection => answer.await,
    }
}

// === impl Place ===

impl Place {
    fn of(endpoint: &Endpoint, seconds: u64) -> Self {
        let (host, port, path) = match endpoint {
            Endpoint::Service {
                namespace,
                name,
                port,
                path,
            } => (format!("{name}.{namespace}.svc"), *port, path.clone()),
            Endpoint::Url(url) => (
                url.host().unwrap_or_default().to_owned(),
                url.port_u16().unwrap_or(443),
                url.path_and_query()
                    .map_or_else(|| "/".to_owned(), ToString::to_string),
            ),
        };
        let separator = if path.contains('?') { '&' } else { '?' };
        let slash = if path.starts_with('/') { "" } else { "/" };
        let path = format!("{slash}{path}{separator}timeout={seconds}s");
        let authority = format!("{host}:{port}");
        Self {
            url: format!("https://{authority}{path}"),
            server_name: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            authority,
            path,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_is_called_at_a_ready_endpoint_of_its_port() {
        let mut state = State::default();
        let key = |name: &str| ("n".to_owned(), name.to_owned());
        let ask = |state: &State, port| resolve(state, "n", "s", port);
        assert_eq!(ask(&state, 443), Err("service \"s\" not found".to_owned()));
        let service = json!({"metadata": {}, "spec": {"ports": [{"name": "web", "port": 443, "targetPort": 15017}]}});
        state.put("services", key("s"), service);
        let error = ask(&state, 80).unwrap_err();
        assert_eq!(error, "no service port 80 found for service \"s\"");
        let slice = |ready: bool| {
            json!({"metadata": {"labels": {"kubernetes.io/service-name": "s"}}, "ports": [{"name": "web", "port": 15017}],
                "endpoints": [{"addresses": ["127.0.0.9"], "conditions": {"ready": ready}}]})
        };
        let slices = "endpointslices.discovery.k8s.io";
        state.put(slices, key("s-1"), slice(false));
        let error = ask(&state, 443).unwrap_err();
        assert_eq!(error, "no endpoints available for service \"s\"");
        state.put(slices, key("s-1"), slice(true));
        assert_eq!(ask(&state, 443), Ok(([127, 0, 0, 9].into(), 15017)));
    }

    #[test]
    fn urls_name_service_and_time() {
        let service = Endpoint::Service {
            namespace: "n".into(),
            name: "s".into(),
            port: 443,
            path: "inject".into(),
        };
        let place = Place::of(&service, 10);
        assert_eq!(place.url, "https://s.n.svc:443/inject?timeout=10s");
        assert_eq!(place.server_name, "s.n.svc");
        let url = Endpoint::Url("https://[::1]:9443/a?b=c".parse().unwrap());
        let place = Place::of(&url, 5);
        assert_eq!(place.url, "https://[::1]:9443/a?b=c&timeout=5s");
        assert_eq!(place.server_name, "::1");
    }
}
