//! Who the peer is, by its certificate.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Trust domains whose identities are accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrustDomains {
    /// The mesh's own, `cluster.local` in most cases.
    pub own: Arc<str>,
    /// `trustDomainAliases`.
    pub aliases: Vec<Arc<str>>,
}

/// A SPIFFE identity of a workload: `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PeerIdentity {
    /// Without `spiffe://`.
    principal: Arc<str>,
    trust_domain: Range<usize>,
    /// `NAMESPACE/SERVICE_ACCOUNT`.
    account: Arc<str>,
    namespace: Range<usize>,
}

/// Why a certificate does not tell who the peer is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentity {
    /// An identity is the one URI SAN of a certificate (SPIFFE X509-SVID).
    #[error("the certificate has {0} URI names where an identity is exactly one")]
    NotOneUri(usize),
    /// Something else than a workload's identity.
    #[error("{0:?} is not of the form spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT")]
    Malformed(String),
    /// Another mesh's.
    #[error("the trust domain {0:?} is neither the mesh's own nor one of its trustDomainAliases")]
    ForeignTrustDomain(String),
}

// === impl TrustDomains ===

impl TrustDomains {
    /// Whether identities of this trust domain are accepted.
    pub fn accepts(&self, trust_domain: &str) -> bool {
        *self.own == *trust_domain || self.aliases.iter().any(|alias| **alias == *trust_domain)
    }
}

// === impl PeerIdentity ===

impl PeerIdentity {
    /// Reads an identity.
    ///
    /// # Errors
    /// When the text is not a workload's identity. Bytes outside of printable ASCII (an embedded NUL above all), empty and further
    /// segments, a query and a fragment are refused.
    pub fn parse(uri: &str) -> Result<Self, InvalidIdentity> {
        Self::split(uri).ok_or_else(|| InvalidIdentity::Malformed(uri.to_owned()))
    }

    /// The identity of a certificate by its URI names.
    ///
    /// # Errors
    /// When there is not exactly one URI name, when it is not a workload's identity, and when its trust domain is not accepted.
    pub fn from_uri_names<'a>(
        uris: impl IntoIterator<Item = &'a str>,
        trust: &TrustDomains,
    ) -> Result<Self, InvalidIdentity> {
        let mut uris = uris.into_iter();
        let (first, more) = (uris.next(), uris.count());
        let Some(uri) = first.filter(|_| more == 0) else {
            return Err(InvalidIdentity::NotOneUri(
                usize::from(first.is_some()) + more,
            ));
        };
        let identity = Self::parse(uri)?;
        if trust.accepts(identity.trust_domain()) {
            Ok(identity)
        } else {
            let domain = identity.trust_domain().to_owned();
            Err(InvalidIdentity::ForeignTrustDomain(domain))
        }
    }

    fn split(uri: &str) -> Option<Self> {
        let principal = uri.strip_prefix("spiffe://")?;
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'%');
        if !principal.bytes().all(plain) {
            return None;
        }
        let mut at = 0;
        let mut parts = principal.split('/').map(|part| {
            let range = at..at + part.len();
            at = range.end + 1;
            (part, range)
        });
        let mut next = || parts.next().filter(|(part, _)| !part.is_empty());
        let (_, trust_domain) = next()?;
        next().filter(|(part, _)| *part == "ns")?;
        let (namespace, _) = next()?;
        next().filter(|(part, _)| *part == "sa")?;
        let (service_account, _) = next()?;
        parts.next().is_none().then(|| Self {
            principal: principal.into(),
            trust_domain,
            account: [namespace, "/", service_account].concat().into(),
            namespace: 0..namespace.len(),
        })
    }

    /// `TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT`.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// Trust domain.
    pub fn trust_domain(&self) -> &str {
        self.principal
            .get(self.trust_domain.clone())
            .unwrap_or_default()
    }

    /// Namespace.
    pub fn namespace(&self) -> &str {
        self.account.get(self.namespace.clone()).unwrap_or_default()
    }

    /// Name of the service account.
    pub fn service_account(&self) -> &str {
        self.account
            .get(self.namespace.end + 1..)
            .unwrap_or_default()
    }

    /// `NAMESPACE/SERVICE_ACCOUNT`.
    pub fn account(&self) -> &str {
        &self.account
    }
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}", self.principal)
    }
}

impl fmt::Debug for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust() -> TrustDomains {
        TrustDomains {
            own: "cluster.local".into(),
            aliases: vec!["old.example".into()],
        }
    }

    #[test]
    fn an_identity_has_a_trust_domain_a_namespace_and_a_service_account() {
        let identity =
            PeerIdentity::parse("spiffe://cluster.local/ns/default/sa/bookinfo-reviews").unwrap();
        assert_eq!(identity.trust_domain(), "cluster.local");
        assert_eq!(identity.namespace(), "default");
        assert_eq!(identity.service_account(), "bookinfo-reviews");
        assert_eq!(
            identity.principal(),
            "cluster.local/ns/default/sa/bookinfo-reviews"
        );
    }

    #[test]
    fn other_names_are_no_identity() {
        for uri in [
            "",
            "reviews.default.svc.cluster.local",
            "https://cluster.local/ns/a/sa/b",
            "spiffe://cluster.local/ns/a/sa/b/c",
            "spiffe://cluster.local/ns/a/sa/",
            "spiffe:///ns/a/sa/b",
            "spiffe://cluster.local/sa/a/ns/b",
            "spiffe://cluster.local/ns/a/sa/b\0",
            "spiffe://cluster.local/ns/a/sa/b?x",
            "spiffe://cluster.local/ns/a%2fb/sa/c",
        ] {
            assert!(PeerIdentity::parse(uri).is_err(), "{uri:?}");
        }
    }

    #[test]
    fn a_certificate_has_exactly_one_uri_name() {
        let uri = "spiffe://cluster.local/ns/a/sa/b";
        assert!(PeerIdentity::from_uri_names([uri], &trust()).is_ok());
        assert_eq!(
            PeerIdentity::from_uri_names([], &trust()),
            Err(InvalidIdentity::NotOneUri(0))
        );
        assert_eq!(
            PeerIdentity::from_uri_names([uri, uri], &trust()),
            Err(InvalidIdentity::NotOneUri(2))
        );
    }

    #[test]
    fn only_own_and_aliased_trust_domains_are_accepted() {
        let of = |domain: &str| {
            let uri = ["spiffe://", domain, "/ns/a/sa/b"].concat();
            PeerIdentity::from_uri_names([&*uri], &trust()).is_ok()
        };
        assert_eq!(
            ["cluster.local", "old.example", "other.example"].map(of),
            [true, true, false]
        );
    }
}
