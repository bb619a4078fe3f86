//! The command operators: `%NAME(ARGUMENT):LENGTH%`.

use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;
use std::time::SystemTime;

use super::tls::TlsOperator;
use crate::record::{Protocol, Record};
use crate::telemetry::time::{self, TimeFormat};

/// A compiled operator.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    source: Source,
    /// Most bytes of the value that are written.
    limit: Option<usize>,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
enum Source {
    /// A field of the request, or another if there is none.
    Request(String, Option<String>),
    /// A field of the response, or another if there is none.
    Response(String, Option<String>),
    /// When the request began.
    StartTime(TimeFormat),
    /// When it is told.
    EmitTime(TimeFormat),
    /// The same for all.
    Fixed(Arc<str>),
    /// What TLS has told.
    Tls(TlsOperator),
    /// A property of the record.
    Property(Property),
    /// Known to Envoy, but nothing that this proxy has values of.
    Absent,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    Number(u64),
    Bytes(Cow<'a, [u8]>),
}

type Property = for<'r> fn(&Record<'r>) -> Option<Field<'r>>;

/// The operators without argument.
const PROPERTIES: [(&str, Property); 43] = [
    ("PROTOCOL", |r| r.protocol.text().map(text)),
    ("RESPONSE_CODE", |r| number(r.code)),
    ("RESPONSE_CODE_DETAILS", |r| not_empty(r.details)),
    ("RESPONSE_FLAGS", |r| owned(r.flags)),
    ("CONNECTION_TERMINATION_DETAILS", |r| {
        r.termination_details.map(text)
    }),
    ("UPSTREAM_TRANSPORT_FAILURE_REASON", |r| {
        r.transport_failure.map(text)
    }),
    ("BYTES_RECEIVED", |r| number(r.bytes_received)),
    ("BYTES_SENT", |r| number(r.bytes_sent)),
    ("REQUEST_HEADERS_BYTES", |r| number(r.request_head_bytes)),
    ("RESPONSE_HEADERS_BYTES", |r| number(r.response_head_bytes)),
    ("DURATION", |r| {
        number(u64::try_from(r.duration.as_millis()).unwrap_or(u64::MAX))
    }),
    ("RESPONSE_DURATION", |r| {
        let time = r.upstream_service_time?;
        number(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }),
    ("UPSTREAM_HOST", |r| owned(r.upstream_host?)),
    ("UPSTREAM_REMOTE_ADDRESS", |r| owned(r.upstream_host?)),
    ("UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", |r| {
        owned(r.upstream_host?.ip())
    }),
    ("UPSTREAM_REMOTE_PORT", |r| number(r.upstream_host?.port())),
    ("UPSTREAM_CLUSTER", |r| r.upstream_cluster.map(text)),
    ("UPSTREAM_CLUSTER_RAW", |r| r.upstream_cluster.map(text)),
    ("UPSTREAM_LOCAL_ADDRESS", |r| owned(r.upstream_local?)),
    ("UPSTREAM_REQUEST_ATTEMPT_COUNT", |r| {
        number(u64::from(r.attempts))
    }),
    ("DOWNSTREAM_LOCAL_ADDRESS", |r| owned(r.downstream_local)),
    ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", |r| {
        owned(r.downstream_local.ip())
    }),
    ("DOWNSTREAM_LOCAL_PORT", |r| {
        number(r.downstream_local.port())
    }),
    ("DOWNSTREAM_REMOTE_ADDRESS", |r| owned(r.downstream_remote)),
    ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", |r| {
        owned(r.downstream_remote.ip())
    }),
    ("REQUESTED_SERVER_NAME", |r| {
        r.tls?.server_name.as_deref().map(text)
    }),
    ("ROUTE_NAME", |r| not_empty(r.route_name)),
    ("GRPC_STATUS_NUMBER", |r| r.grpc_status.and_then(number)),
    ("TRACE_ID", |r| owned(format!("{:032x}", r.trace?.0))),
    ("SPAN_ID", |r| owned(format!("{:016x}", r.trace?.1))),
    // As in Envoy, where the id of a request has the form of a UUID.
    ("STREAM_ID", |r| {
        r.request_field("x-request-id").map(Field::Bytes)
    }),
    ("RESPONSE_FLAGS_LONG", |r| owned(r.flags.long())),
    ("DOWNSTREAM_HEADER_BYTES_RECEIVED", |r| {
        number(r.request_head_bytes)
    }),
    ("DOWNSTREAM_HEADER_BYTES_SENT", |r| {
        number(r.response_head_bytes)
    }),
    ("DOWNSTREAM_WIRE_BYTES_RECEIVED", |r| {
        number(r.request_head_bytes.saturating_add(r.bytes_received))
    }),
    ("DOWNSTREAM_WIRE_BYTES_SENT", |r| {
        number(r.response_head_bytes.saturating_add(r.bytes_sent))
    }),
    ("UPSTREAM_HOST_NAME", |r| owned(r.upstream_host?)),
    ("UPSTREAM_HOST_NAME_WITHOUT_PORT", |r| {
        owned(r.upstream_host?.ip())
    }),
    ("UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", |r| {
        owned(r.upstream_local?.ip())
    }),
    ("UPSTREAM_LOCAL_PORT", |r| number(r.upstream_local?.port())),
    ("ACCESS_LOG_TYPE", |r| {
        Some(text(match r.protocol {
            Protocol::Tcp => "TcpConnectionEnd",
            _ => "DownstreamEnd",
        }))
    }),
    ("PATH", |r| r.request_field(":path").map(Field::Bytes)),
    ("HOSTNAME", |_| {
        std::env::var("HOSTNAME").ok().and_then(owned)
    }),
];

