//! How the servers of Gateways end TLS, and the Secrets that a gateway needs for it.
//!
//! ```text
//! tls of a server + Secrets of the gateway's namespace --> ServerTls (by names of secrets), the secrets themselves
//! ```
//!
//! A server whose certificate is missing or unreadable is left out alone: to the others of its port nothing happens.

use std::sync::Arc;

use mesh_ir::{
    CertificateSource, ClientCertificate, PeerValidation, Secret, SecretKind, ServerTls,
    SubjectAltName, TlsParameters, TlsVersion, TrustSource,
};

use crate::model::{self, Credential, ServerTlsMode};
use crate::snapshot::derived::backend_tls::CONFIG_MAP;
use crate::snapshot::derived::certificates::OTHER_NAMESPACE;
use crate::translate::client_tls::given;
use crate::translate::mesh_tls::{self, Carries, MeshTls};
use crate::translate::naming;
use crate::translate::view::View;

/// How a server ends TLS.
#[derive(Clone, Debug)]
pub(super) struct Termination {
    pub(super) tls: Arc<ServerTls>,
    /// What its certificates are found in.
    pub(super) secrets: Vec<Arc<Secret>>,
}

/// Why a server cannot end TLS: the field below `tls` if it is one, and what is wrong.
pub(super) type Missing = (Option<&'static str>, String);

/// Takes down what a server needs.
struct Needs<'a> {
    view: &'a View<'a>,
    secrets: Vec<Arc<Secret>>,
}

/// How a server ends TLS; `tls` says that it does.
pub(super) fn termination(
    view: &View<'_>,
    tls: &model::ServerTls,
    carries: Carries,
) -> Result<Termination, Missing> {
    let mode = tls.mode.unwrap_or_default();
    for (field, hashes) in [
        ("verifyCertificateSpki", &tls.verify_certificate_spki),
        ("verifyCertificateHash", &tls.verify_certificate_hash),
    ] {
        if !hashes.is_empty() {
            let message = "certificates of clients cannot be chosen by their hashes yet";
            return Err((Some(field), message.to_owned()));
        }
    }
    let mesh = MeshTls::of(view.snapshot.mesh());
    if mode == ServerTlsMode::IstioMutual {
        let names = tls.subject_alt_names.iter().map(String::as_str);
        let server = mesh.server_for(carries, names);
        return Ok(Termination {
            tls: Arc::new(ServerTls {
                parameters: parameters(tls, &server.parameters),
                ..server
            }),
            secrets: Vec::new(),
        });
    }
    let parameters = parameters(tls, mesh.defaults());
    let mut needs = Needs {
        view,
        secrets: Vec::new(),
    };
    let certificates = needs.certificates(tls)?;
    let client = match mode {
        ServerTlsMode::Mutual => ClientCertificate::Required(needs.validation(tls)?),
        ServerTlsMode::OptionalMutual => ClientCertificate::Optional(needs.validation(tls)?),
        _ => ClientCertificate::NotRequested,
    };
    Ok(Termination {
        tls: Arc::new(ServerTls {
            certificates,
            client,
            alpn: carries.protocols(),
            parameters,
        }),
        secrets: needs.secrets,
    })
}

/// The secret `kubernetes://NAME` with the certificate of a Secret of the gateway's namespace.
pub(super) fn certificate(view: &View<'_>, name: &str) -> Result<Arc<Secret>, String> {
    let (chain, key) = credential(view, name)?
        .certificate()
        .map_err(|wrong| format!("of the Secret {name}: {wrong}"))?;
    Ok(Arc::new(Secret {
        name: naming::credential(name),
        kind: SecretKind::Certificate {
            chain: chain.clone(),
            key: key.clone(),
        },
    }))
}

/// The secret `kubernetes://NAME-cacert` with certificates to trust. They have a Secret of that name, or lie beside a certificate in the
/// Secret `NAME`.
pub(super) fn trust(view: &View<'_>, name: &str) -> Result<Arc<Secret>, String> {
    let own = [name, naming::TRUSTED].concat();
    if let Some(maps) = name.strip_prefix(CONFIG_MAP) {
        let roots = view.snapshot.policy_trust(maps)?.into();
        return Ok(Arc::new(Secret {
            name: naming::credential(&own),
            kind: SecretKind::Trust { roots },
        }));
    }
    let found = credential(view, &own).or_else(|_| credential(view, name))?;
    let roots = found
        .trusted()
        .map_err(|wrong| format!("of the Secret {name}: {wrong}"))?;
    Ok(Arc::new(Secret {
        name: naming::credential(&own),
        kind: SecretKind::Trust {
            roots: roots.clone(),
        },
    }))
}

