//! Entries for Envoy's access log service.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use envoy_types::pb::envoy::config::core::v3::{
    Address, Node, RequestMethod, SocketAddress, address, socket_address::PortSpecifier,
};
use envoy_types::pb::envoy::data::accesslog::v3::{
    AccessLogCommon, ConnectionProperties, HttpAccessLogEntry, HttpRequestProperties,
    HttpResponseProperties, ResponseFlags as Flags, TcpAccessLogEntry, TlsProperties,
    http_access_log_entry::HttpVersion, response_flags::Unauthorized,
};
use envoy_types::pb::envoy::service::accesslog::v3::{
    StreamAccessLogsMessage,
    stream_access_logs_message::{
        HttpAccessLogEntries, Identifier, LogEntries, TcpAccessLogEntries,
    },
};
use envoy_types::pb::google::protobuf;
use mesh_ir::TraceProvider;
use prost::Message as _;

use super::Text;
use crate::record::{Protocol, Record, ResponseFlags};
use crate::telemetry::Reporter;
use crate::telemetry::export::{Call, Destination, Kind, Queue};

const STREAM: &str = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";

/// A log with the queue to its service.
#[derive(Debug)]
pub(super) struct GrpcLog {
    request_headers: Vec<Text>,
    response_headers: Vec<Text>,
    entries: Queue<HttpAccessLogEntry>,
    tcp: bool,
}

// === impl GrpcLog ===

impl GrpcLog {
    pub(super) fn open(config: &mesh_ir::GrpcLog, reporter: &Reporter) -> Self {
        let mesh_ir::GrpcLog {
            cluster,
            name,
            tcp,
            request_headers,
            response_headers,
        } = config;
        let destination = Destination {
            cluster: cluster.clone(),
            call: Call::Grpc(STREAM),
            timeout: TraceProvider::DEFAULT_TIMEOUT,
            headers: Vec::new(),
        };
        let identifier = Identifier {
            node: Some(Node {
                id: reporter.node_id.to_string(),
                cluster: reporter.service.to_string(),
                ..Node::default()
            }),
            log_name: name.to_string(),
        };
        let tcp = *tcp;
        let encode = move |entries| message(entries, tcp, identifier.clone()).encode_to_vec();
        Self {
            request_headers: request_headers.clone(),
            response_headers: response_headers.clone(),
            entries: reporter.exports.queue(Kind::GrpcLog, destination, encode),
            tcp,
        }
    }

    pub(super) fn write(&self, record: &Record<'_>, now: SystemTime) {
        let mut entry = HttpAccessLogEntry {
            common_properties: Some(common(record, now)),
            ..HttpAccessLogEntry::default()
        };
        // Of connections only the bytes are told, where requests have their bodies.
        entry.request = Some(self.request(record));
        entry.response = Some(self.response(record));
        if !self.tcp {
            entry.protocol_version = match record.protocol {
                Protocol::Http10 => HttpVersion::Http10,
                Protocol::Http11 => HttpVersion::Http11,
                Protocol::Http2 => HttpVersion::Http2,
                Protocol::Tcp => HttpVersion::ProtocolUnspecified,
            }
            .into();
        }
        self.entries.send(entry);
    }

    fn request(&self, record: &Record<'_>) -> HttpRequestProperties {
        let field = |name: &str| {
            let value = record.request_field(name).unwrap_or_default();
            String::from_utf8_lossy(&value).into_owned()
        };
        let method = RequestMethod::from_str_name(&field(":method"));
        HttpRequestProperties {
            request_method: method.unwrap_or(RequestMethod::MethodUnspecified).into(),
            scheme: field(":scheme"),
            authority: field(":authority"),
            path: field(":path"),
            user_agent: field("user-agent"),
            referer: field("referer"),
            forwarded_for: field("x-forwarded-for"),
            request_id: field("x-request-id"),
            original_path: field("x-envoy-original-path"),
            request_headers_bytes: record.request_head_bytes,
            request_body_bytes: record.bytes_received,
            request_headers: headers(&self.request_headers, |name| record.request_field(name)),
            ..HttpRequestProperties::default()
        }
    }

    fn response(&self, record: &Record<'_>) -> HttpResponseProperties {
        HttpResponseProperties {
            response_code: Some(protobuf::UInt32Value {
                value: record.code.into(),
            }),
            response_headers_bytes: record.response_head_bytes,
            response_body_bytes: record.bytes_sent,
            response_headers: headers(&self.response_headers, |name| record.response_field(name)),
            response_code_details: record.details.to_owned(),
            ..HttpResponseProperties::default()
        }
    }
}

fn headers<'r>(
    names: &[Arc<str>],
    get: impl Fn(&str) -> Option<std::borrow::Cow<'r, [u8]>>,
) -> HashMap<String, String> {
    let found = names.iter().filter_map(|name| {
        let value = get(name)?;
        Some((
            name.to_string(),
            String::from_utf8_lossy(&value).into_owned(),
        ))
    });
    found.collect()
}

