//! What expressions can ask of a record.

use std::borrow::Cow;

use mesh_ir::Direction;
use mesh_ir::expression::{Attribute, Attributes, HeaderMap, Value};

use crate::record::Record;
use crate::tls::{Certificate, dns_names, uris};

impl Attributes for Record<'_> {
    fn attribute(&self, attribute: Attribute) -> Option<Value<'_>> {
        let number = |number: u64| Some(Value::Int(i64::try_from(number).unwrap_or(i64::MAX)));
        let field = |name: &str| self.request_field(name).map(text);
        let not_empty = |text: &'_ str| -> Option<Value<'static>> {
            (!text.is_empty()).then(|| Value::Text(Cow::Owned(text.to_owned())))
        };
        let owned = |text: String| Some(Value::Text(Cow::Owned(text)));
        let path = || {
            let path = self.request_field(":path")?;
            Some(String::from_utf8_lossy(&path).into_owned())
        };
        let has_request = self.request.is_some();
        match attribute {
            Attribute::RequestPath => field(":path"),
            Attribute::RequestUrlPath => {
                let path = path()?;
                let path = path.split_once('?').map_or(&*path, |(path, _)| path);
                owned(path.to_owned())
            }
            Attribute::RequestQuery => {
                let path = path()?;
                owned(
                    path.split_once('?')
                        .map_or("", |(_, query)| query)
                        .to_owned(),
                )
            }
            Attribute::RequestHost => field(":authority"),
            Attribute::RequestScheme => field(":scheme"),
            Attribute::RequestMethod => field(":method"),
            Attribute::RequestReferer => field("referer"),
            Attribute::RequestUserAgent => field("user-agent"),
            Attribute::RequestId => field("x-request-id"),
            Attribute::RequestProtocol => self.protocol.text().and_then(not_empty),
            Attribute::RequestSize => number(self.bytes_received),
            Attribute::RequestTotalSize => {
                number(self.bytes_received.saturating_add(self.request_head_bytes))
            }
            // In milliseconds, which is what durations are compared with here.
            Attribute::RequestDuration => {
                number(u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX))
            }
            Attribute::ResponseCode => number(self.code.into()).filter(|_| has_request),
            Attribute::ResponseCodeDetails => not_empty(self.details),
            Attribute::ResponseFlags => number(u64::from(self.flags.bits())),
            Attribute::ResponseGrpcStatus => self.grpc_status.and_then(|it| number(it.into())),
            Attribute::ResponseSize => number(self.bytes_sent),
            Attribute::ResponseTotalSize => {
                number(self.bytes_sent.saturating_add(self.response_head_bytes))
            }
            Attribute::SourceAddress => owned(self.downstream_remote.to_string()),
            Attribute::SourcePort => number(self.downstream_remote.port().into()),
            Attribute::DestinationAddress => owned(self.downstream_local.to_string()),
            Attribute::DestinationPort => number(self.downstream_local.port().into()),
            Attribute::ConnectionMtls => {
                Some(Value::Bool(self.tls.is_some_and(|tls| tls.is_mutual())))
            }
            Attribute::ConnectionServerName => self.tls?.server_name.as_deref().and_then(not_empty),
            Attribute::ConnectionTlsVersion => not_empty(self.tls?.version),
            Attribute::ConnectionPeerSubject => {
                let peer = Certificate::parse(self.tls?.peer()?)?;
                owned(peer.subject())
            }
            Attribute::ConnectionPeerUri => owned(uris(self.tls?.peer()?).into_iter().next()?),
            Attribute::ConnectionPeerDns => owned(dns_names(self.tls?.peer()?).into_iter().next()?),
            Attribute::ConnectionTermination => self.termination_details.and_then(not_empty),
            Attribute::UpstreamAddress => owned(self.upstream_host?.to_string()),
            Attribute::UpstreamPort => number(self.upstream_host?.port().into()),
            Attribute::UpstreamLocalAddress => owned(self.upstream_local?.to_string()),
            Attribute::UpstreamPeerUri => {
                let tls = self.upstream_tls.as_ref()?;
                owned(uris(tls.peer()?).into_iter().next()?)
            }
            Attribute::UpstreamFailure => self.transport_failure.and_then(not_empty),
            Attribute::UpstreamAttempts => number(self.attempts.into()),
            Attribute::ClusterName => self.upstream_cluster.and_then(not_empty),
            Attribute::RouteName => not_empty(self.route_name),
            // Envoy's numbers of directions.
            Attribute::ListenerDirection => number(match self.direction {
                Direction::Inbound => 1,
                Direction::Outbound => 2,
            }),
        }
    }

    fn header(&self, map: HeaderMap, name: &str) -> Option<Cow<'_, str>> {
        let value = match map {
            HeaderMap::Request => self.request_field(name),
            HeaderMap::Response => self.response_field(name),
        }?;
        Some(match value {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        })
    }
}

fn text(bytes: Cow<'_, [u8]>) -> Value<'_> {
    Value::Text(match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    })
}