fn credential<'a>(view: &View<'a>, name: &str) -> Result<&'a Credential, String> {
    let other = name.strip_prefix(OTHER_NAMESPACE);
    if let Some((namespace, name)) = other.and_then(|name| name.split_once('/')) {
        let found = view.snapshot.credential(namespace, name);
        return found.ok_or_else(|| format!("there is no Secret {name} in {namespace}"));
    }
    if name.contains('/') {
        return Err(format!(
            "{name} is in another namespace; a gateway only takes Secrets of its own, {}",
            view.namespace
        ));
    }
    let found = view.snapshot.credential(view.namespace, name);
    found.ok_or_else(|| {
        format!(
            "there is no Secret {name} in {}, the namespace of the gateway",
            view.namespace
        )
    })
}

/// Versions and algorithms: the server's, else those of the mesh.
fn parameters(tls: &model::ServerTls, defaults: &TlsParameters) -> TlsParameters {
    let minimum = tls.min_protocol_version.and_then(mesh_tls::version);
    let maximum = tls.max_protocol_version.and_then(mesh_tls::version);
    TlsParameters {
        minimum: minimum.or(defaults.minimum).or(Some(TlsVersion::V1_2)),
        maximum,
        cipher_suites: match tls.cipher_suites.as_slice() {
            [] => defaults.cipher_suites.clone(),
            own => own.iter().map(|name| name.as_str().into()).collect(),
        },
        curves: defaults.curves.clone(),
    }
}

// === impl Needs ===

impl Needs<'_> {
    fn take(
        &mut self,
        field: &'static str,
        secret: Result<Arc<Secret>, String>,
    ) -> Result<Arc<str>, Missing> {
        let secret = secret.map_err(|wrong| (Some(field), wrong))?;
        let name = secret.name.clone();
        if !self.secrets.contains(&secret) {
            self.secrets.push(secret);
        }
        Ok(name)
    }

    fn certificates(&mut self, tls: &model::ServerTls) -> Result<Vec<CertificateSource>, Missing> {
        let one = given(&tls.credential_name);
        let named: Vec<(&'static str, &str)> = match one {
            Some(name) => vec![("credentialName", name)],
            None => tls
                .credential_names
                .iter()
                .map(|name| ("credentialNames", name.as_str()))
                .collect(),
        };
        if !named.is_empty() {
            let sources = named.into_iter().map(|(field, name)| {
                let secret = certificate(self.view, name);
                self.take(field, secret).map(CertificateSource::Discovered)
            });
            return sources.collect();
        }
        let files = |chain: &Option<String>, key: &Option<String>| {
            Some(CertificateSource::Files {
                chain: given(chain)?.into(),
                key: given(key)?.into(),
            })
        };
        let listed = tls.tls_certificates.iter();
        let listed = listed.filter_map(|one| files(&one.server_certificate, &one.private_key));
        let own = files(&tls.server_certificate, &tls.private_key);
        let all: Vec<CertificateSource> = own.into_iter().chain(listed).collect();
        if all.is_empty() {
            let message = "the server has neither a credential nor files with a certificate";
            return Err((None, message.to_owned()));
        }
        Ok(all)
    }

    /// What certificates of clients must be.
    fn validation(&mut self, tls: &model::ServerTls) -> Result<PeerValidation, Missing> {
        if tls.insecure_skip_verify == Some(true) {
            return Ok(PeerValidation::default());
        }
        let apart = given(&tls.ca_cert_credential_name);
        let (field, credential) = match apart {
            Some(name) => ("caCertCredentialName", Some(name)),
            None => ("credentialName", given(&tls.credential_name)),
        };
        let mut files = tls.tls_certificates.iter();
        let file = given(&tls.ca_certificates)
            .or_else(|| files.find_map(|one| given(&one.ca_certificates)));
        let trust = match (credential, file) {
            (Some(name), _) => {
                let secret = trust(self.view, name);
                TrustSource::Discovered(self.take(field, secret)?)
            }
            (None, Some(file)) => TrustSource::File(file.into()),
            (None, None) => {
                let message = "nothing says whose certificates clients must have";
                return Err((None, message.to_owned()));
            }
        };
        let names = tls.subject_alt_names.iter();
        Ok(PeerValidation {
            trust: Some(trust),
            names: names.map(|name| SubjectAltName::exact(name)).collect(),
            revoked: given(&tls.ca_crl).map(Arc::from),
        })
    }
}
