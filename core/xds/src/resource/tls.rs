//! What TLS as a server and as a client have in common: certificates, validation, versions.

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, SdsSecretConfig, SubjectAltNameMatcher,
    TlsCertificate, TlsParameters as ParametersProto,
    common_tls_context::{CombinedCertificateValidationContext, ValidationContextType},
    subject_alt_name_matcher::SanType,
    tls_parameters::TlsProtocol,
};
use mesh_ir::{
    CertificateSource, NameKind, PeerValidation, SubjectAltName, TlsParameters, TlsVersion,
    TrustSource,
};

use super::border::{At, InvalidResource};
use super::{header_match, values};

const VERSIONS: [(TlsVersion, TlsProtocol); 4] = [
    (TlsVersion::V1_0, TlsProtocol::TlSv10),
    (TlsVersion::V1_1, TlsProtocol::TlSv11),
    (TlsVersion::V1_2, TlsProtocol::TlSv12),
    (TlsVersion::V1_3, TlsProtocol::TlSv13),
];

const KINDS: [(NameKind, SanType); 3] = [
    (NameKind::Dns, SanType::Dns),
    (NameKind::Uri, SanType::Uri),
    (NameKind::Address, SanType::IpAddress),
];

/// The parts of a context that both sides have.
pub(super) struct Common {
    pub(super) certificates: Vec<CertificateSource>,
    /// None if the peer's certificate does not matter.
    pub(super) peer: Option<PeerValidation>,
    pub(super) alpn: Vec<Arc<str>>,
    pub(super) parameters: TlsParameters,
}

pub(super) fn to_proto(value: &Common) -> CommonTlsContext {
    let Common {
        certificates,
        peer,
        alpn,
        parameters,
    } = value;
    let mut proto = CommonTlsContext {
        tls_params: parameters_proto(parameters),
        alpn_protocols: alpn.iter().map(ToString::to_string).collect(),
        validation_context_type: peer.as_ref().and_then(validation),
        ..CommonTlsContext::default()
    };
    for certificate in certificates {
        match certificate {
            CertificateSource::Discovered(name) => {
                let secrets = &mut proto.tls_certificate_sds_secret_configs;
                secrets.push(secret(name));
            }
            CertificateSource::Files { chain, key } => {
                proto.tls_certificates.push(TlsCertificate {
                    certificate_chain: Some(file(chain)),
                    private_key: Some(file(key)),
                    ..TlsCertificate::default()
                });
            }
        }
    }
    proto
}

fn secret(name: &str) -> SdsSecretConfig {
    SdsSecretConfig {
        name: name.to_owned(),
        sds_config: values::secret_source(name),
    }
}

fn file(path: &str) -> DataSource {
    DataSource {
        watched_directory: None,
        specifier: Some(Specifier::Filename(path.to_owned())),
    }
}

/// None if every certificate is accepted.
fn validation(value: &PeerValidation) -> Option<ValidationContextType> {
    let PeerValidation {
        trust,
        names,
        revoked,
    } = value;
    if *value == PeerValidation::default() {
        return None;
    }
    let context = CertificateValidationContext {
        trusted_ca: match trust {
            Some(TrustSource::File(path)) => Some(file(path)),
            Some(TrustSource::Discovered(_)) | None => None,
        },
        match_typed_subject_alt_names: names.iter().map(name_proto).collect(),
        crl: revoked.as_deref().map(file),
        ..CertificateValidationContext::default()
    };
    Some(match trust {
        Some(TrustSource::Discovered(name)) => {
            ValidationContextType::CombinedValidationContext(CombinedCertificateValidationContext {
                default_validation_context: Some(context),
                validation_context_sds_secret_config: Some(secret(name)),
                ..CombinedCertificateValidationContext::default()
            })
        }
        Some(TrustSource::File(_)) | None => ValidationContextType::ValidationContext(context),
    })
}

