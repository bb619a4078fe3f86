//! What people and other programs ask the control plane: readiness, metrics, version, and who is connected.
//!
//! | address | paths |
//! | --- | --- |
//! | 8080 | `/ready` |
//! | 15014 | `/ready`, `/version`, `/metrics`, `/debug/*` for those who may see it (`debug`) |
//!
//! Doubled slashes count as one: some tools join addresses and paths that way.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
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
use crate::debug::{Access, Debug, Query, Refused};
use crate::metrics::{Gauges, Metrics};
use crate::publish::Published;

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
    /// Pages about the mesh.
    pub debug: Debug,
    /// Who may see them.
    pub access: Access,
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
            let Ok((stream, peer)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let monitor = self.clone();
            tokio::spawn(async move {
                let _permit = permit;
                let service = service_fn(move |request| {
                    let monitor = monitor.clone();
                    async move { Ok::<_, Infallible>(monitor.answer(&request, peer.ip()).await) }
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

    async fn answer(&self, request: &Request<Incoming>, peer: IpAddr) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here\n");
        }
        let path = single_slashes(request.uri().path());
        match path.as_str() {
            "/ready" => self.ready(),
            "/version" => text(StatusCode::OK, env!("CARGO_PKG_VERSION")),
            "/metrics" => self.metrics(),
            path if path == "/debug" || path.starts_with("/debug/") => {
                let header = request.headers().get(http::header::AUTHORIZATION);
                let header = header.and_then(|value| value.to_str().ok());
                if let Err(refused) = self.access.check(peer, header).await {
                    return refusal(&refused);
                }
                let query = Query::parse(request.uri().query().unwrap_or_default());
                self.page(path["/debug".len()..].to_owned(), query).await
            }
            path => text(StatusCode::NOT_FOUND, &format!("there is no {path} here\n")),
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let published = self.published.borrow().clone();
        let snapshot = published.translator.snapshot();
        let page = self.metrics.render(Gauges {
            proxies: self.connections.count() as u64,
            services: snapshot.service_count() as u64,
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

    /// A page. It may be long, and translate a whole configuration: not the runtime's business.
    async fn page(&self, path: String, query: Query) -> Response<Full<Bytes>> {
        let debug = self.debug.clone();
        let page = tokio::task::spawn_blocking(move || {
            let page = debug.page(&path, &query);
            page.map(|value| format!("{value:#}\n"))
        });
        match page.await {
            Ok(Ok(body)) => respond(StatusCode::OK, "application/json", body),
            Ok(Err((status, message))) => text(status, &format!("{message}\n")),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
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

fn refusal(refused: &Refused) -> Response<Full<Bytes>> {
    let (status, message) = match refused {
        Refused::Unauthenticated(message) => (StatusCode::UNAUTHORIZED, message),
        Refused::Forbidden(message) => (StatusCode::FORBIDDEN, message),
        Refused::Unavailable(message) => (StatusCode::SERVICE_UNAVAILABLE, message),
    };
    text(status, &format!("{message}\n"))
}

/// The path with every run of slashes as one.
fn single_slashes(path: &str) -> String {
    let mut single = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !part.is_empty()) {
        single.push('/');
        single.push_str(part);
    }
    single
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_slashes_are_forgiven() {
        assert_eq!(single_slashes("//debug//syncz"), "/debug/syncz");
        assert_eq!(single_slashes("/debug/"), "/debug");
        assert_eq!(single_slashes("/"), "");
    }
}