/// Operators of which there is never a value here: what they speak of does not exist in this proxy.
const ABSENT: [&str; 31] = [
    "TRAILER",
    "DYNAMIC_METADATA",
    "CLUSTER_METADATA",
    "UPSTREAM_METADATA",
    "FILTER_STATE",
    "UPSTREAM_FILTER_STATE",
    "CONNECTION_ID",
    "VIRTUAL_CLUSTER_NAME",
    "FILTER_CHAIN_NAME",
    "LISTENER_METADATA",
    "VIRTUAL_HOST_METADATA",
    "ROUTE_METADATA",
    "CUSTOM_FLAGS",
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
    "DOWNSTREAM_DETECTED_CLOSE_TYPE",
    "DOWNSTREAM_LOCAL_CLOSE_REASON",
    "UPSTREAM_DETECTED_CLOSE_TYPE",
    "UPSTREAM_LOCAL_CLOSE_REASON",
    "UPSTREAM_CONNECTION_ID",
    "UPSTREAM_CONNECTION_POOL_READY_DURATION",
    "UPSTREAM_HOSTS_ATTEMPTED",
    "UPSTREAM_PROTOCOL",
    "UPSTREAM_WIRE_BYTES_RECEIVED",
    "UPSTREAM_WIRE_BYTES_SENT",
    "UPSTREAM_HEADER_BYTES_RECEIVED",
    "UPSTREAM_HEADER_BYTES_SENT",
    "BYTES_RETRANSMITTED",
    "PACKETS_RETRANSMITTED",
    "ROUND_TRIP_DURATION",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
];

/// The names of gRPC's status codes, from 0.
const GRPC: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

// === impl Operator ===

impl Operator {
    /// Takes one operator whose first percent sign is gone already; gives what follows its last one.
    ///
    /// # Errors
    /// With what is wrong.
    pub(crate) fn parse(tail: &str) -> Result<(Self, &str), String> {
        let unclosed = || format!("the operator at %{tail} does not end in %");
        let name_end = tail
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .ok_or_else(unclosed)?;
        let (name, mut rest) = tail.split_at(name_end);
        let mut argument = None;
        if let Some(inner) = rest.strip_prefix('(') {
            let (inside, after) = inner.split_once(')').ok_or_else(unclosed)?;
            argument = Some(inside);
            rest = after;
        }
        let (length, rest) = rest.split_once('%').ok_or_else(unclosed)?;
        let limit =
            match length.strip_prefix(':') {
                Some(digits) => Some(digits.parse().map_err(|_| {
                    format!("the length of %{name}% is {digits:?}, expected a number")
                })?),
                None if length.is_empty() => None,
                None => return Err(unclosed()),
            };
        let source = Source::parse(name, argument)?;
        Ok((Self { source, limit }, rest))
    }

    /// The value, if there is one.
    pub(crate) fn value<'r>(&self, record: &Record<'r>, now: SystemTime) -> Option<Field<'r>> {
        let value = match &self.source {
            Source::Request(name, alternative) => {
                first(name, alternative, |name| record.request_field(name))
            }
            Source::Response(name, alternative) => {
                first(name, alternative, |name| record.response_field(name))
            }
            Source::StartTime(format) => {
                let mut out = vec![];
                let start = now.checked_sub(record.duration).unwrap_or(now);
                format.write(&mut out, start);
                Some(Field::Bytes(out.into()))
            }
            Source::EmitTime(format) => {
                let mut out = vec![];
                format.write(&mut out, now);
                Some(Field::Bytes(out.into()))
            }
            Source::Fixed(value) => {
                (!value.is_empty()).then(|| Field::Bytes(value.as_bytes().to_vec().into()))
            }
            Source::Tls(operator) => operator
                .value(record)
                .map(|text| Field::Bytes(text.into_bytes().into())),
            Source::Property(property) => property(record),
            Source::Absent => None,
        }?;
        Some(match (value, self.limit) {
            (Field::Bytes(bytes), Some(limit)) => Field::Bytes(cut(bytes, limit)),
            (value, _) => value,
        })
    }
}

