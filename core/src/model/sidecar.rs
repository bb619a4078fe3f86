//! `Sidecar`: what the proxies of workloads listen on, and which services they know.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConnectionPoolSettings, Destination, NetworkingWorkloadSelector, ServerTls};

/// What the proxies of workloads listen on, and which services they know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SidecarSpec {
    /// Workloads that this is for; the whole namespace by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_selector: Option<NetworkingWorkloadSelector>,
    /// Listeners for traffic to the workload; by default one for each port of its services.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<IstioIngressListener>,
    /// Listeners for traffic from the workload, with the services that it knows; all by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<IstioEgressListener>,
    /// Limits for traffic to the workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbound_connection_pool: Option<ConnectionPoolSettings>,
    /// What happens to traffic to hosts that the mesh does not know; the mesh's setting by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound_traffic_policy: Option<SidecarOutboundTrafficPolicy>,
}

/// A listener for traffic to a workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["port"]))]
pub struct IstioIngressListener {
    /// Port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<SidecarPort>,
    /// Address to bind; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind: Option<String>,
    /// How traffic gets to the listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture_mode: Option<CaptureMode>,
    /// Where the workload listens: `127.0.0.1:PORT`, `[::1]:PORT`, `0.0.0.0:PORT` or `unix://PATH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_endpoint: Option<String>,
    /// TLS that the sidecar terminates for clients outside the mesh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ServerTls>,
    /// Limits, instead of `inboundConnectionPool`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_pool: Option<ConnectionPoolSettings>,
}

/// A listener for traffic from a workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["hosts"]))]
pub struct IstioEgressListener {
    /// Port; by default the listener is for all ports that have none of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<SidecarPort>,
    /// Address or Unix socket to bind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind: Option<String>,
    /// How traffic gets to the listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture_mode: Option<CaptureMode>,
    /// Services that are known: `NAMESPACE/HOST`, where `.` is the own namespace, `*` any and `~` none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

/// A port of a listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SidecarPort {
    /// Number; 0 with a Unix socket.
    pub number: u32,
    /// Protocol; found out when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Without effect, and refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_port: Option<u32>,
}

/// How traffic gets to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the variants are Istio's own names")]
pub enum CaptureMode {
    Default,
    Iptables,
    None,
}

/// What happens to traffic to hosts that the mesh does not know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SidecarOutboundTrafficPolicy {
    /// `REGISTRY_ONLY` by default where this block is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<SidecarOutboundMode>,
    /// The service that gets such traffic; with `ALLOW_ANY` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_proxy: Option<Destination>,
}

/// Whether traffic to unknown hosts passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the variants are Istio's own names")]
pub enum SidecarOutboundMode {
    RegistryOnly,
    AllowAny,
}