/// A batch as one message of a stream.
fn message(
    entries: Vec<HttpAccessLogEntry>,
    tcp: bool,
    identifier: Identifier,
) -> StreamAccessLogsMessage {
    let entries = if tcp {
        let entries = entries.into_iter().map(|entry| TcpAccessLogEntry {
            common_properties: entry.common_properties,
            connection_properties: Some(ConnectionProperties {
                received_bytes: entry
                    .request
                    .map_or(0, |request| request.request_body_bytes),
                sent_bytes: entry
                    .response
                    .map_or(0, |response| response.response_body_bytes),
            }),
        });
        LogEntries::TcpLogs(TcpAccessLogEntries {
            log_entry: entries.collect(),
        })
    } else {
        LogEntries::HttpLogs(HttpAccessLogEntries { log_entry: entries })
    };
    StreamAccessLogsMessage {
        identifier: Some(identifier),
        log_entries: Some(entries),
    }
}

fn common(record: &Record<'_>, now: SystemTime) -> AccessLogCommon {
    let start = now.checked_sub(record.duration).unwrap_or(now);
    let since = start.duration_since(UNIX_EPOCH).unwrap_or_default();
    let duration = |time: std::time::Duration| protobuf::Duration {
        seconds: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(time.subsec_nanos()).unwrap_or_default(),
    };
    AccessLogCommon {
        sample_rate: 1.0,
        downstream_remote_address: Some(to_address(record.downstream_remote)),
        downstream_direct_remote_address: Some(to_address(record.downstream_remote)),
        downstream_local_address: Some(to_address(record.downstream_local)),
        upstream_remote_address: record.upstream_host.map(to_address),
        upstream_local_address: record.upstream_local.map(to_address),
        upstream_cluster: record.upstream_cluster.unwrap_or_default().to_owned(),
        start_time: Some(protobuf::Timestamp {
            seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(since.subsec_nanos()).unwrap_or_default(),
        }),
        duration: Some(duration(record.duration)),
        time_to_last_downstream_tx_byte: Some(duration(record.duration)),
        response_flags: (!record.flags.is_empty()).then(|| flags(record.flags)),
        tls_properties: record.tls.map(|tls| TlsProperties {
            tls_sni_hostname: tls.server_name.as_deref().unwrap_or_default().to_owned(),
            ..TlsProperties::default()
        }),
        upstream_transport_failure_reason: record.transport_failure.unwrap_or_default().to_owned(),
        connection_termination_details: record.termination_details.unwrap_or_default().to_owned(),
        route_name: record.route_name.to_owned(),
        upstream_request_attempt_count: record.attempts,
        ..AccessLogCommon::default()
    }
}

fn to_address(address: SocketAddr) -> Address {
    Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: address.ip().to_string(),
            port_specifier: Some(PortSpecifier::PortValue(address.port().into())),
            ..SocketAddress::default()
        })),
    }
}

fn flags(flags: ResponseFlags) -> Flags {
    let has = |flag| flags.contains(flag);
    Flags {
        no_healthy_upstream: has(ResponseFlags::NO_HEALTHY_UPSTREAM),
        upstream_request_timeout: has(ResponseFlags::UPSTREAM_TIMEOUT),
        local_reset: has(ResponseFlags::LOCAL_RESET),
        upstream_remote_reset: has(ResponseFlags::UPSTREAM_RESET),
        upstream_connection_failure: has(ResponseFlags::CONNECTION_FAILURE),
        upstream_connection_termination: has(ResponseFlags::UPSTREAM_TERMINATED),
        upstream_overflow: has(ResponseFlags::OVERFLOW),
        no_route_found: has(ResponseFlags::NO_ROUTE),
        delay_injected: has(ResponseFlags::DELAY_INJECTED),
        fault_injected: has(ResponseFlags::FAULT_INJECTED),
        rate_limited: has(ResponseFlags::RATE_LIMITED),
        unauthorized_details: has(ResponseFlags::DIRECT_REJECT).then(Unauthorized::default),
        downstream_connection_termination: has(ResponseFlags::CLIENT_TERMINATED),
        upstream_retry_limit_exceeded: has(ResponseFlags::RETRIES_EXHAUSTED),
        stream_idle_timeout: has(ResponseFlags::IDLE_TIMEOUT),
        downstream_protocol_error: has(ResponseFlags::PROTOCOL_ERROR),
        duration_timeout: has(ResponseFlags::DURATION_TIMEOUT),
        upstream_protocol_error: has(ResponseFlags::UPSTREAM_PROTOCOL_ERROR),
        no_cluster_found: has(ResponseFlags::NO_CLUSTER),
        ..Flags::default()
    }
}
