//! The discovery service: one session per stream, all on shared encodings.
//!
//! ```text
//! Published --watch--> Encodings --by scope--> Session (a stream of mesh-xds) <--gRPC--> proxy
//!                                                 |
//!                                             Connections (who has what) --> monitor
//! ```
//!
//! A session sends one response at a time and only what its stream says is due, and takes up a new snapshot ten times a second at most.
//! Large responses take a permit, so that many proxies at once need no more memory than a few. What a session holds does not grow while
//! its proxy does not read: the newest snapshot replaces the one before.

mod encodings;
mod quota;
mod throttle;

mod connections;
mod debug;
mod discovery_stream;
mod session;

mod report;
mod server;
mod service;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::identity::{CertificateIssuer, Identity, SecretAccess, Tokens};
use crate::metrics::Metrics;
use crate::publish::Published;
use encodings::Encodings;
use quota::Quota;
use throttle::Throttle;

#[cfg(test)]
pub use connections::Registration;
pub use connections::{Connection, Connections};
pub use debug::{DebugAnswer, DebugAnswers, DebugRequest};

/// Most streams at a time; a proxy has one.
const MOST_STREAMS: usize = 16 * 1024;

/// Most streams of one service account, so that no one keeps all others out.
const STREAMS_PER_IDENTITY: usize = MOST_STREAMS / 4;

/// Most streams of one proxy: a new one may come before the loss of the old one is noticed.
const STREAMS_PER_PROXY: usize = 4;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// The discovery service.
#[derive(Clone)]
pub struct Ads {
    shared: Arc<Shared>,
}

/// What all sessions share.
struct Shared {
    encodings: Arc<Encodings>,
    throttle: Throttle,
    connections: Arc<Connections>,
    metrics: Arc<Metrics>,
    streams: Arc<Semaphore>,
    identities: Arc<Quota<Identity>>,
    proxies: Arc<Quota<String>>,
    debug: Arc<DebugAnswers>,
    secrets: SecretAccess,
}

// === impl Ads ===

impl Ads {
    /// Serves the latest of these snapshots until the set is dropped, notes who is connected, has debug types answered, and asks who may
    /// be given Secrets.
    pub fn new(
        snapshots: watch::Receiver<Arc<Published>>,
        connections: Arc<Connections>,
        metrics: Arc<Metrics>,
        debug: Arc<DebugAnswers>,
        secrets: SecretAccess,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let encodings = Arc::<Encodings>::default();
        tasks.spawn(Arc::clone(&encodings).run(snapshots));
        let shared = Shared {
            encodings,
            throttle: Throttle::default(),
            connections,
            metrics,
            streams: Arc::new(Semaphore::new(MOST_STREAMS)),
            identities: Arc::new(Quota::new(STREAMS_PER_IDENTITY)),
            proxies: Arc::new(Quota::new(STREAMS_PER_PROXY)),
            debug,
            secrets,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Serves without encryption and without asking who it is, until the set is dropped. For loopback addresses only. The
    /// answer is where, which matters when the port was left open.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn serve_plaintext(
        &self,
        address: SocketAddr,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<SocketAddr> {
        let listener = bind(address)?;
        let address = listener.local_addr()?;
        let service = service::DiscoveryService::new(Arc::clone(&self.shared), None);
        let services = server::Services::new(service, CertificateIssuer::refusing());
        tracing::info!(%address, "serving xDS in plain text");
        tasks.spawn(server::accept(listener, None, services));
        Ok(address)
    }

    /// Serves over TLS proxies whose tokens hold, and issues certificates to them, until the set is dropped.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn serve_tls(
        &self,
        address: SocketAddr,
        config: rustls::ServerConfig,
        tokens: Arc<Tokens>,
        certificates: CertificateIssuer,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<()> {
        let listener = bind(address)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let service = service::DiscoveryService::new(Arc::clone(&self.shared), Some(tokens));
        let services = server::Services::new(service, certificates);
        tracing::info!(%address, "serving xDS over TLS");
        tasks.spawn(server::accept(listener, Some(acceptor), services));
        Ok(())
    }
}

/// Listens with room for a whole mesh that comes back at once.
fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listen = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().with_context(|| format!("failed to listen on {address} for xDS"))
}

#[cfg(test)]
mod tests;
