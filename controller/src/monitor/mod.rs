//! What people and other programs ask the control plane: readiness, metrics, version, and who is connected.
//!
//! | address | paths |
//! | --- | --- |
//! | 8080 | `/ready` |
//! | 15014 | `/ready`, `/version`, `/metrics`, `/debug/syncz`, `/debug/distribution?resource=KIND/NAMESPACE/NAME&version=VERSION` |

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use mesh_core::resource::Kind;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::ads::Connections;
use crate::metrics::{Gauges, Metrics};
use crate::publish::Published;
use crate::versions::{Question, Versions};

/// Most monitoring connections at a time.
const MOST_CONNECTIONS: usize = 64;
/// Limit for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// What the answers are made of.
#[derive(Clone)]
pub struct Monitor {
    /// The latest snapshot.
    pub published: watch::Receiver<Arc<Published>>,
    /// Who is connected.
    pub connections: Arc<Connections>,
    /// Which snapshot holds what.
    pub versions: Arc<Versions>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

// === impl Monitor ===

impl Monitor {
    /// Serves until the set is dropped.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn serve(&self, address: SocketAddr, tasks: &mut JoinSet<()>) -> anyhow::Result<()> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("failed to listen on {address} for monitoring"))?;
        let monitor = self.clone();
        tasks.spawn(async move { monitor.accept(listener).await });
        Ok(())
    }

    async fn accept(self, listener: TcpListener) {
        let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                return;
            };
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let monitor = self.clone();
            tokio::spawn(async move {
                let _permit = permit;
                let service = service_fn(move |request| {
                    let response = monitor.answer(&request);
                    async move { Ok::<_, Infallible>(response) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), service);
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a monitoring connection ended");
                }
            });
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here\n");
        }
        match request.uri().path() {
            "/ready" => self.ready(),
            "/version" => text(StatusCode::OK, env!("CARGO_PKG_VERSION")),
            "/metrics" => self.metrics(),
            "/debug/syncz" => json(&self.connections.sync_status()),
            "/debug/distribution" => self.distribution(request.uri().query().unwrap_or_default()),
            path => text(StatusCode::NOT_FOUND, &format!("there is no {path} here\n")),
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let published = self.published.borrow().clone();
        let snapshot = published.translator.snapshot();
        let page = self.metrics.render(Gauges {
            proxies: self.connections.count() as u64,
            services: snapshot.services().len() as u64,
            virtual_services: snapshot.resources(Kind::VirtualService).len() as u64,
            generation: published.generation,
            findings: published.diagnostics.len() as u64,
        });
        respond(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            page,
        )
    }

    fn distribution(&self, query: &str) -> Response<Full<Bytes>> {
        match Question::parse(query) {
            Ok(question) => json(
                &self
                    .connections
                    .distribution(self.versions.generation(&question)),
            ),
            Err(message) => text(StatusCode::BAD_REQUEST, &[message.as_str(), "\n"].concat()),
        }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        if self.published.borrow().generation > 0 {
            text(StatusCode::OK, "ready\n")
        } else {
            text(
                StatusCode::SERVICE_UNAVAILABLE,
                "waiting for the first snapshot\n",
            )
        }
    }
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", body.to_owned())
}

fn json(value: &impl serde::Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_string_pretty(value) {
        Ok(body) => respond(StatusCode::OK, "application/json", body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static(kind),
    );
    response
}
