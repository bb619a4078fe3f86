//! The client's side.

use std::sync::Arc;

use mesh_ir::{ClientTls, ServerName};
use rustls::ClientConfig;
use rustls::pki_types::ServerName as RustlsName;
use rustls::sign::SingleCertAndKey;

use super::material::{InvalidTls, Materials};
use super::parameters;
use super::verify::PeerVerifier;

/// What a session is filed under where no server is named; never sent.
const UNNAMED: &str = "unnamed.invalid";

/// How a cluster's endpoints are spoken to.
#[derive(Debug)]
pub struct ClientSide {
    config: Arc<ClientConfig>,
    server_name: RustlsName<'static>,
}

// === impl ClientSide ===

impl ClientSide {
    /// # Errors
    /// When a key or a certificate is missing or means nothing, or something is asked for that this proxy does not do.
    pub(super) fn new(tls: &ClientTls, materials: &Materials<'_>) -> Result<Self, InvalidTls> {
        let ClientTls {
            certificate,
            server,
            server_name,
            alpn,
            parameters,
        } = tls;
        let provider = parameters::provider(parameters)?;
        let verifier = PeerVerifier::new(server, true, materials, provider.clone())?;
        let certificate = match certificate {
            Some(source) => Some(materials.certificate(source, &provider)?),
            None => None,
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&parameters::versions(parameters)?)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match certificate {
            Some(certified) => {
                let single = SingleCertAndKey::from((*certified).clone());
                builder.with_client_cert_resolver(Arc::new(single))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = match server_name {
            ServerName::Fixed(name) => name,
            ServerName::None => {
                config.enable_sni = false;
                UNNAMED
            }
            ServerName::OfRequest => {
                let what = "the host of each request as server name (auto_sni)".to_owned();
                return Err(InvalidTls::Unsupported(what));
            }
        };
        let server_name = RustlsName::try_from(name.to_owned())
            .map_err(|_| InvalidTls::Unsupported(format!("the server name {name:?}")))?;
        Ok(Self {
            config: Arc::new(config),
            server_name,
        })
    }

    /// The settings of the library.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// The name that the server is asked for.
    pub fn server_name(&self) -> &RustlsName<'static> {
        &self.server_name
    }
}
