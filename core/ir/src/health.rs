//! Which endpoints are fit for traffic: by how they answer requests, and by asking them.

use std::sync::Arc;
use std::time::Duration;

/// Endpoints that fail get no traffic for a while.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OutlierDetection {
    /// Failures (5xx, or no answer) in a row after which an endpoint is ejected; 0 never ejects.
    pub consecutive_5xx: u32,
    /// Gateway failures (502, 503, 504, or no answer) in a row after which an endpoint is ejected; 0 never ejects.
    pub consecutive_gateway_failures: u32,
    /// Failures to connect or to get an answer in a row after which an endpoint is ejected, counted apart from those that it answers
    /// with; none counts both together.
    pub consecutive_local_failures: Option<u32>,
    /// Pause between two looks at who may come back.
    pub interval: Duration,
    /// How long an endpoint is ejected, for each time that it was.
    pub base_ejection_time: Duration,
    /// Share of the endpoints that may be ejected, in percent.
    pub max_ejection_percent: u32,
}

/// Endpoints are asked whether they are well.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthCheck {
    /// Limit of an answer.
    pub timeout: Duration,
    /// Pause between two checks.
    pub interval: Duration,
    /// Failed checks in a row after which an endpoint gets no traffic.
    pub unhealthy_threshold: u32,
    /// Good checks in a row after which it gets traffic again.
    pub healthy_threshold: u32,
    /// What is asked.
    pub probe: Probe,
}

/// What a health check asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// A connection is accepted.
    Tcp,
    /// A GET is answered with 200.
    Http {
        /// `Host`; the cluster's name if it is empty.
        host: Arc<str>,
        /// Path.
        path: Arc<str>,
    },
    /// `grpc.health.v1.Health/Check` says SERVING.
    Grpc {
        /// Name of the service; may be empty.
        service: Arc<str>,
    },
}

// === impl OutlierDetection ===

impl Default for OutlierDetection {
    /// Envoy's.
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            consecutive_gateway_failures: 0,
            consecutive_local_failures: None,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_percent: 10,
        }
    }
}