fn name_proto(value: &SubjectAltName) -> SubjectAltNameMatcher {
    let SubjectAltName { kind, name } = value;
    let san_type = KINDS
        .iter()
        .find(|(known, _)| known == kind)
        .map_or(SanType::Unspecified, |(_, proto)| *proto);
    SubjectAltNameMatcher {
        san_type: san_type.into(),
        matcher: Some(header_match::string(name)),
        oid: String::new(),
    }
}

fn parameters_proto(value: &TlsParameters) -> Option<ParametersProto> {
    let TlsParameters {
        minimum,
        maximum,
        cipher_suites,
        curves,
    } = value;
    let version = |version: &Option<TlsVersion>| {
        let known = VERSIONS.iter().find(|(known, _)| Some(*known) == *version);
        i32::from(known.map_or(TlsProtocol::TlsAuto, |(_, proto)| *proto))
    };
    (*value != TlsParameters::default()).then(|| ParametersProto {
        tls_minimum_protocol_version: version(minimum),
        tls_maximum_protocol_version: version(maximum),
        cipher_suites: cipher_suites.iter().map(ToString::to_string).collect(),
        ecdh_curves: curves.iter().map(ToString::to_string).collect(),
        ..ParametersProto::default()
    })
}

pub(super) fn from_proto(proto: CommonTlsContext, at: &At<'_>) -> Result<Common, InvalidResource> {
    open!(at, proto => CommonTlsContext {
        keep {
            tls_params, tls_certificates, tls_certificate_sds_secret_configs, alpn_protocols, validation_context_type,
        }
        refuse {
            tls_certificate_provider_instance, custom_tls_certificate_selector, tls_certificate_certificate_provider,
            tls_certificate_certificate_provider_instance, custom_handshaker, key_log,
        }
        ignore {}
    });
    let mut certificates = at.list("tls_certificates", tls_certificates, from_certificate)?;
    certificates.extend(at.list(
        "tls_certificate_sds_secret_configs",
        tls_certificate_sds_secret_configs,
        |config, at| from_secret(config, at).map(CertificateSource::Discovered),
    )?);
    Ok(Common {
        certificates,
        peer: validation_context_type
            .map(|context| from_validation(context, at))
            .transpose()?,
        alpn: alpn_protocols.into_iter().map(Into::into).collect(),
        parameters: from_parameters(tls_params.unwrap_or_default(), &at.field("tls_params"))?,
    })
}

fn from_secret(proto: SdsSecretConfig, at: &At<'_>) -> Result<Arc<str>, InvalidResource> {
    let SdsSecretConfig { name, sds_config } = proto;
    values::from_secret_source(&name, sds_config, &at.field("sds_config"))?;
    Ok(name.into())
}

fn from_file(
    field: &'static str,
    source: Option<DataSource>,
    at: &At<'_>,
) -> Result<Arc<str>, InvalidResource> {
    let source = at.require(field, source)?;
    let at = at.field(field);
    open!(&at, source => DataSource {
        keep { specifier }
        refuse { watched_directory }
        ignore {}
    });
    match specifier {
        Some(Specifier::Filename(path)) => Ok(path.into()),
        _ => Err(at.value("only secrets (sds) and files can be used")),
    }
}

fn from_certificate(
    proto: TlsCertificate,
    at: &At<'_>,
) -> Result<CertificateSource, InvalidResource> {
    open!(at, proto => TlsCertificate {
        keep { certificate_chain, private_key }
        refuse { pkcs12, watched_directory, private_key_provider, password, tls_params }
        ignore { ocsp_staple, signed_certificate_timestamp }
    });
    Ok(CertificateSource::Files {
        chain: from_file("certificate_chain", certificate_chain, at)?,
        key: from_file("private_key", private_key, at)?,
    })
}

