//! The values in the words of Istio's Helm charts: `values` of an `IstioOperator`, or a values file by itself.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, ServicePort, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::spec::{Checked, Resources, ServiceType, TrafficPolicy};
use crate::model::MeshConfig;

/// The values of all charts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct HelmValues {
    /// Name of the control plane among several; `revision` beside `values` goes before it.
    pub(super) revision: Option<String>,
    /// What concerns several parts.
    pub(super) global: Global,
    /// The control plane.
    pub(super) pilot: Pilot,
    /// The gateways.
    pub(super) gateways: Gateways,
    /// Injection.
    pub(super) sidecar_injector_webhook: SidecarInjector,
    /// Istio's first API versions.
    pub(super) legacy: LegacyApis,
    /// Settings of the whole mesh; `meshConfig` beside `values` goes before it.
    #[schemars(with = "MeshConfig")]
    pub(super) mesh_config: Map<String, Value>,
}

/// Istio's first API versions: RouteRule, MeshPolicy, ServiceRole and their like.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct LegacyApis {
    /// Whether their CRDs are installed; no by default. Objects of theirs are obeyed wherever there are any.
    pub(super) enabled: Option<bool>,
}

/// What concerns several parts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Global {
    /// Registry and path of images.
    pub(super) hub: Option<String>,
    /// Tag of images.
    pub(super) tag: Option<String>,
    /// Namespace of the control plane.
    pub(super) istio_namespace: Option<String>,
    /// When images are pulled.
    pub(super) image_pull_policy: Option<String>,
    /// Secrets for pulling images.
    pub(super) image_pull_secrets: Vec<String>,
    /// Logs of the control plane.
    pub(super) logging: Logging,
    /// Proxies.
    pub(super) proxy: Proxy,
    /// Names in a mesh of several clusters.
    pub(super) multi_cluster: MultiCluster,
    /// Priority of the control plane's and the gateways' pods.
    pub(super) priority_class_name: Option<String>,
}

/// Logs of the control plane.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Logging {
    /// Filter: `info`, `debug`, `default:info`.
    pub(super) level: Option<String>,
}

/// Names in a mesh of several clusters.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct MultiCluster {
    /// Name of this cluster.
    pub(super) cluster_name: Option<String>,
}

/// Proxies.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Proxy {
    /// Name of the image, or a whole reference.
    pub(super) image: Option<String>,
    /// Resources of sidecars.
    pub(super) resources: Option<Resources>,
    /// Log level.
    pub(super) log_level: Option<String>,
    /// DNS domain of the cluster.
    pub(super) cluster_domain: Option<String>,
    /// Whether pods are injected that say nothing.
    pub(super) auto_inject: Option<AutoInject>,
    /// Destination networks that are redirected.
    #[serde(rename = "includeIPRanges")]
    pub(super) include_ip_ranges: Option<String>,
    /// Destination networks that are not.
    #[serde(rename = "excludeIPRanges")]
    pub(super) exclude_ip_ranges: Option<String>,
    /// Inbound ports that are redirected.
    pub(super) include_inbound_ports: Option<String>,
    /// Inbound ports that are not.
    pub(super) exclude_inbound_ports: Option<String>,
    /// Outbound ports that are redirected whatever the network.
    pub(super) include_outbound_ports: Option<String>,
    /// Outbound ports that are not.
    pub(super) exclude_outbound_ports: Option<String>,
}

/// Whether pods are injected that say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum AutoInject {
    Enabled,
    Disabled,
}

/// The control plane.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Pilot {
    /// Registry and path of its image.
    pub(super) hub: Option<String>,
    /// Tag of its image.
    pub(super) tag: Option<String>,
    /// Name of its image, or a whole reference.
    pub(super) image: Option<String>,
    /// Number of pods.
    pub(super) replica_count: Option<u32>,
    /// Whether their number follows the load.
    pub(super) autoscale_enabled: Option<bool>,
    /// Least pods.
    pub(super) autoscale_min: Option<u32>,
    /// Most pods.
    pub(super) autoscale_max: Option<u32>,
    /// Load that is aimed at.
    pub(super) cpu: CpuTarget,
    /// Resources.
    pub(super) resources: Option<Resources>,
    /// Environment.
    pub(super) env: BTreeMap<String, String>,
    /// Labels of the nodes.
    pub(super) node_selector: BTreeMap<String, String>,
    /// Taints that are tolerated.
    pub(super) tolerations: Vec<Checked<Toleration>>,
    /// Rules for the choice of nodes.
    pub(super) affinity: Option<Checked<Affinity>>,
    /// Annotations of the pods.
    pub(super) pod_annotations: BTreeMap<String, String>,
    /// Labels of the pods.
    pub(super) pod_labels: BTreeMap<String, String>,
    /// Annotations of the Service.
    pub(super) service_annotations: BTreeMap<String, String>,
}

/// Load that autoscaling aims at.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct CpuTarget {
    /// Percent of the requested CPU.
    pub(super) target_average_utilization: Option<u32>,
}

/// The gateways.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(super) struct Gateways {
    /// For traffic from outside.
    pub(super) istio_ingressgateway: Gateway,
    /// For traffic to the outside.
    pub(super) istio_egressgateway: Gateway,
}

/// A gateway.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Gateway {
    /// Labels of the pods, over the usual ones.
    pub(super) labels: BTreeMap<String, String>,
    /// Number of pods.
    pub(super) replica_count: Option<u32>,
    /// Whether their number follows the load.
    pub(super) autoscale_enabled: Option<bool>,
    /// Least pods.
    pub(super) autoscale_min: Option<u32>,
    /// Most pods.
    pub(super) autoscale_max: Option<u32>,
    /// Load that is aimed at.
    pub(super) cpu: CpuTarget,
    /// Resources.
    pub(super) resources: Option<Resources>,
    /// Environment.
    pub(super) env: BTreeMap<String, String>,
    /// Type of the Service.
    #[serde(rename = "type")]
    pub(super) type_: Option<ServiceType>,
    /// Ports of the Service, instead of the usual ones.
    pub(super) ports: Vec<Checked<ServicePort>>,
    /// Annotations of the Service.
    pub(super) service_annotations: BTreeMap<String, String>,
    /// Address that is asked for.
    #[serde(rename = "loadBalancerIP")]
    pub(super) load_balancer_ip: Option<String>,
    /// Which clients reach the load balancer.
    pub(super) load_balancer_source_ranges: Vec<String>,
    /// `Local` keeps clients' addresses.
    pub(super) external_traffic_policy: Option<TrafficPolicy>,
    /// Labels of the nodes.
    pub(super) node_selector: BTreeMap<String, String>,
    /// Taints that are tolerated.
    pub(super) tolerations: Vec<Checked<Toleration>>,
    /// Rules for the choice of nodes.
    pub(super) affinity: Option<Checked<Affinity>>,
    /// Annotations of the pods.
    pub(super) pod_annotations: BTreeMap<String, String>,
}

/// Injection.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct SidecarInjector {
    /// Whether the applications' probes go through the agent.
    #[serde(rename = "rewriteAppHTTPProbe")]
    pub(super) rewrite_app_http_probe: Option<bool>,
    /// Pods that say nothing and match are not injected.
    pub(super) never_inject_selector: Vec<Checked<LabelSelector>>,
    /// Pods that say nothing and match are injected.
    pub(super) always_inject_selector: Vec<Checked<LabelSelector>>,
}
