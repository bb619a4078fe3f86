//! How a cluster's endpoints are spoken to: plain, TLS, and the PROXY protocol before either.

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use std::collections::HashMap;
use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3::cluster::TransportSocketMatch;
use envoy_types::pb::envoy::config::core::v3::{
    ProxyProtocolConfig, TransportSocket, proxy_protocol_config::Version,
    transport_socket::ConfigType,
};
use envoy_types::pb::envoy::extensions::transport_sockets::{
    proxy_protocol::v3::ProxyProtocolUpstreamTransport, raw_buffer::v3::RawBuffer,
    tls::v3::UpstreamTlsContext,
};
use envoy_types::pb::google::protobuf::Struct;
use mesh_ir::{ClientTls, ProxyProtocol, ServerName, UpstreamTls};

use super::border::{At, InvalidResource};
use super::metadata::string;
use super::server_tls::TLS;
use super::tls::{self, Common};
use super::{pack, unpack};

const RAW_BUFFER: &str = "envoy.transport_sockets.raw_buffer";
const PROXY_PROTOCOL: &str = "envoy.transport_sockets.upstream_proxy_protocol";

/// What endpoints that offer the mesh's TLS are told apart by, as Istio does.
const MODE: &str = "tlsMode";
const ISTIO: &str = "istio";

/// The transport socket of all endpoints, and those of some.
pub(super) type Sockets = (Option<TransportSocket>, Vec<TransportSocketMatch>);

pub(super) fn to_proto(value: &UpstreamTls, proxy_protocol: Option<ProxyProtocol>) -> Sockets {
    let wrap = |socket| match proxy_protocol {
        None => socket,
        Some(version) => with_header(version, socket),
    };
    match value {
        UpstreamTls::Plaintext => (proxy_protocol.map(|_| wrap(plain())), vec![]),
        UpstreamTls::Always(client) => (Some(wrap(tls_socket(client))), vec![]),
        UpstreamTls::WhereOffered(client) => {
            let matched = |name: &str, criteria, socket| TransportSocketMatch {
                name: name.to_owned(),
                r#match: Some(criteria),
                transport_socket: Some(wrap(socket)),
            };
            let matches = vec![
                matched("tlsMode-istio", offers_mtls(), tls_socket(client)),
                matched("tlsMode-disabled", Struct::default(), plain()),
            ];
            (None, matches)
        }
    }
}

/// What marks an endpoint that offers the mesh's TLS.
pub(super) fn offers_mtls() -> Struct {
    Struct {
        fields: HashMap::from([(MODE.to_owned(), string(ISTIO))]),
    }
}

fn plain() -> TransportSocket {
    TransportSocket {
        name: RAW_BUFFER.to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack(&RawBuffer {}))),
    }
}

fn with_header(version: ProxyProtocol, socket: TransportSocket) -> TransportSocket {
    let version = match version {
        ProxyProtocol::V1 => Version::V1,
        ProxyProtocol::V2 => Version::V2,
    };
    let transport = ProxyProtocolUpstreamTransport {
        config: Some(ProxyProtocolConfig {
            version: version.into(),
            ..ProxyProtocolConfig::default()
        }),
        transport_socket: Some(socket),
        ..ProxyProtocolUpstreamTransport::default()
    };
    TransportSocket {
        name: PROXY_PROTOCOL.to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack(&transport))),
    }
}

fn tls_socket(value: &ClientTls) -> TransportSocket {
    let ClientTls {
        certificate,
        server,
        server_name,
        alpn,
        parameters,
    } = value;
    let common = Common {
        certificates: certificate.iter().cloned().collect(),
        peer: Some(server.clone()),
        alpn: alpn.clone(),
        parameters: parameters.clone(),
    };
    let context = UpstreamTlsContext {
        common_tls_context: Some(tls::to_proto(&common)),
        sni: match server_name {
            ServerName::Fixed(name) => name.to_string(),
            // The HTTP options of the cluster say so.
            ServerName::None | ServerName::OfRequest => String::new(),
        },
        ..UpstreamTlsContext::default()
    };
    TransportSocket {
        name: TLS.to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack(&context))),
    }
}

