//! Listens on 15017 and brings requests and answers together.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::review::{self, Answer};
use super::settings::Settings;
use super::{inject, validate};
use crate::serving::ServingCertificate;

/// Most connections at a time; an API server keeps a few and sends many requests on each.
const MOST_CONNECTIONS: usize = 256;
/// Most requests of a connection at a time.
const MOST_STREAMS: u32 = 64;
/// Largest body: an object and its predecessor, each of etcd's 1.5 MiB, and room for what JSON adds.
const MOST_BYTES: usize = 8 << 20;
/// Limit for a handshake, and for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit for a body; the API server itself gives up after ten seconds.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The webhooks.
#[derive(Clone)]
pub struct Webhooks {
    settings: Settings,
}

// === impl Webhooks ===

impl Webhooks {
    /// Webhooks that inject by these settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Serves until the set is dropped; the answer is where, which matters when the port was left open.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn serve(
        &self,
        address: SocketAddr,
        serving: &Arc<ServingCertificate>,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<SocketAddr> {
        let context = || format!("failed to listen on {address} for webhooks");
        let listener = TcpListener::bind(address).await.with_context(context)?;
        let address = listener.local_addr().with_context(context)?;
        let config = serving.server_config(&[b"h2", b"http/1.1"]);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tracing::info!(%address, "serving webhooks");
        tasks.spawn(self.clone().accept(listener, acceptor));
        Ok(address)
    }

    async fn accept(self, listener: TcpListener, acceptor: TlsAcceptor) {
        let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                return;
            };
            while connections.try_join_next().is_some() {}
            let Ok((stream, peer)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (webhooks, acceptor) = (self.clone(), acceptor.clone());
            connections.spawn(async move {
                let _permit = permit;
                if let Err(error) = webhooks.connection(stream, acceptor).await {
                    tracing::debug!(%peer, error = format!("{error:#}"), "a webhook connection ended");
                }
            });
        }
    }

    async fn connection(self, stream: TcpStream, acceptor: TlsAcceptor) -> anyhow::Result<()> {
        stream.set_nodelay(true)?;
        let stream = tokio::time::timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await??;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let service = service_fn(move |request| {
            let webhooks = self.clone();
            async move { Ok::<_, Infallible>(webhooks.respond(request).await) }
        });
        let io = TokioIo::new(stream);
        if is_http2 {
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(MOST_STREAMS)
                .keep_alive_interval(Some(Duration::from_secs(60)))
                .serve_connection(io, service)
                .await?;
        } else {
            hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(io, service)
                .await?;
        }
        Ok(())
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::POST {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only POST is served here\n");
        }
        let path = request.uri().path().to_owned();
        let answer: fn(&Self, &review::Request) -> Answer = match path.as_str() {
            "/validate" => |_, request| validate::answer(request),
            // Istio's configurations say more about the cluster below the path; one cluster needs no more.
            path if path == "/inject" || path.starts_with("/inject/") => Self::inject,
            _ => {
                let message = format!("there is no {path} here; there are /validate and /inject\n");
                return text(StatusCode::NOT_FOUND, &message);
            }
        };
        let body = Limited::new(request.into_body(), MOST_BYTES).collect();
        let body = match tokio::time::timeout(BODY_TIMEOUT, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) => {
                return text(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    &format!("failed to read the body: {error}\n"),
                );
            }
            Err(_) => {
                return text(
                    StatusCode::REQUEST_TIMEOUT,
                    "the body did not come in time\n",
                );
            }
        };
        match review::Request::read(&body) {
            Ok(request) => {
                let answer = answer(self, &request);
                log(&path, &request, &answer);
                json(&answer.write(&request.uid))
            }
            Err(message) => text(StatusCode::BAD_REQUEST, &format!("{message}\n")),
        }
    }

    fn inject(&self, request: &review::Request) -> Answer {
        inject::answer(request, self.settings.load().as_deref())
    }
}

fn log(path: &str, request: &review::Request, answer: &Answer) {
    let metadata = &request.object["metadata"];
    let name = metadata["name"]
        .as_str()
        .or(metadata["generateName"].as_str());
    let (kind, namespace) = (request.object["kind"].as_str(), request.namespace.as_str());
    let operation = request.operation.as_str();
    match &answer.refused {
        Some((_, message)) => {
            tracing::info!(
                path,
                operation,
                kind,
                namespace,
                name,
                message,
                "refused an object"
            )
        }
        None => tracing::debug!(path, operation, kind, namespace, name, "admitted an object"),
    }
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", body.to_owned())
}

fn json(value: &serde_json::Value) -> Response<Full<Bytes>> {
    respond(StatusCode::OK, "application/json", value.to_string())
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static(kind);
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests;
