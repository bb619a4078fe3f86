//! `defaultConfig` of the mesh and the annotation `proxy.istio.io/config`: what proxies start with, as far as it has rules.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{CustomTag, DurationText};

/// What proxies start with. Absent fields mean Istio's defaults.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DefaultProxyConfig {
    /// Directory of the configuration.
    pub config_path: Option<String>,
    /// The proxy's program.
    pub binary_path: Option<String>,
    /// Name of the mesh in traces; the trust domain.
    pub mesh_id: Option<String>,
    /// Name of the service that the proxy is a part of.
    pub service_cluster: Option<String>,
    /// How long connections are drained.
    pub drain_duration: Option<DurationText>,
    /// Host and port of the control plane.
    pub discovery_address: Option<String>,
    /// Host and port of statsd.
    pub statsd_udp_address: Option<String>,
    /// Deprecated: `envoyMetricsService.address`.
    pub envoy_metrics_service_address: Option<String>,
    /// Where metrics are sent.
    pub envoy_metrics_service: Option<RemoteService>,
    /// Where access logs are sent.
    pub envoy_access_log_service: Option<RemoteService>,
    /// Port of the admin interface.
    pub proxy_admin_port: Option<i64>,
    /// Port of the agent's health.
    pub status_port: Option<i64>,
    /// `NONE` or `MUTUAL_TLS`.
    pub control_plane_auth_policy: Option<String>,
    /// Where traces are sent.
    pub tracing: Option<Tracers>,
    /// Environment of the proxy.
    pub proxy_metadata: BTreeMap<String, Value>,
}

/// A service by its address.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RemoteService {
    /// Host and port.
    pub address: Option<String>,
}

/// Where traces are sent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tracers {
    /// A Zipkin collector.
    pub zipkin: Option<RemoteService>,
    /// A Lightstep collector.
    pub lightstep: Option<RemoteService>,
    /// Share of requests that are traced, from 0 to 100; 0 is Istio's default of 1.
    pub sampling: Option<f64>,
    /// Longest path in a tag.
    pub max_path_tag_length: Option<u32>,
    /// Further tags of spans.
    pub custom_tags: BTreeMap<String, CustomTag>,
    /// A Datadog agent.
    pub datadog: Option<RemoteService>,
}