fn cut(bytes: Cow<'_, [u8]>, limit: usize) -> Cow<'_, [u8]> {
    match bytes {
        Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(..limit).unwrap_or(bytes)),
        Cow::Owned(mut bytes) => {
            bytes.truncate(limit);
            Cow::Owned(bytes)
        }
    }
}

fn first<'r>(
    name: &str,
    alternative: &Option<String>,
    get: impl Fn(&str) -> Option<Cow<'r, [u8]>>,
) -> Option<Field<'r>> {
    get(name)
        .or_else(|| get(alternative.as_deref()?))
        .map(Field::Bytes)
}

// === impl Source ===

impl Source {
    fn parse(name: &str, argument: Option<&str>) -> Result<Self, String> {
        let fields = || {
            let names = argument.unwrap_or_default().to_ascii_lowercase();
            let (name, alternative) = match names.split_once('?') {
                Some((name, alternative)) => (name.to_owned(), Some(alternative.to_owned())),
                None => (names, None),
            };
            if name.is_empty() {
                return Err("%REQ% and %RESP% need the name of a header, as in %REQ(USER-AGENT)%");
            }
            Ok((name, alternative))
        };
        match name {
            "REQ" => {
                let (name, alternative) = fields()?;
                return Ok(Self::Request(name, alternative));
            }
            "RESP" => {
                let (name, alternative) = fields()?;
                return Ok(Self::Response(name, alternative));
            }
            "START_TIME" => {
                let pattern = argument.filter(|pattern| !pattern.is_empty());
                return TimeFormat::compile(pattern.unwrap_or(time::DEFAULT)).map(Self::StartTime);
            }
            "GRPC_STATUS" => return Ok(Self::Property(grpc_status)),
            "EMIT_TIME" => {
                let pattern = argument.filter(|pattern| !pattern.is_empty());
                let format = TimeFormat::compile(pattern.unwrap_or(time::DEFAULT));
                return format.map(Self::EmitTime);
            }
            "ENVIRONMENT" => {
                let name = argument.filter(|name| !name.is_empty());
                let name = name.ok_or("%ENVIRONMENT% needs the name of a variable")?;
                let value = std::env::var(name).unwrap_or_default();
                return Ok(Self::Fixed(value.into()));
            }
            _ if let Some(operator) = TlsOperator::parse(name) => return Ok(Self::Tls(operator)),
            _ => {}
        }
        let known = PROPERTIES.iter().find(|(known, _)| *known == name);
        match known {
            Some((_, property)) => Ok(Self::Property(*property)),
            // The direct peer is the one that we see: nothing here believes another address.
            None => match name.strip_prefix("DOWNSTREAM_DIRECT_") {
                Some(rest) => Self::parse(&["DOWNSTREAM_", rest].concat(), argument),
                None if ABSENT.contains(&name) => Ok(Self::Absent),
                None => Err(format!("there is no operator %{name}%")),
            },
        }
    }
}

fn grpc_status<'r>(record: &Record<'r>) -> Option<Field<'r>> {
    let status = record.grpc_status?;
    match GRPC.get(usize::from(status)) {
        Some(name) => Some(text(name)),
        None => owned(status),
    }
}

fn text(text: &str) -> Field<'_> {
    Field::Bytes(Cow::Borrowed(text.as_bytes()))
}

fn not_empty(value: &str) -> Option<Field<'_>> {
    (!value.is_empty()).then(|| text(value))
}

fn owned<'r>(value: impl ToString) -> Option<Field<'r>> {
    Some(Field::Bytes(value.to_string().into_bytes().into()))
}

fn number<'r>(value: impl Into<u64>) -> Option<Field<'r>> {
    Some(Field::Number(value.into()))
}

// === impl Field ===

impl Field<'_> {
    /// Writes the value, or `absent` in place of an empty one.
    pub(crate) fn write(&self, out: &mut Vec<u8>, absent: &[u8]) {
        match self {
            // Writing to a vector does not fail.
            Self::Number(number) => drop(write!(out, "{number}")),
            Self::Bytes(bytes) if bytes.is_empty() => out.extend_from_slice(absent),
            Self::Bytes(bytes) => out.extend_from_slice(bytes),
        }
    }
}
