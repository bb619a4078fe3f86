//! `ServiceEntry`: hosts that Kubernetes does not know.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cel::{at_most_one, port_number, rule, rule_of};
use super::{NetworkingWorkloadSelector, WorkloadEntrySpec};

/// Hosts that Kubernetes does not know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["hosts"], "x-kubernetes-validations" = [
    at_most_one(&["workloadSelector", "endpoints"]),
    rule_of(
        "addresses",
        "!has(self.addresses) || !self.addresses.exists(a, a.contains('/')) || !has(self.resolution) || self.resolution in ['STATIC', 'NONE']",
        "networks as addresses need resolution NONE or STATIC"
    ),
    rule_of(
        "endpoints",
        "(has(self.resolution) && self.resolution != 'NONE') || !has(self.endpoints)",
        "endpoints have no meaning with resolution NONE"
    ),
    rule_of(
        "endpoints",
        "!has(self.resolution) || self.resolution != 'DNS_ROUND_ROBIN' || !has(self.endpoints) || self.endpoints.size() <= 1",
        "resolution DNS_ROUND_ROBIN takes one endpoint"
    )
]))]
pub struct ServiceEntrySpec {
    /// Host names; fully qualified or with a wildcard.
    #[schemars(with = "Vec<HostText>", length(min = 1, max = 256))]
    pub hosts: Vec<String>,
    /// Virtual addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 64)))]
    pub addresses: Vec<String>,
    /// Ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["name"],
        "x-kubernetes-validations" = [rule(
            "self.all(a, self.exists_one(b, a.number == b.number))",
            "port number cannot be duplicated"
        )]
    ))]
    pub ports: Vec<ServiceEntryPort>,
    /// Inside or outside the mesh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<ServiceEntryLocation>,
    /// How addresses are found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Option<ServiceEntryResolution>,
    /// Addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4096))]
    pub endpoints: Vec<WorkloadEntrySpec>,
    /// Workloads and pods that serve, instead of `endpoints`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_selector: Option<NetworkingWorkloadSelector>,
    /// Namespaces that see this object: `*`, `.`, `~` or names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub export_to: Vec<String>,
    /// Names that the servers' certificates may have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subject_alt_names: Vec<String>,
}

/// A host name.
#[derive(JsonSchema)]
#[schemars(inline, extend(
    "x-kubernetes-validations" = [rule("self != '*'", "the host * is not allowed")]
))]
#[expect(dead_code, reason = "only its schema is used")]
struct HostText(String);

/// A port of a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["number", "name"]))]
pub struct ServiceEntryPort {
    /// Number.
    #[schemars(extend("x-kubernetes-validations" = [port_number()]))]
    pub number: u32,
    /// `HTTP`, `HTTPS`, `GRPC`, `HTTP2`, `MONGO`, `TCP` or `TLS`; found out when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub protocol: Option<String>,
    /// Name.
    #[schemars(length(max = 256))]
    pub name: String,
    /// Port of the endpoints; `number` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [port_number()]))]
    pub target_port: Option<u32>,
}

/// Where a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the variants are Istio's own names")]
pub enum ServiceEntryLocation {
    MeshExternal,
    MeshInternal,
}

/// How the addresses of a host are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the variants are Istio's own names")]
pub enum ServiceEntryResolution {
    None,
    Static,
    Dns,
    DnsRoundRobin,
    DynamicDns,
}
