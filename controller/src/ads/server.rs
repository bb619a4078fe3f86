//! Accepts connections and speaks HTTP/2 on them, which is what gRPC needs: discovery, and certificates of workloads.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use mesh_xds::certificates::{self, CertificateServer};
use mesh_xds::service::AdsServer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tonic::Status;
use tonic::codegen::Service as _;

use super::service::{DiscoveryService, Peer};
use crate::identity::CertificateIssuer;

/// Most connections at a time.
const MOST_CONNECTIONS: usize = 16 * 1024;
/// Most streams of one connection; a proxy has one.
const STREAMS_PER_CONNECTION: u32 = 8;
/// Limit for a handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often an idle connection is tried, and how long the other side may take to answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(15));
/// Bytes that may wait on a connection for the network.
const SEND_BUFFER: usize = 64 << 10;

/// Limit for asking for a certificate, from the request's head on.
const CERTIFICATE: Duration = Duration::from_secs(20);

/// The services of one port.
#[derive(Clone)]
pub struct Services {
    discovery: AdsServer<DiscoveryService>,
    certificates: CertificateServer<CertificateIssuer>,
}

// === impl Services ===

impl Services {
    pub fn new(discovery: DiscoveryService, certificates: CertificateIssuer) -> Self {
        Self {
            discovery: AdsServer::new(Arc::new(discovery)),
            certificates: CertificateServer::new(Arc::new(certificates)),
        }
    }

    async fn call(
        &mut self,
        request: Request<Incoming>,
    ) -> Result<Response<tonic::body::Body>, Infallible> {
        if !request.uri().path().starts_with(certificates::PREFIX) {
            return self.discovery.call(request).await;
        }
        let answer = tokio::time::timeout(CERTIFICATE, self.certificates.call(request)).await;
        answer.unwrap_or_else(|_| {
            let status = Status::deadline_exceeded("the request took too long");
            Ok(status.into_http())
        })
    }
}

/// Accepts until it is dropped; connections end with it.
pub async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, server: Services) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, usually: others will be closed.
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (tls, server) = (tls.clone(), server.clone());
        connections.spawn(async move {
            let _place = place;
            if let Err(error) = connection(stream, peer, tls, server).await {
                tracing::debug!(%peer, error = format!("{error:#}"), "a connection ended");
            }
        });
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    server: Services,
) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    match tls {
        None => serve(stream, peer, server).await,
        Some(tls) => {
            let stream = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await??;
            serve(stream, peer, server).await
        }
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    server: Services,
) -> anyhow::Result<()> {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let mut server = server.clone();
        async move { server.call(request).await }
    });
    let (interval, timeout) = KEEP_ALIVE;
    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(interval)
        .keep_alive_timeout(timeout)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .max_send_buf_size(SEND_BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}
