//! What is told about traffic: logs, spans, and changes to metrics.
//!
//! ```text
//! Telemetry of the mesh, the namespace, the workload --mesh-core--> TelemetryPolicy of a listener --> Envoy's settings, our proxy
//! ```

mod access_log;
mod metrics;
mod tracing;

pub use access_log::{AccessLog, FLUSH_INTERVAL, FileLog, GrpcLog, LogSink, OtlpLog};
pub use metrics::{Metric, MetricChange, MetricsPolicy};
pub use tracing::{SpanTag, TagSource, TraceProvider, Tracing};

/// What is told about the traffic of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TelemetryPolicy {
    /// Where it is logged; nowhere if empty.
    pub access_logs: Vec<AccessLog>,
    /// Which requests leave spans; none where none does, and for connections.
    pub tracing: Option<Tracing>,
    /// How Istio's metrics differ from what they are by default.
    pub metrics: MetricsPolicy,
}

// === impl TelemetryPolicy ===

impl TelemetryPolicy {
    /// What of it is for requests: not the logs of connections.
    pub fn for_http(mut self) -> Self {
        self.access_logs.retain(|log| !log.sink.is_grpc(true));
        self
    }

    /// What of it is for connections: neither the logs of requests nor spans.
    pub fn for_tcp(mut self) -> Self {
        self.access_logs.retain(|log| !log.sink.is_grpc(false));
        self.tracing = None;
        self
    }
}
