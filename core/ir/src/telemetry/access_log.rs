//! Where requests and connections are logged, and which of them.

use std::sync::Arc;
use std::time::Duration;

/// A log with one entry for each request or connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccessLog {
    /// Where entries go.
    pub sink: LogSink,
    /// An expression ([`crate::expression`]) that must hold for what is logged; none means everything is.
    pub filter: Option<Arc<str>>,
}

/// Where entries go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogSink {
    /// To a file, as lines.
    File(FileLog),
    /// To a service that takes Envoy's entries (`envoy.service.accesslog.v3`).
    Grpc(GrpcLog),
    /// To a service that takes OpenTelemetry's log records by OTLP.
    OpenTelemetry(OtlpLog),
}

/// A log in a file, with one line for each entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileLog {
    /// File that is appended to, `/dev/stdout` in most cases.
    pub path: Arc<str>,
    /// Format with Envoy's command operators, without a line feed at its end; none means [`Self::DEFAULT_TEXT`], or
    /// [`Self::DEFAULT_JSON`] for JSON.
    pub format: Option<Arc<str>>,
    /// Whether lines are JSON objects; the format is a JSON object too then, with operators as its strings.
    pub json: bool,
    /// Whether operators without value are left out, and not shown as `-` or `null`.
    pub omit_empty: bool,
}

/// A log that Envoy's access log service takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GrpcLog {
    /// Cluster of the service.
    pub cluster: Arc<str>,
    /// Name that the service knows the log by.
    pub name: Arc<str>,
    /// Whether entries are those of connections, and not of requests.
    pub tcp: bool,
    /// Request headers that entries have in addition, in lower case.
    pub request_headers: Vec<Arc<str>>,
    /// Response headers that entries have in addition, in lower case.
    pub response_headers: Vec<Arc<str>>,
}

/// A log that OpenTelemetry's log service takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OtlpLog {
    /// Cluster of the service.
    pub cluster: Arc<str>,
    /// Name that the service knows the log by; the attribute `log_name`.
    pub name: Arc<str>,
    /// Format of the record's body, with Envoy's command operators.
    pub body: Arc<str>,
    /// Attributes of the record: names with formats.
    pub attributes: Vec<(Arc<str>, Arc<str>)>,
}

/// How soon entries are sent that have not come together to a message yet.
pub const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

// === impl LogSink ===

impl LogSink {
    /// Whether it is Envoy's service for connections, or that for requests.
    pub fn is_grpc(&self, tcp: bool) -> bool {
        matches!(self, Self::Grpc(log) if log.tcp == tcp)
    }

    /// The cluster of the service that takes the entries.
    pub fn cluster(&self) -> Option<&Arc<str>> {
        match self {
            Self::File(_) => None,
            Self::Grpc(log) => Some(&log.cluster),
            Self::OpenTelemetry(log) => Some(&log.cluster),
        }
    }
}

// === impl AccessLog ===

impl AccessLog {
    /// A file that takes everything.
    pub fn file(path: impl Into<Arc<str>>, format: Option<Arc<str>>, json: bool) -> Self {
        let file = FileLog {
            path: path.into(),
            format,
            json,
            omit_empty: false,
        };
        Self {
            sink: LogSink::File(file),
            filter: None,
        }
    }
}

// === impl FileLog ===

impl FileLog {
    /// Istio's line where no format is configured, without the line feed.
    pub const DEFAULT_TEXT: &str = concat!(
        "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% ",
        "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ",
        "\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ",
        "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" ",
        "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% ",
        "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% ",
        "%REQUESTED_SERVER_NAME% %ROUTE_NAME%",
    );

    /// Istio's object where JSON is asked for without a format: keys in order with their operators.
    pub const DEFAULT_JSON: [(&str, &str); 24] = [
        ("authority", "%REQ(:AUTHORITY)%"),
        ("bytes_received", "%BYTES_RECEIVED%"),
        ("bytes_sent", "%BYTES_SENT%"),
        (
            "connection_termination_details",
            "%CONNECTION_TERMINATION_DETAILS%",
        ),
        ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
        ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
        ("duration", "%DURATION%"),
        ("method", "%REQ(:METHOD)%"),
        ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
        ("protocol", "%PROTOCOL%"),
        ("request_id", "%REQ(X-REQUEST-ID)%"),
        ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
        ("response_code", "%RESPONSE_CODE%"),
        ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
        ("response_flags", "%RESPONSE_FLAGS%"),
        ("route_name", "%ROUTE_NAME%"),
        ("start_time", "%START_TIME%"),
        ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
        ("upstream_host", "%UPSTREAM_HOST%"),
        ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
        (
            "upstream_service_time",
            "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
        ),
        (
            "upstream_transport_failure_reason",
            "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
        ),
        ("user_agent", "%REQ(USER-AGENT)%"),
        ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ];
}
