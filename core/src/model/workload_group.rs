//! `WorkloadGroup`: workloads that are no pods and have the same description.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::WorkloadEntrySpec;
use super::cel::{at_most_one, rule};
use super::workload_entry::WorkloadTemplate;

/// Workloads that are no pods and have the same description.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["template"]))]
pub struct WorkloadGroupSpec {
    /// Metadata of the entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<GroupMetadata>,
    /// What the entries are made from; each has its own address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<WorkloadTemplate>")]
    pub template: Option<WorkloadEntrySpec>,
    /// How the proxy finds out whether the workload is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<ReadinessProbe>,
}

/// Metadata of entries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupMetadata {
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    pub annotations: BTreeMap<String, String>,
}

/// How a proxy finds out whether its workload is ready.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [at_most_one(&["httpGet", "tcpSocket", "exec", "grpc"])]))]
pub struct ReadinessProbe {
    /// Seconds before the first probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub initial_delay_seconds: Option<i32>,
    /// Seconds that a probe may take; 1 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub timeout_seconds: Option<i32>,
    /// Seconds between probes; 10 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub period_seconds: Option<i32>,
    /// Successes in a row after a failure; 1 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub success_threshold: Option<i32>,
    /// Failures in a row after a success; 3 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub failure_threshold: Option<i32>,
    /// A request that must be answered with success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpProbe>,
    /// A connection that must be accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_socket: Option<TcpProbe>,
    /// A command that must succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecProbe>,
    /// A call of the gRPC health service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcProbe>,
}

/// A request that must be answered with success.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["port"]))]
pub struct HttpProbe {
    /// Path; `/` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u32,
    /// Host; the workload's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `HTTP` by default, or `HTTPS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [rule(
        "self in ['', 'HTTP', 'HTTPS']",
        "must be HTTP or HTTPS"
    )]))]
    pub scheme: Option<String>,
    /// Headers of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http_headers: Vec<ProbeHeader>,
}

/// A header of a probe's request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProbeHeader {
    /// Name.
    #[schemars(regex(pattern = "^[-_A-Za-z0-9]+$"))]
    pub name: String,
    /// Value.
    pub value: String,
}

/// A connection that must be accepted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["port"]))]
pub struct TcpProbe {
    /// Host; `localhost` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u32,
}

/// A command that must succeed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["command"]))]
pub struct ExecProbe {
    /// Program and arguments.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    pub command: Vec<String>,
}

/// A call of the gRPC health service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcProbe {
    /// Port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u32,
    /// Name of the service that is asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}
