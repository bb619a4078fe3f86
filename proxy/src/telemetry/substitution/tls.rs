//! The command operators that speak of TLS: `%DOWNSTREAM_PEER_URI_SAN%`, `%UPSTREAM_TLS_VERSION%` and their kind.

use std::time::{Duration, SystemTime};

use crate::record::Record;
use crate::telemetry::time::{self, TimeFormat};
use crate::tls::{Certificate, TlsFacts, dns_names, fingerprint, uris};

/// An operator: of which connection, and what of it.
#[derive(Clone, Debug)]
pub(super) struct TlsOperator {
    side: Side,
    value: Value,
}

/// Which connection is spoken of.
#[derive(Clone, Copy, Debug)]
enum Side {
    /// The client's.
    Downstream,
    /// The endpoint's.
    Upstream,
}

type Value = fn(&TlsFacts) -> Option<String>;

/// What is said of either side's connection.
const VALUES: [(&str, Value); 14] = [
    ("TLS_VERSION", |tls| Some(tls.version.to_owned())),
    ("TLS_CIPHER", |tls| Some(tls.cipher.to_owned())),
    ("PEER_URI_SAN", |tls| Some(uris(tls.peer()?).join(","))),
    ("PEER_DNS_SAN", |tls| Some(dns_names(tls.peer()?).join(","))),
    ("PEER_SUBJECT", |tls| {
        Some(certificate(tls.peer()?)?.subject())
    }),
    ("PEER_ISSUER", |tls| {
        Some(certificate(tls.peer()?)?.issuer())
    }),
    ("PEER_SERIAL", |tls| {
        Some(certificate(tls.peer()?)?.serial())
    }),
    ("PEER_FINGERPRINT_256", |tls| Some(fingerprint(tls.peer()?))),
    ("PEER_CERT_V_START", |tls| {
        Some(moment(certificate(tls.peer()?)?.validity().0))
    }),
    ("PEER_CERT_V_END", |tls| {
        Some(moment(certificate(tls.peer()?)?.validity().1))
    }),
    ("LOCAL_URI_SAN", |tls| Some(uris(tls.own()?).join(","))),
    ("LOCAL_DNS_SAN", |tls| Some(dns_names(tls.own()?).join(","))),
    ("LOCAL_SUBJECT", |tls| {
        Some(certificate(tls.own()?)?.subject())
    }),
    ("LOCAL_SERIAL", |tls| {
        Some(certificate(tls.own()?)?.serial())
    }),
];

// === impl TlsOperator ===

impl TlsOperator {
    /// The operator of a name; none if it does not speak of TLS.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (side, rest) = match name.strip_prefix("DOWNSTREAM_") {
            Some(rest) => (Side::Downstream, rest),
            None => (Side::Upstream, name.strip_prefix("UPSTREAM_")?),
        };
        let (_, value) = VALUES.iter().find(|(known, _)| *known == rest)?;
        Some(Self {
            side,
            value: *value,
        })
    }

    /// What is said, if there is something.
    pub(super) fn value(&self, record: &Record<'_>) -> Option<String> {
        let tls = match self.side {
            Side::Downstream => record.tls,
            Side::Upstream => record.upstream_tls.as_deref(),
        };
        (self.value)(tls?).filter(|text| !text.is_empty())
    }
}

fn certificate(der: &[u8]) -> Option<Certificate<'_>> {
    Certificate::parse(der)
}

/// A time as Envoy writes those of certificates.
fn moment(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    let mut out = Vec::new();
    if let Ok(format) = TimeFormat::compile(time::DEFAULT) {
        format.write(&mut out, SystemTime::UNIX_EPOCH + since);
    }
    String::from_utf8(out).unwrap_or_default()
}
