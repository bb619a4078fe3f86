//! Asks for certificates, for as long as the proxy runs.

use std::time::{Duration, SystemTime};

use mesh_ir::{List, Secret};
use mesh_xds::certificates::CertificateClient;
use tokio::sync::watch;
use tonic::{Request, Status};

use super::leaf::{InvalidLeaf, Key, Leaf};
use crate::bootstrap::{Discovery, Network};
use crate::xds::{Backoff, ConnectError, Connector};

/// Limit for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Certificates are not asked for more often, however short their lives are.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// Keeps this proxy's certificate valid.
pub struct Agent {
    connector: Connector,
    secrets: watch::Sender<List<Secret>>,
    backoff: Backoff,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
enum NoCertificate {
    #[error("failed to reach the control plane: {0}")]
    Connect(#[from] ConnectError),
    #[error("the control plane took too long to answer")]
    Slow,
    #[error("the control plane refuses: {} ({:?})", .0.message(), .0.code())]
    Refused(#[from] Status),
    #[error(transparent)]
    Invalid(#[from] InvalidLeaf),
}

// === impl Agent ===

impl Agent {
    /// An agent that asks the control plane, and tells secrets. Over a connection in plain text there is nothing to ask for: the control
    /// plane does not know who asks.
    pub fn new(
        discovery: &Discovery,
        network: &Network,
        secrets: watch::Sender<List<Secret>>,
    ) -> Option<Self> {
        if let Discovery::Plaintext(address) = discovery {
            tracing::info!(
                "this proxy has no identity: the control plane at {address} is spoken to in plain text and issues no certificates; \
                 what needs the mesh's own TLS does not work"
            );
            return None;
        }
        Some(Self {
            connector: Connector::new(discovery.clone(), network.clone()),
            secrets,
            backoff: Backoff::default(),
        })
    }

    /// Asks until nobody is interested any more.
    pub async fn run(mut self) {
        let interest = self.secrets.clone();
        tokio::select! {
            () = self.keep() => {}
            () = interest.closed() => {}
        }
    }

    async fn keep(&mut self) {
        loop {
            let pause = match self.ask().await {
                Ok(Leaf { secrets, validity }) => {
                    self.backoff.reset();
                    self.secrets.send_replace(secrets);
                    let pause = validity.until_renewal(SystemTime::now(), rand::random());
                    let hours = pause.as_secs_f64() / 3600.0;
                    tracing::info!("there is a new certificate, it is renewed in {hours:.1} h");
                    pause.max(SHORTEST_PAUSE)
                }
                Err(error) => {
                    let pause = self.backoff.pause(rand::random());
                    let pause_ms = pause.as_millis();
                    if self.backoff.has_succeeded() {
                        tracing::warn!(%error, "the last certificate stays in force, trying again in {pause_ms} ms");
                    } else {
                        tracing::warn!(%error, "there is no certificate yet, trying again in {pause_ms} ms");
                    }
                    pause
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn ask(&self) -> Result<Leaf, NoCertificate> {
        let (channel, token) = self.connector.connect().await?;
        let key = Key::generate()?;
        let mut request = Request::new(key.request()?);
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", token);
        }
        let mut client = CertificateClient::new(channel);
        let answer = tokio::time::timeout(ANSWER_LIMIT, client.create(request)).await;
        let answer = answer.map_err(|_| NoCertificate::Slow)??;
        Ok(key.certified(answer, SystemTime::now())?)
    }
}
