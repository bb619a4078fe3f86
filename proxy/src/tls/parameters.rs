//! Versions and algorithms, from Envoy's names to rustls.

use std::sync::Arc;

use mesh_ir::{TlsParameters, TlsVersion};
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, SupportedCipherSuite, SupportedProtocolVersion};

use super::material::InvalidTls;

/// Cipher suites before TLS 1.3 by OpenSSL's names.
const SUITES: [(&str, SupportedCipherSuite); 6] = [
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "ECDHE-RSA-AES128-GCM-SHA256",
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "ECDHE-RSA-AES256-GCM-SHA384",
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "ECDHE-RSA-CHACHA20-POLY1305",
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// A suite by OpenSSL's name; empty for one that is not spoken.
pub(super) fn suite_name(suite: CipherSuite) -> &'static str {
    let known = SUITES.iter().find(|(_, known)| known.suite() == suite);
    known.map_or("", |(name, _)| name)
}

/// Those of TLS 1.3, which no configuration chooses; the fastest first.
const SUITES_13: [SupportedCipherSuite; 3] = [
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// Curves by Envoy's names.
const CURVES: [(&str, &dyn SupportedKxGroup); 4] = [
    ("X25519MLKEM768", kx_group::X25519MLKEM768),
    ("X25519", kx_group::X25519),
    ("P-256", kx_group::SECP256R1),
    ("P-384", kx_group::SECP384R1),
];

/// The algorithms that are left, in their order.
///
/// # Errors
/// When a name is unknown, or nothing is left.
pub(super) fn provider(parameters: &TlsParameters) -> Result<Arc<CryptoProvider>, InvalidTls> {
    let TlsParameters {
        minimum: _,
        maximum: _,
        cipher_suites,
        curves,
    } = parameters;
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = SUITES_13.to_vec();
    if cipher_suites.is_empty() {
        let all = SUITES.iter().map(|(_, suite)| *suite);
        provider.cipher_suites.extend(all);
    }
    for name in cipher_suites {
        // Istio's lists name suites that Envoy's TLS library has and others have given up; the rest of a list counts.
        let known = SUITES.iter().find(|(known, _)| **known == **name);
        provider
            .cipher_suites
            .extend(known.map(|(_, suite)| *suite));
    }
    if !curves.is_empty() {
        provider.kx_groups = curves
            .iter()
            .map(|name| curve(name))
            .collect::<Result<_, _>>()?;
    }
    Ok(Arc::new(provider))
}

fn curve(name: &str) -> Result<&'static dyn SupportedKxGroup, InvalidTls> {
    let known = CURVES.iter().find(|(known, _)| *known == name);
    let unknown = || InvalidTls::Unsupported(format!("the curve {name}"));
    known.map(|(_, curve)| *curve).ok_or_else(unknown)
}

/// The versions that are spoken.
///
/// # Errors
/// When only versions before 1.2 are left, which are broken (RFC 8996).
pub(super) fn versions(
    parameters: &TlsParameters,
) -> Result<Vec<&'static SupportedProtocolVersion>, InvalidTls> {
    let minimum = parameters.minimum.unwrap_or(TlsVersion::V1_2);
    let maximum = parameters.maximum.unwrap_or(TlsVersion::V1_3);
    let known = [(TlsVersion::V1_3, &TLS13), (TlsVersion::V1_2, &TLS12)];
    let spoken = known
        .iter()
        .filter(|(version, _)| (minimum..=maximum).contains(version));
    let spoken: Vec<_> = spoken.map(|(_, version)| *version).collect();
    if spoken.is_empty() {
        let text = format!("TLS from {minimum:?} to {maximum:?}").replace("V1_", "1.");
        return Err(InvalidTls::Unsupported(text));
    }
    Ok(spoken)
}
