//! TLS of a listener's chain.

use envoy_types::pb::envoy::config::core::v3::{TransportSocket, transport_socket::ConfigType};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext as Proto;
use mesh_ir::{ClientCertificate, PeerValidation, ServerTls};

use super::border::{At, InvalidResource};
use super::tls::{self, Common};
use super::{pack, unpack, values};

/// Name of TLS among the transport sockets.
pub(super) const TLS: &str = "envoy.transport_sockets.tls";

pub(super) fn to_proto(value: &ServerTls) -> TransportSocket {
    let ServerTls {
        certificates,
        client,
        alpn,
        parameters,
    } = value;
    let (required, peer) = match client {
        ClientCertificate::NotRequested => (false, None),
        ClientCertificate::Optional(peer) => (false, Some(peer)),
        ClientCertificate::Required(peer) => (true, Some(peer)),
    };
    let common = Common {
        certificates: certificates.clone(),
        peer: peer.cloned(),
        alpn: alpn.clone(),
        parameters: parameters.clone(),
    };
    let context = Proto {
        common_tls_context: Some(tls::to_proto(&common)),
        require_client_certificate: values::bool_value(required),
        ..Proto::default()
    };
    TransportSocket {
        name: TLS.to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack(&context))),
    }
}

pub(super) fn from_proto(
    socket: TransportSocket,
    at: &At<'_>,
) -> Result<ServerTls, InvalidResource> {
    let TransportSocket { name, config_type } = socket;
    let Some(ConfigType::TypedConfig(any)) = config_type else {
        return Err(at.field("typed_config").missing());
    };
    let at = at.field("typed_config");
    let Some(proto) = unpack::<Proto>(&any, &at)? else {
        return Err(at.value(format!(
            "the transport socket {name:?} ({}) is not supported by this proxy",
            any.type_url
        )));
    };
    open!(&at, proto => Proto {
        keep { common_tls_context, require_client_certificate }
        refuse { require_sni, ocsp_staple_policy, session_ticket_keys_type }
        ignore {
            disable_stateful_session_resumption, session_timeout, full_scan_certs_on_sni_mismatch, prefer_client_ciphers,
        }
    });
    let Common {
        certificates,
        peer,
        alpn,
        parameters,
    } = tls::from_proto(
        at.require("common_tls_context", common_tls_context)?,
        &at.field("common_tls_context"),
    )?;
    Ok(ServerTls {
        certificates,
        client: match (values::is_true(require_client_certificate), peer) {
            (true, peer) => {
                ClientCertificate::Required(peer.unwrap_or_else(PeerValidation::default))
            }
            (false, Some(peer)) => ClientCertificate::Optional(peer),
            (false, None) => ClientCertificate::NotRequested,
        },
        alpn,
        parameters,
    })
}
