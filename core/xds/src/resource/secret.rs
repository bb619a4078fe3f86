//! Secrets (SDS).

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, Secret as Proto, TlsCertificate, secret,
};
use mesh_ir::{Secret, SecretKind, SecretText};

use super::border::{At, InvalidResource};
use super::values::{from_inline, inline_pem};

pub(super) fn to_proto(value: &Secret) -> Proto {
    let Secret { name, kind } = value;
    let kind = match kind {
        SecretKind::Certificate { chain, key } => secret::Type::TlsCertificate(TlsCertificate {
            certificate_chain: inline_pem(chain),
            private_key: inline_pem(&key.0),
            ..TlsCertificate::default()
        }),
        SecretKind::Trust { roots } => {
            secret::Type::ValidationContext(CertificateValidationContext {
                trusted_ca: inline_pem(roots),
                ..CertificateValidationContext::default()
            })
        }
    };
    Proto {
        name: name.to_string(),
        r#type: Some(kind),
    }
}

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<Secret, InvalidResource> {
    let Proto { name, r#type } = proto;
    let kind = match r#type {
        Some(secret::Type::TlsCertificate(certificate)) => {
            from_certificate(certificate, &at.field("tls_certificate"))?
        }
        Some(secret::Type::ValidationContext(context)) => {
            from_trust(context, &at.field("validation_context"))?
        }
        Some(secret::Type::SessionTicketKeys(_)) => {
            return Err(at.field("session_ticket_keys").unsupported());
        }
        Some(secret::Type::GenericSecret(_)) => {
            return Err(at.field("generic_secret").unsupported());
        }
        None => return Err(at.value("the secret holds nothing")),
    };
    Ok(Secret {
        name: name.into(),
        kind,
    })
}

fn from_certificate(
    certificate: TlsCertificate,
    at: &At<'_>,
) -> Result<SecretKind, InvalidResource> {
    open!(at, certificate => TlsCertificate {
        keep { certificate_chain, private_key }
        refuse { pkcs12, watched_directory, private_key_provider, password, tls_params }
        ignore { ocsp_staple, signed_certificate_timestamp }
    });
    let chain = at.require("certificate_chain", certificate_chain)?;
    let key = at.require("private_key", private_key)?;
    Ok(SecretKind::Certificate {
        chain: from_inline(chain, &at.field("certificate_chain"))?.into(),
        key: SecretText(from_inline(key, &at.field("private_key"))?.into()),
    })
}

fn from_trust(
    context: CertificateValidationContext,
    at: &At<'_>,
) -> Result<SecretKind, InvalidResource> {
    open!(at, context => CertificateValidationContext {
        keep { trusted_ca }
        refuse {
            ca_certificate_provider_instance, system_root_certs, watched_directory, verify_certificate_spki,
            verify_certificate_hash, match_typed_subject_alt_names, match_subject_alt_names,
            require_signed_certificate_timestamp, crl, allow_expired_certificate, trust_chain_verification,
            custom_validator_config, only_verify_leaf_cert_crl, max_verify_depth,
        }
        ignore { suppress_client_ca_list }
    });
    let roots = at.require("trusted_ca", trusted_ca)?;
    Ok(SecretKind::Trust {
        roots: from_inline(roots, &at.field("trusted_ca"))?.into(),
    })
}
