//! The mesh's own mutual TLS, between proxies that know each other by their service accounts.

use std::collections::BTreeSet;
use std::sync::Arc;

use mesh_ir::names::{ROOT_CERTIFICATES, WORKLOAD_CERTIFICATE};
use mesh_ir::policy::PeerAuthenticationMode;
use mesh_ir::{
    CertificateSource, ChainMatch, ClientCertificate, ClientTls, HttpProtocol, NameKind,
    PeerValidation, ServerName, ServerTls, StringMatch, SubjectAltName, TlsParameters, TlsVersion,
    Transport, TrustSource, alpn,
};

use crate::model::{MeshConfig, MeshTls as MeshTlsSettings, TlsProtocol};

/// Longest name of a server that TLS takes.
const MAX_SERVER_NAME: usize = 253;

/// What the mesh's configuration says of mutual TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MeshTls {
    /// Whether clients speak it where servers offer it and no rule says otherwise.
    pub(super) automatic: bool,
    /// Trust domains whose identities are accepted, the mesh's own first.
    domains: Vec<Arc<str>>,
    /// Versions and algorithms that servers of the mesh take from each other.
    server: TlsParameters,
    /// Versions and algorithms of all other TLS that says nothing of its own.
    defaults: TlsParameters,
}

/// Connections that a port takes alike.
pub(super) struct PortTransport {
    /// Which.
    pub(super) matcher: ChainMatch,
    /// What is inside, where that is not told by the port's protocol.
    pub(super) carries: Carries,
    /// How the mesh's mutual TLS is ended; none leaves what is there as it is.
    pub(super) tls: Option<Arc<ServerTls>>,
}

/// What connections carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carries {
    /// Requests.
    Http,
    /// Bytes.
    Tcp,
}

/// What is known of a port's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PortCarries {
    /// All carry this.
    Only(Carries),
    /// The first bytes, or what clients offer in TLS, decide.
    Detected,
}

// === impl Carries ===

impl Carries {
    /// What a server offers its clients in TLS.
    pub(super) fn protocols(self) -> Vec<Arc<str>> {
        match self {
            Carries::Http => alpn::HTTP.map(Arc::from).into(),
            Carries::Tcp => Vec::new(),
        }
    }
}

// === impl MeshTls ===

impl MeshTls {
    pub(super) fn of(mesh: &MeshConfig) -> Self {
        let aliases = mesh.trust_domain_aliases.iter().map(String::as_str);
        let aliases = aliases.filter(|alias| *alias != mesh.trust_domain());
        Self {
            automatic: mesh.enable_auto_mtls != Some(false),
            domains: std::iter::once(mesh.trust_domain())
                .chain(aliases)
                .map(Arc::from)
                .collect(),
            server: TlsParameters {
                // Curves cannot be chosen inside of the mesh.
                curves: Vec::new(),
                ..parameters(mesh.mesh_mtls.as_ref())
            },
            defaults: parameters(mesh.tls_defaults.as_ref()),
        }
    }

    /// Versions and algorithms where neither a rule nor the mesh's own TLS says any (`tlsDefaults`).
    pub(super) fn defaults(&self) -> &TlsParameters {
        &self.defaults
    }

    /// How a server of the mesh ends it: clients must show a certificate of one of the trust domains.
    fn server(&self, carries: Carries) -> Arc<ServerTls> {
        Arc::new(self.server_for(carries, std::iter::empty()))
    }

