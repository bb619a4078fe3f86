//! How Istio's metrics differ from what they are by default.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Changes to Istio's metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MetricsPolicy {
    /// Those that differ.
    pub changes: BTreeMap<Metric, MetricChange>,
}

/// How a metric differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MetricChange {
    /// Whether it is left out altogether.
    pub dropped: bool,
    /// Labels that it does not have.
    pub removed: BTreeSet<Arc<str>>,
    /// Labels with the expressions ([`crate::expression`]) of their values.
    pub set: BTreeMap<Arc<str>, Arc<str>>,
}

macro_rules! metrics {
    ($($variant:ident $istio:literal $plugin:literal,)*) => {
        /// Istio's metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the variants are Istio's own names")]
        pub enum Metric {
            $($variant,)*
        }

        impl Metric {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name that `Telemetry` has for it: `REQUEST_COUNT`.
            pub fn istio_name(self) -> &'static str {
                match self {
                    $(Self::$variant => $istio,)*
                }
            }

            /// The name in the settings of Istio's filter, which is that in Prometheus without the prefix `istio_`.
            pub fn filter_name(self) -> &'static str {
                match self {
                    $(Self::$variant => $plugin,)*
                }
            }
        }
    };
}

metrics! {
    RequestCount "REQUEST_COUNT" "requests_total",
    RequestDuration "REQUEST_DURATION" "request_duration_milliseconds",
    RequestSize "REQUEST_SIZE" "request_bytes",
    ResponseSize "RESPONSE_SIZE" "response_bytes",
    TcpOpenedConnections "TCP_OPENED_CONNECTIONS" "tcp_connections_opened_total",
    TcpClosedConnections "TCP_CLOSED_CONNECTIONS" "tcp_connections_closed_total",
    TcpSentBytes "TCP_SENT_BYTES" "tcp_sent_bytes_total",
    TcpReceivedBytes "TCP_RECEIVED_BYTES" "tcp_received_bytes_total",
    GrpcRequestMessages "GRPC_REQUEST_MESSAGES" "request_messages_total",
    GrpcResponseMessages "GRPC_RESPONSE_MESSAGES" "response_messages_total",
}

// === impl MetricsPolicy ===

impl MetricsPolicy {
    /// Whether all metrics are as they are by default.
    pub fn is_default(&self) -> bool {
        self.changes.is_empty()
    }

    /// No metrics at all.
    pub fn nothing() -> Self {
        let dropped = MetricChange {
            dropped: true,
            ..MetricChange::default()
        };
        Self {
            changes: Metric::ALL
                .iter()
                .map(|metric| (*metric, dropped.clone()))
                .collect(),
        }
    }

    /// The expressions of all labels, each once.
    pub fn expressions(&self) -> BTreeSet<&Arc<str>> {
        let changes = self.changes.values().filter(|change| !change.dropped);
        changes.flat_map(|change| change.set.values()).collect()
    }
}

// === impl Metric ===

impl Metric {
    /// The metric of a name in the settings of Istio's filter.
    pub fn of_filter(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|metric| metric.filter_name() == name).copied()
    }
}
