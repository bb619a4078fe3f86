//! TLS towards the endpoints of a cluster, as its DestinationRule asks for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use mesh_ir::{
    CertificateSource, ClientTls, HttpProtocol, PeerValidation, ServerName, SubjectAltName,
    TrustSource, UpstreamTls,
};

use super::mesh_tls::MeshTls;
use super::naming;
use crate::model::{self, ClientTlsMode};
use crate::snapshot::Protocol;
use crate::snapshot::derived::backend_tls::{SYSTEM, is_of_policy};

/// The authorities that the images of proxies trust, for rules that name none.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What counts beside the rule.
#[derive(Clone, Debug)]
pub(super) struct TlsContext<'a> {
    /// What the port's connections carry.
    pub(super) protocol: Protocol,
    /// Which HTTP version is spoken to the endpoints.
    pub(super) http: HttpProtocol,
    /// Names that a ServiceEntry says its servers have, where the rule names none.
    pub(super) names: &'a [Arc<str>],
    /// Whether the proxy may be given Secrets: gateways may, and sidecars by rules with a workload selector.
    pub(super) has_secrets: bool,
    /// The mesh's own TLS.
    pub(super) mesh: &'a MeshTls,
    /// Service accounts of the servers.
    pub(super) accounts: &'a BTreeSet<Arc<str>>,
    /// What servers of the mesh are asked for.
    pub(super) server_name: ServerName,
    /// Which endpoints take the mesh's own TLS.
    pub(super) offered: Offered,
}

/// Which endpoints take the mesh's own TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// None.
    Nowhere,
    /// Each says so itself.
    BySome,
    /// All.
    Everywhere,
}

/// How endpoints are spoken to. Without a rule the mesh's own TLS is spoken where it is offered. Where a Secret may not be given to the
/// proxy, it speaks plain text, as in Istio.
pub(super) fn upstream(tls: Option<&model::ClientTls>, context: &TlsContext<'_>) -> UpstreamTls {
    // What a BackendTLSPolicy asks for concerns gateways alone.
    let of_gateways =
        |tls: &&model::ClientTls| given(&tls.credential_name).is_some_and(is_of_policy);
    let tls = tls.filter(|tls| context.has_secrets || !of_gateways(tls));
    let Some(tls) = tls else {
        return match context.offered {
            _ if !context.mesh.automatic => UpstreamTls::Plaintext,
            Offered::Nowhere => UpstreamTls::Plaintext,
            Offered::BySome => UpstreamTls::WhereOffered(Arc::new(mutual(None, context))),
            Offered::Everywhere => UpstreamTls::Always(Arc::new(mutual(None, context))),
        };
    };
    let secret = given(&tls.credential_name);
    match tls.mode {
        ClientTlsMode::Disable => UpstreamTls::Plaintext,
        ClientTlsMode::IstioMutual => UpstreamTls::Always(Arc::new(mutual(Some(tls), context))),
        ClientTlsMode::Simple | ClientTlsMode::Mutual
            if secret.is_some() && !context.has_secrets =>
        {
            UpstreamTls::Plaintext
        }
        ClientTlsMode::Simple | ClientTlsMode::Mutual => {
            UpstreamTls::Always(Arc::new(originated(tls, secret, context)))
        }
    }
}

/// The mesh's own TLS, with the names that a rule says.
fn mutual(tls: Option<&model::ClientTls>, context: &TlsContext<'_>) -> ClientTls {
    let server_name = tls.and_then(|tls| given(&tls.sni));
    let server_name = match server_name {
        Some(name) => ServerName::Fixed(name.into()),
        None => context.server_name.clone(),
    };
    let nobody = BTreeSet::new();
    match tls.map(|tls| &tls.subject_alt_names) {
        Some(names) if !names.is_empty() => {
            let names = names.iter().map(String::as_str);
            context
                .mesh
                .client(&nobody, names, server_name, context.http)
        }
        _ => {
            let names = context.names.iter().map(|name| &**name);
            context
                .mesh
                .client(context.accounts, names, server_name, context.http)
        }
    }
}

fn originated(tls: &model::ClientTls, secret: Option<&str>, context: &TlsContext<'_>) -> ClientTls {
    let files = given(&tls.client_certificate).zip(given(&tls.private_key));
    let certificate = match (secret, files) {
        (Some(name), _) => Some(CertificateSource::Discovered(naming::credential(name))),
        (None, Some((chain, key))) => Some(CertificateSource::Files {
            chain: chain.into(),
            key: key.into(),
        }),
        (None, None) => None,
    };
    let trust = match (secret, given(&tls.ca_certificates)) {
        (Some(SYSTEM), _) => TrustSource::File(SYSTEM_ROOTS.into()),
        (Some(name), _) => {
            TrustSource::Discovered(naming::credential(&[name, naming::TRUSTED].concat()))
        }
        (None, Some(file)) => TrustSource::File(file.into()),
        (None, None) => TrustSource::File(SYSTEM_ROOTS.into()),
    };
    let names = tls.subject_alt_names.iter().map(String::as_str);
    let of_entry = context.names.iter().map(|name| &**name);
    let mut names: Vec<SubjectAltName> = names.map(SubjectAltName::exact).collect();
    if names.is_empty() {
        names = of_entry.map(SubjectAltName::exact).collect();
    }
    let is_http = context.protocol.is_http() || context.protocol == Protocol::Detect;
    ClientTls {
        certificate: certificate.filter(|_| tls.mode == ClientTlsMode::Mutual),
        server: if tls.insecure_skip_verify == Some(true) {
            PeerValidation::default()
        } else {
            PeerValidation {
                trust: Some(trust),
                names,
                revoked: given(&tls.ca_crl).map(Arc::from),
            }
        },
        server_name: match given(&tls.sni) {
            Some(name) => ServerName::Fixed(name.into()),
            None if is_http => ServerName::OfRequest,
            None => ServerName::None,
        },
        alpn: match context.http {
            HttpProtocol::Http2 => vec!["h2".into()],
            HttpProtocol::Http1 | HttpProtocol::AsClient => Vec::new(),
        },
        parameters: context.mesh.defaults().clone(),
    }
}

/// A text that says something.
pub(super) fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}