/// `of_request` tells whether the HTTP options ask for the host of each request as server name.
pub(super) fn from_proto(
    (socket, matches): Sockets,
    of_request: bool,
    at: &At<'_>,
) -> Result<(UpstreamTls, Option<ProxyProtocol>), InvalidResource> {
    let socket_at = at.field("transport_socket");
    let list = at.field("transport_socket_matches");
    match (socket, matches.as_slice()) {
        (None, []) => Ok((UpstreamTls::Plaintext, None)),
        (Some(socket), []) => {
            let (client, header) = from_socket(&socket, of_request, &socket_at)?;
            let tls = client.map_or(UpstreamTls::Plaintext, |client| {
                UpstreamTls::Always(Arc::new(client))
            });
            Ok((tls, header))
        }
        (None, [offered, rest]) => {
            let other =
                |at: &At<'_>| at.value("only the mesh's own TLS (tlsMode: istio) can be matched");
            let (offered_at, rest_at) = (list.index(0), list.index(1));
            let mtls = from_match(offered, &offers_mtls(), of_request, &offered_at)?;
            let plain = from_match(rest, &Struct::default(), of_request, &rest_at)?;
            match (mtls, plain) {
                ((Some(client), header), (None, same)) if header == same => {
                    Ok((UpstreamTls::WhereOffered(Arc::new(client)), header))
                }
                _ => Err(other(&list)),
            }
        }
        _ => Err(list.unsupported()),
    }
}

fn from_match(
    proto: &TransportSocketMatch,
    criteria: &Struct,
    of_request: bool,
    at: &At<'_>,
) -> Result<(Option<ClientTls>, Option<ProxyProtocol>), InvalidResource> {
    let TransportSocketMatch {
        name: _,
        r#match,
        transport_socket,
    } = proto;
    if r#match.clone().unwrap_or_default() != *criteria {
        return Err(at.field("match").unsupported());
    }
    let socket = at.require("transport_socket", transport_socket.as_ref())?;
    from_socket(socket, of_request, &at.field("transport_socket"))
}

/// TLS, unless the socket is plain, and the PROXY protocol.
fn from_socket(
    socket: &TransportSocket,
    of_request: bool,
    at: &At<'_>,
) -> Result<(Option<ClientTls>, Option<ProxyProtocol>), InvalidResource> {
    let TransportSocket { name, config_type } = socket;
    let at = at.field("typed_config");
    let any = match config_type {
        Some(ConfigType::TypedConfig(any)) => any,
        None if name == RAW_BUFFER => return Ok((None, None)),
        None => return Err(at.missing()),
    };
    if unpack::<RawBuffer>(any, &at)?.is_some() {
        return Ok((None, None));
    }
    if let Some(proto) = unpack::<UpstreamTlsContext>(any, &at)? {
        return Ok((Some(from_context(proto, of_request, &at)?), None));
    }
    let Some(proto) = unpack::<ProxyProtocolUpstreamTransport>(any, &at)? else {
        return Err(at.value(format!(
            "the transport socket {name:?} ({}) is not supported by this proxy",
            any.type_url
        )));
    };
    open!(&at, proto => ProxyProtocolUpstreamTransport {
        keep { config, transport_socket }
        refuse { allow_unspecified_address, tlv_as_pool_key }
        ignore {}
    });
    open!(&at.field("config"), config.unwrap_or_default() => ProxyProtocolConfig {
        keep { version }
        refuse { pass_through_tlvs, added_tlvs }
        ignore {}
    });
    let version = match Version::try_from(version) {
        Ok(Version::V1) => ProxyProtocol::V1,
        Ok(Version::V2) => ProxyProtocol::V2,
        Err(_) => return Err(at.field("config").field("version").unsupported()),
    };
    let inner = at.require("transport_socket", transport_socket)?;
    match from_socket(&inner, of_request, &at.field("transport_socket"))? {
        (client, None) => Ok((client, Some(version))),
        (_, Some(_)) => Err(at.field("transport_socket").unsupported()),
    }
}

fn from_context(
    proto: UpstreamTlsContext,
    of_request: bool,
    at: &At<'_>,
) -> Result<ClientTls, InvalidResource> {
    open!(at, proto => UpstreamTlsContext {
        keep { common_tls_context, sni }
        refuse { auto_host_sni, auto_sni_san_validation, allow_renegotiation, enforce_rsa_key_usage }
        ignore { max_session_keys }
    });
    let Common {
        certificates,
        peer,
        alpn,
        parameters,
    } = tls::from_proto(
        common_tls_context.unwrap_or_default(),
        &at.field("common_tls_context"),
    )?;
    let mut certificates = certificates.into_iter();
    let certificate = certificates.next();
    if certificates.next().is_some() {
        return Err(at
            .field("common_tls_context")
            .value("a client has at most one certificate"));
    }
    Ok(ClientTls {
        certificate,
        server: peer.unwrap_or_default(),
        server_name: match (sni.is_empty(), of_request) {
            (true, true) => ServerName::OfRequest,
            (true, false) => ServerName::None,
            (false, _) => ServerName::Fixed(sni.into()),
        },
        alpn,
        parameters,
    })
}