fn from_validation(
    context: ValidationContextType,
    at: &At<'_>,
) -> Result<PeerValidation, InvalidResource> {
    match context {
        ValidationContextType::ValidationContext(context) => {
            from_context(context, &at.field("validation_context"))
        }
        ValidationContextType::ValidationContextSdsSecretConfig(config) => {
            let at = at.field("validation_context_sds_secret_config");
            Ok(PeerValidation {
                trust: Some(TrustSource::Discovered(from_secret(config, &at)?)),
                ..PeerValidation::default()
            })
        }
        ValidationContextType::CombinedValidationContext(combined) => {
            let at = at.field("combined_validation_context");
            open!(&at, combined => CombinedCertificateValidationContext {
                keep { default_validation_context, validation_context_sds_secret_config }
                refuse { validation_context_certificate_provider, validation_context_certificate_provider_instance }
                ignore {}
            });
            let secret_at = at.field("validation_context_sds_secret_config");
            let secret = at.require(
                "validation_context_sds_secret_config",
                validation_context_sds_secret_config,
            )?;
            let own_at = at.field("default_validation_context");
            let own = from_context(default_validation_context.unwrap_or_default(), &own_at)?;
            if own.trust.is_some() {
                return Err(own_at.field("trusted_ca").unsupported());
            }
            Ok(PeerValidation {
                trust: Some(TrustSource::Discovered(from_secret(secret, &secret_at)?)),
                ..own
            })
        }
        ValidationContextType::ValidationContextCertificateProvider(_)
        | ValidationContextType::ValidationContextCertificateProviderInstance(_) => Err(at
            .field("validation_context_certificate_provider")
            .unsupported()),
    }
}

fn from_context(
    context: CertificateValidationContext,
    at: &At<'_>,
) -> Result<PeerValidation, InvalidResource> {
    open!(at, context => CertificateValidationContext {
        keep { trusted_ca, match_typed_subject_alt_names, crl }
        refuse {
            ca_certificate_provider_instance, system_root_certs, watched_directory, verify_certificate_spki,
            verify_certificate_hash, match_subject_alt_names, require_signed_certificate_timestamp,
            allow_expired_certificate, trust_chain_verification, custom_validator_config, only_verify_leaf_cert_crl,
            max_verify_depth,
        }
        ignore { suppress_client_ca_list }
    });
    let optional = |field, source: Option<DataSource>| {
        source
            .map(|source| from_file(field, Some(source), at))
            .transpose()
    };
    Ok(PeerValidation {
        trust: optional("trusted_ca", trusted_ca)?.map(TrustSource::File),
        names: at.list(
            "match_typed_subject_alt_names",
            match_typed_subject_alt_names,
            from_name,
        )?,
        revoked: optional("crl", crl)?,
    })
}

fn from_name(proto: SubjectAltNameMatcher, at: &At<'_>) -> Result<SubjectAltName, InvalidResource> {
    open!(at, proto => SubjectAltNameMatcher {
        keep { san_type, matcher }
        refuse { oid }
        ignore {}
    });
    let kind = KINDS
        .iter()
        .find(|(_, proto)| i32::from(*proto) == san_type)
        .map(|(kind, _)| *kind)
        .ok_or_else(|| at.field("san_type").unsupported())?;
    let matcher = at.require("matcher", matcher)?;
    Ok(SubjectAltName {
        kind,
        name: header_match::from_string(matcher, &at.field("matcher"))?,
    })
}

fn from_parameters(proto: ParametersProto, at: &At<'_>) -> Result<TlsParameters, InvalidResource> {
    open!(at, proto => ParametersProto {
        keep { tls_minimum_protocol_version, tls_maximum_protocol_version, cipher_suites, ecdh_curves }
        refuse { signature_algorithms, compliance_policies }
        ignore {}
    });
    let version = |field, version: i32| match TlsProtocol::try_from(version) {
        Ok(TlsProtocol::TlsAuto) => Ok(None),
        Ok(proto) => Ok(VERSIONS
            .iter()
            .find(|(_, known)| *known == proto)
            .map(|(version, _)| *version)),
        Err(_) => Err(at.field(field).unsupported()),
    };
    Ok(TlsParameters {
        minimum: version("tls_minimum_protocol_version", tls_minimum_protocol_version)?,
        maximum: version("tls_maximum_protocol_version", tls_maximum_protocol_version)?,
        cipher_suites: cipher_suites.into_iter().map(Into::into).collect(),
        curves: ecdh_curves.into_iter().map(Into::into).collect(),
    })
}
