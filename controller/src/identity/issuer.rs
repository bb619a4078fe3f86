//! Issues workload certificates, on the ports on which proxies follow their configuration.
//!
//! ```text
//! token --review--> Identity --rate--> trust domain --> Leaf --> chain: leaf, intermediates, root
//! ```
//!
//! Who asks is said by the token alone. What the request says of names, uses or an authority is not looked at.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mesh_xds::certificates::{CertificateRequest, CertificateResponse, CertificateService};
use tokio::sync::watch;
use tonic::{Request, Status};

use super::authority::Authority;
use super::rate::Rate;
use super::tokens::{Identity, TokenError, Tokens};
use crate::publish::Published;

/// Longest life of a certificate, and the one of who asks for none.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Shortest life; less would be spent on renewing.
const SHORTEST: Duration = Duration::from_secs(60);
/// Certificates of one service account in a minute: a large deployment that starts at once gets its own, twice.
const PER_MINUTE: u32 = 8 * 1024;
/// How long a request waits for the first snapshot, which says what the trust domain is.
const FIRST_SNAPSHOT: Duration = Duration::from_secs(10);

/// The authority as a service.
pub struct CertificateIssuer {
    /// Nothing is issued where nobody can say who asks.
    trusted: Option<Trusted>,
}

struct Trusted {
    authority: Arc<Authority>,
    tokens: Arc<Tokens>,
    snapshots: watch::Receiver<Arc<Published>>,
    rate: Rate<Identity>,
}

// === impl CertificateIssuer ===

impl CertificateIssuer {
    /// Issues to those whose tokens hold. The trust domain is the mesh's, as the latest snapshot says it.
    pub fn new(
        authority: Arc<Authority>,
        tokens: Arc<Tokens>,
        snapshots: watch::Receiver<Arc<Published>>,
    ) -> Self {
        let rate = Rate::new(PER_MINUTE);
        Self {
            trusted: Some(Trusted {
                authority,
                tokens,
                snapshots,
                rate,
            }),
        }
    }

    /// Issues nothing, and says why.
    pub fn refusing() -> Self {
        Self { trusted: None }
    }
}

impl CertificateService for CertificateIssuer {
    async fn create(
        &self,
        request: Request<CertificateRequest>,
    ) -> Result<CertificateResponse, Status> {
        let Some(trusted) = &self.trusted else {
            return Err(Status::failed_precondition(
                "no certificates are issued in plain text, where nobody's token is checked; ask on the port with TLS",
            ));
        };
        let header = request.metadata().get("authorization");
        let header = header.and_then(|value| value.to_str().ok());
        let owner = trusted.tokens.check(header).await.map_err(|error| {
            tracing::warn!(%error, "a certificate was refused");
            match error {
                TokenError::Unavailable(_) => Status::unavailable(error.to_string()),
                _ => Status::unauthenticated(error.to_string()),
            }
        })?;
        trusted.issue(&owner.identity, &request.into_inner()).await
    }
}

// === impl Trusted ===

impl Trusted {
    async fn issue(
        &self,
        identity: &Identity,
        request: &CertificateRequest,
    ) -> Result<CertificateResponse, Status> {
        let Identity {
            namespace,
            service_account,
        } = identity;
        if !self.rate.take(identity) {
            tracing::warn!(
                namespace,
                service_account,
                "a certificate was refused: too many in a minute"
            );
            return Err(Status::resource_exhausted(
                "this service account has asked for too many certificates; try again in a minute",
            ));
        }
        let trust_domain = self.trust_domain().await?;
        let name = format!("spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}");
        let CertificateRequest {
            csr,
            validity_duration,
        } = request;
        let life = life(*validity_duration);
        let leaf = self
            .authority
            .issue_workload(csr, &name, life, SystemTime::now())
            .map_err(|error| {
                tracing::warn!(identity = name, %error, "a certificate was refused");
                Status::invalid_argument(error.to_string())
            })?;
        // Who has got which certificate is told in any case: this is the audit.
        tracing::info!(
            identity = name,
            serial = leaf.serial,
            life = life.as_secs(),
            "issued a certificate"
        );
        let mut cert_chain = vec![leaf.pem];
        cert_chain.extend_from_slice(self.authority.intermediates());
        cert_chain.push(self.authority.root_pem().to_string());
        Ok(CertificateResponse { cert_chain })
    }

    async fn trust_domain(&self) -> Result<String, Status> {
        let mut snapshots = self.snapshots.clone();
        let first = snapshots.wait_for(|published| published.generation > 0);
        let first = tokio::time::timeout(FIRST_SNAPSHOT, first).await;
        let Ok(Ok(published)) = first else {
            return Err(Status::unavailable(
                "the mesh's settings are not known yet; try again",
            ));
        };
        let mesh = published.translator.snapshot().mesh();
        Ok(mesh.trust_domain().to_owned())
    }
}

/// How long a certificate is valid that was asked for for so many seconds.
fn life(seconds: i64) -> Duration {
    match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => Duration::from_secs(seconds).clamp(SHORTEST, LONGEST),
        _ => LONGEST,
    }
}

#[cfg(test)]
mod tests;