    /// How a server of the mesh ends it for clients that have one of these names; without names, for everybody in the trust domains.
    pub(super) fn server_for<'a>(
        &self,
        carries: Carries,
        names: impl Iterator<Item = &'a str>,
    ) -> ServerTls {
        let mut names: Vec<SubjectAltName> = names.map(SubjectAltName::exact).collect();
        if names.is_empty() {
            names.extend(self.anyone());
        }
        ServerTls {
            certificates: vec![certificate()],
            client: ClientCertificate::Required(validation(names)),
            alpn: carries.protocols(),
            parameters: TlsParameters {
                minimum: self.server.minimum.or(Some(TlsVersion::V1_2)),
                ..self.server.clone()
            },
        }
    }

    /// How a client of the mesh speaks it with servers that run as one of these service accounts (`NAMESPACE/NAME`), or have one of
    /// the other names. Of servers of whom nothing is known, only the trust domain is.
    pub(super) fn client<'a>(
        &self,
        accounts: &BTreeSet<Arc<str>>,
        other_names: impl IntoIterator<Item = &'a str>,
        server_name: ServerName,
        http: HttpProtocol,
    ) -> ClientTls {
        let mut names: Vec<SubjectAltName> = accounts
            .iter()
            .filter_map(|account| account.split_once('/'))
            .flat_map(|(namespace, name)| {
                self.domains.iter().map(move |domain| {
                    let identity = format!("spiffe://{domain}/ns/{namespace}/sa/{name}");
                    SubjectAltName::exact(&identity)
                })
            })
            .collect();
        names.extend(other_names.into_iter().map(SubjectAltName::exact));
        if names.is_empty() {
            names.extend(self.anyone());
        }
        let protocols = match http {
            HttpProtocol::Http2 => &alpn::MESH_TCP_OR_HTTP2[..],
            HttpProtocol::Http1 | HttpProtocol::AsClient => &alpn::MESH_TCP,
        };
        ClientTls {
            certificate: Some(certificate()),
            server: validation(names),
            server_name,
            alpn: protocols.iter().copied().map(Arc::from).collect(),
            parameters: TlsParameters::default(),
        }
    }

    /// Everybody in the trust domains.
    fn anyone(&self) -> impl Iterator<Item = SubjectAltName> {
        self.domains.iter().map(|domain| SubjectAltName {
            kind: NameKind::Uri,
            name: StringMatch::Prefix(["spiffe://", domain, "/"].concat().into()),
        })
    }

    /// How the connections to a port of a server are taken that `matcher` matches, as Istio's proxies tell them apart.
    pub(super) fn port(
        &self,
        mode: PeerAuthenticationMode,
        carries: PortCarries,
        matcher: &ChainMatch,
    ) -> Vec<PortTransport> {
        use PeerAuthenticationMode::{Disable, Permissive, Strict};
        let of = |transport, protocols: &[&str]| ChainMatch {
            transport,
            application_protocols: protocols.iter().copied().map(Arc::from).collect(),
            ..matcher.clone()
        };
        let ended = |protocols: &[&str], carries| PortTransport {
            matcher: of(Some(Transport::Tls), protocols),
            carries,
            tls: Some(self.server(carries)),
        };
        let plain = |transport, protocols: &[&str], carries| PortTransport {
            matcher: of(transport, protocols),
            carries,
            tls: None,
        };
        let raw = Some(Transport::Plaintext);
        let detected = &alpn::DETECTED_HTTP;
        match (mode, carries) {
            (Disable, PortCarries::Only(carries)) => vec![plain(None, &[], carries)],
            (Disable, PortCarries::Detected) => vec![
                plain(None, detected, Carries::Http),
                plain(None, &[], Carries::Tcp),
            ],
            (Strict, PortCarries::Only(carries)) => vec![ended(&[], carries)],
            (Strict, PortCarries::Detected) => vec![
                ended(&alpn::MESH_HTTP, Carries::Http),
                ended(&[], Carries::Tcp),
            ],
            // Who says that a port carries HTTP has no TLS of its own there.
            (Permissive, PortCarries::Only(Carries::Http)) => vec![
                ended(&alpn::MESH, Carries::Http),
                plain(raw, &[], Carries::Http),
            ],
            (Permissive, PortCarries::Only(Carries::Tcp)) => vec![
                ended(&alpn::MESH, Carries::Tcp),
                plain(raw, &[], Carries::Tcp),
                plain(Some(Transport::Tls), &[], Carries::Tcp),
            ],
            (Permissive, PortCarries::Detected) => vec![
                ended(&alpn::MESH_HTTP, Carries::Http),
                ended(&alpn::MESH_TCP, Carries::Tcp),
                plain(raw, detected, Carries::Http),
                plain(raw, &[], Carries::Tcp),
                plain(Some(Transport::Tls), &[], Carries::Tcp),
            ],
        }
    }
}

/// What a server of the mesh is asked for (SNI): `outbound_.PORT_.SUBSET_.HOST`; nothing where that is no name.
pub(super) fn server_name(port: u16, subset: &str, host: &str) -> ServerName {
    let name = format!("outbound_.{port}_.{subset}_.{host}");
    if name.contains('*') || name.len() > MAX_SERVER_NAME {
        return ServerName::None;
    }
    ServerName::Fixed(name.into())
}

fn certificate() -> CertificateSource {
    CertificateSource::Discovered(WORKLOAD_CERTIFICATE.into())
}

fn validation(names: Vec<SubjectAltName>) -> PeerValidation {
    PeerValidation {
        trust: Some(TrustSource::Discovered(ROOT_CERTIFICATES.into())),
        names,
        revoked: None,
    }
}

/// What the mesh says of versions and algorithms.
fn parameters(tls: Option<&MeshTlsSettings>) -> TlsParameters {
    let Some(MeshTlsSettings {
        min_protocol_version,
        cipher_suites,
        ecdh_curves,
    }) = tls
    else {
        return TlsParameters::default();
    };
    let names = |all: &[String]| all.iter().map(|name| name.as_str().into()).collect();
    TlsParameters {
        minimum: min_protocol_version.and_then(version),
        maximum: None,
        cipher_suites: names(cipher_suites),
        curves: names(ecdh_curves),
    }
}

/// A version; none leaves the choice to the implementation.
pub(super) fn version(version: TlsProtocol) -> Option<TlsVersion> {
    match version {
        TlsProtocol::Auto => None,
        TlsProtocol::V1_0 => Some(TlsVersion::V1_0),
        TlsProtocol::V1_1 => Some(TlsVersion::V1_1),
        TlsProtocol::V1_2 => Some(TlsVersion::V1_2),
        TlsProtocol::V1_3 => Some(TlsVersion::V1_3),
    }
}
