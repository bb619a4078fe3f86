//! One connection to the control plane: name, TCP, TLS, token.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};

use super::resolve::resolve;
use crate::bootstrap::{Discovery, Network};
use crate::outgoing;

/// Limit for name, TCP and TLS together.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A control plane that does not answer pings any more is given up, so that a dead machine is noticed without traffic.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_LIMIT: Duration = Duration::from_secs(10);

/// Opens connections to the control plane.
#[derive(Clone, Debug)]
pub struct Connector {
    discovery: Discovery,
    network: Network,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The certificates to trust cannot be read.
    #[error("the certificates to trust cannot be read from {path}: {reason}")]
    Roots {
        /// Their file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The token cannot be read.
    #[error("the service account's token cannot be read from {path}: {reason}")]
    Token {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The name cannot be part of a certificate.
    #[error("{0:?} is no name that a certificate could hold")]
    Name(String),
    /// TCP, TLS or HTTP/2 failed.
    #[error("{address}: {reason}")]
    Transport {
        /// Name and port.
        address: String,
        /// What failed, with its causes.
        reason: String,
    },
}

/// What HTTP/2 runs over.
trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// Dials for tonic.
#[derive(Clone)]
struct Dial {
    host: String,
    port: u16,
    network: Network,
    tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
}

// === impl Connector ===

impl Connector {
    /// Connects to a control plane.
    pub fn new(discovery: Discovery, network: Network) -> Self {
        Self { discovery, network }
    }

    /// Connects. Certificates and token are read anew, since they change while the proxy runs. They are small files in memory, so that
    /// reading them does not wait.
    pub(crate) async fn connect(
        &self,
    ) -> Result<(Channel, Option<AsciiMetadataValue>), ConnectError> {
        let (host, port, tls, token) = match &self.discovery {
            Discovery::Plaintext(address) => (address.ip().to_string(), address.port(), None, None),
            Discovery::Tls {
                host,
                port,
                roots,
                token,
            } => {
                let name = ServerName::try_from(host.clone())
                    .map_err(|_| ConnectError::Name(host.clone()))?;
                let tls = (name, tls_config(roots)?);
                let token = read_token(token)?;
                (host.clone(), *port, Some(tls), Some(token))
            }
        };
        let dial = Dial {
            host,
            port,
            network: self.network.clone(),
            tls,
        };
        let channel = dial.channel().await?;
        Ok((channel, token))
    }
}

fn tls_config(path: &Path) -> Result<Arc<ClientConfig>, ConnectError> {
    let error = |reason: String| ConnectError::Roots {
        path: path.to_owned(),
        reason,
    };
    let pem = std::fs::read(path).map_err(|reason| error(reason.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|reason| error(reason.to_string()))?;
        roots
            .add(certificate)
            .map_err(|reason| error(reason.to_string()))?;
    }
    if roots.is_empty() {
        return Err(error("there are none".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|reason| error(reason.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

fn read_token(path: &Path) -> Result<AsciiMetadataValue, ConnectError> {
    let error = |reason: String| ConnectError::Token {
        path: path.to_owned(),
        reason,
    };
    let token = std::fs::read_to_string(path).map_err(|reason| error(reason.to_string()))?;
    let bearer = ["Bearer ", token.trim()].concat();
    let mut value: AsciiMetadataValue = bearer
        .parse()
        .map_err(|_| error("it holds characters that no token has".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

// === impl Dial ===

impl Dial {
    async fn channel(self) -> Result<Channel, ConnectError> {
        let address = format!("{}:{}", self.host, self.port);
        let failed = |reason: String| ConnectError::Transport {
            address: address.clone(),
            reason,
        };
        // TLS is done here and not by tonic, which therefore sees plain HTTP/2.
        let uri = format!("http://{address}");
        let endpoint = Endpoint::from_shared(uri)
            .map_err(|error| failed(causes(&error)))?
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_LIMIT)
            .keep_alive_while_idle(true);
        let connecting = endpoint.connect_with_connector(self);
        match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
            Ok(channel) => channel.map_err(|error| failed(causes(&error))),
            Err(_) => Err(failed(format!(
                "no connection within {} s",
                CONNECT_LIMIT.as_secs()
            ))),
        }
    }

    async fn dial(self) -> io::Result<TokioIo<Box<dyn Transport>>> {
        let addresses = resolve(&self.host, self.port, self.network.view.hosts.as_deref()).await?;
        let stream = connect_any(&addresses, &self.network).await?;
        stream.set_nodelay(true)?;
        let transport: Box<dyn Transport> = match self.tls {
            None => Box::new(stream),
            Some((name, config)) => {
                let tls = tokio_rustls::TlsConnector::from(config);
                Box::new(tls.connect(name, stream).await?)
            }
        };
        Ok(TokioIo::new(transport))
    }
}

/// Connects to the first address that answers.
async fn connect_any(addresses: &[SocketAddr], network: &Network) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match outgoing::connect(*address, None, &network.view).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl tower_service::Service<Uri> for Dial {
    type Response = TokioIo<Box<dyn Transport>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().dial())
    }
}

/// An error with its causes in one line. Causes that repeat what was said already are left out.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
