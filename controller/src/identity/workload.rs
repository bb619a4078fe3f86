//! One certificate of a workload. Of the request only the key counts: the identity is the caller's, and all else is ours to say.

use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ED25519, PKCS_RSA_SHA256, PKCS_RSA_SHA384, PKCS_RSA_SHA512, PublicKeyData as _, SanType,
    SerialNumber,
};

use super::authority::CLOCK_SKEW;

/// Lengths that the public keys of RSA have in DER, in bytes: of 2048 bits, and of 4096.
const RSA_LENGTHS: std::ops::RangeInclusive<usize> = 268..=530;
/// Lengths of uncompressed points on P-256 and P-384, in bytes.
const POINT_LENGTHS: [usize; 2] = [65, 97];
/// Length of a key of Ed25519, in bytes.
const ED25519_LENGTH: usize = 32;

/// A certificate that was issued.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// PEM.
    pub pem: String,
    /// Serial number, in hexadecimal digits.
    pub serial: String,
}

/// Why there is no certificate for a request.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRequest {
    /// It cannot be read, or is not signed by its own key.
    #[error("the certificate signing request cannot be used: {0}")]
    Request(#[source] rcgen::Error),
    /// Its key is too weak, or of a kind that is not used in the mesh.
    #[error(
        "the key of the certificate signing request is neither ECDSA on P-256 or P-384, nor Ed25519, nor RSA of 2048 to 4096 bits"
    )]
    Key,
    /// The certificate cannot be made.
    #[error("failed to sign the certificate: {0}")]
    Signing(#[source] rcgen::Error),
}

// === impl Leaf ===

impl Leaf {
    pub(super) fn sign(
        csr: &str,
        identity: &str,
        life: Duration,
        now: SystemTime,
        issuer: &Issuer<'static, KeyPair>,
    ) -> Result<Self, InvalidRequest> {
        let mut request =
            CertificateSigningRequestParams::from_pem(csr).map_err(InvalidRequest::Request)?;
        if !is_acceptable(&request.public_key) {
            return Err(InvalidRequest::Key);
        }
        // Positive, and without leading zeros (RFC 5280).
        let serial = rand::random::<u128>() >> 1 | 1 << 126;
        let expires = now + life;
        request.params = params(identity, serial, now, expires)?;
        let certificate = request.signed_by(issuer).map_err(InvalidRequest::Signing)?;
        Ok(Self {
            pem: certificate.pem(),
            serial: format!("{serial:032x}"),
        })
    }
}

/// What a workload's certificate says, by SPIFFE's X509-SVID.
fn params(
    identity: &str,
    serial: u128,
    now: SystemTime,
    expires: SystemTime,
) -> Result<CertificateParams, InvalidRequest> {
    let mut params = CertificateParams::default();
    let name = identity.try_into().map_err(InvalidRequest::Signing)?;
    params.subject_alt_names = vec![SanType::URI(name)];
    params.distinguished_name = DistinguishedName::new();
    params.serial_number = Some(SerialNumber::from_slice(&serial.to_be_bytes()));
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = expires.into();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// The kind is read from the signature's algorithm, so that the length has to agree with it.
fn is_acceptable(key: &rcgen::PublicKey) -> bool {
    let (kind, length) = (key.algorithm(), key.der_bytes().len());
    let [p256, p384] = POINT_LENGTHS;
    if kind == &PKCS_ECDSA_P256_SHA256 {
        length == p256
    } else if kind == &PKCS_ECDSA_P384_SHA384 {
        length == p384
    } else if kind == &PKCS_ED25519 {
        length == ED25519_LENGTH
    } else {
        let rsa = [&PKCS_RSA_SHA256, &PKCS_RSA_SHA384, &PKCS_RSA_SHA512];
        rsa.contains(&kind) && RSA_LENGTHS.contains(&length)
    }
}
