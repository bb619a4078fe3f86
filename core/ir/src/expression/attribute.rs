//! What expressions can ask for, by Envoy's names.

use std::borrow::Cow;

use super::Value;

macro_rules! attributes {
    ($($variant:ident $name:literal,)*) => {
        /// What is known of a request or a connection.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the variants are Envoy's own names")]
        pub enum Attribute {
            $($variant,)*
        }

        impl Attribute {
            /// All of them with their names.
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self::$variant, $name),)*];
        }
    };
}

attributes! {
    RequestPath "request.path",
    RequestUrlPath "request.url_path",
    RequestQuery "request.query",
    RequestHost "request.host",
    RequestScheme "request.scheme",
    RequestMethod "request.method",
    RequestReferer "request.referer",
    RequestUserAgent "request.useragent",
    RequestId "request.id",
    RequestProtocol "request.protocol",
    RequestSize "request.size",
    RequestTotalSize "request.total_size",
    RequestDuration "request.duration",
    ResponseCode "response.code",
    ResponseCodeDetails "response.code_details",
    ResponseFlags "response.flags",
    ResponseGrpcStatus "response.grpc_status",
    ResponseSize "response.size",
    ResponseTotalSize "response.total_size",
    SourceAddress "source.address",
    SourcePort "source.port",
    DestinationAddress "destination.address",
    DestinationPort "destination.port",
    ConnectionMtls "connection.mtls",
    ConnectionServerName "connection.requested_server_name",
    ConnectionTlsVersion "connection.tls_version",
    ConnectionPeerSubject "connection.subject_peer_certificate",
    ConnectionPeerUri "connection.uri_san_peer_certificate",
    ConnectionPeerDns "connection.dns_san_peer_certificate",
    ConnectionTermination "connection.termination_details",
    UpstreamAddress "upstream.address",
    UpstreamPort "upstream.port",
    UpstreamLocalAddress "upstream.local_address",
    UpstreamPeerUri "upstream.uri_san_peer_certificate",
    UpstreamFailure "upstream.transport_failure_reason",
    UpstreamAttempts "upstream.request_attempt_count",
    ClusterName "xds.cluster_name",
    RouteName "xds.route_name",
    ListenerDirection "xds.listener_direction",
}

/// The maps of headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeaderMap {
    /// `request.headers`.
    Request,
    /// `response.headers`.
    Response,
}

/// Who knows the values.
pub trait Attributes {
    /// The value of an attribute; none if there is none.
    fn attribute(&self, attribute: Attribute) -> Option<Value<'_>>;

    /// The value of a header by its lower-case name.
    fn header(&self, map: HeaderMap, name: &str) -> Option<Cow<'_, str>>;
}

// === impl Attribute ===

impl Attribute {
    /// The attribute of a name.
    pub fn of(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(_, known)| *known == name).map(|(it, _)| *it)
    }
}

// === impl HeaderMap ===

impl HeaderMap {
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "request.headers" => Some(Self::Request),
            "response.headers" => Some(Self::Response),
            _ => None,
        }
    }
}
