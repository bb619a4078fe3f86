//! The server: accepts connections, speaks TLS and HTTP on them, and ends with all of them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::kubelet::Kubelet;
use super::state::{Api, ApiOptions};
use super::tls::Identity;
use super::{garbage, handle};

/// A client that has not finished the handshake by then has gone.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// How long connections get to end after they were told to.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// After a failure to accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a server is started with.
pub struct ServerOptions {
    /// Where it listens, one or more.
    pub listeners: Vec<TcpListener>,
    /// Where the pods of the cluster find it: the endpoint of the Service `kubernetes`.
    pub address: SocketAddr,
    pub identity: Identity,
    /// The token of the kubeconfig.
    pub token: String,
    /// The range of ClusterIPs in CIDR notation.
    pub service_range: String,
    pub kubelet: Arc<dyn Kubelet>,
}

/// A running server.
pub struct Server {
    api: Arc<Api>,
    accepting: Vec<JoinHandle<()>>,
    tasks: TaskTracker,
}

// === impl Server ===

impl Server {
    /// Starts to serve.
    pub fn start(options: ServerOptions) -> anyhow::Result<Self> {
        let ServerOptions {
            listeners,
            address,
            identity,
            token,
            service_range,
            kubelet,
        } = options;
        let Identity { ca, server } = identity;
        let api = Api::new(ApiOptions {
            token,
            ca,
            service_range,
            address,
            kubelet,
        })?;
        let tasks = TaskTracker::new();
        tasks.spawn(garbage::run(api.clone()));
        let acceptor = TlsAcceptor::from(server);
        let accepting = listeners.into_iter().map(|listener| {
            tokio::spawn(accept(
                api.clone(),
                listener,
                acceptor.clone(),
                tasks.clone(),
            ))
        });
        let accepting = accepting.collect();
        Ok(Self {
            api,
            accepting,
            tasks,
        })
    }

    /// Ends all connections and tasks.
    pub async fn stop(self) {
        self.api.stop.cancel();
        self.tasks.close();
        if timeout(STOP_LIMIT, self.tasks.wait()).await.is_err() {
            tracing::debug!("some connections of the API server did not end in time");
        }
        for accepting in self.accepting {
            let _ = accepting.await;
        }
    }
}

async fn accept(api: Arc<Api>, listener: TcpListener, tls: TlsAcceptor, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            () = api.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                tasks.spawn(connection(api.clone(), stream, tls.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection to the API server");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(api: Arc<Api>, stream: TcpStream, tls: TlsAcceptor) {
    match timeout(HANDSHAKE_LIMIT, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve(api, stream).await,
        Ok(Err(error)) => tracing::debug!(%error, "a client of the API server failed to speak TLS"),
        Err(_) => tracing::debug!("a client of the API server did not finish its handshake"),
    }
}

/// Speaks HTTP on one connection until either side is done.
pub async fn serve(api: Arc<Api>, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
    let stop = api.stop.clone();
    let service = service_fn(move |request| {
        let api = api.clone();
        async move { Ok::<_, Infallible>(handle::handle(api, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = Box::pin(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::trace!(%error, "a connection of the API server ended");
    }
}
