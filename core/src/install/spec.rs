//! The values of an installation as people write them: the `spec` of an `IstioOperator`, with the names that Istio gave them. What
//! is absent is decided in [`super::settings`].

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, EnvVar, ServicePort, Toleration};
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::values::HelmValues;
use crate::model::MeshConfig;

/// All values.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct InstallSpec {
    /// Profile to start from.
    pub(super) profile: Option<String>,
    /// Registry and path of images.
    pub(super) hub: Option<String>,
    /// Tag of images.
    pub(super) tag: Option<String>,
    /// Namespace of the control plane.
    pub(super) namespace: Option<String>,
    /// Name of the control plane among several; `default` if there is none.
    pub(super) revision: Option<String>,
    /// Settings of the whole mesh.
    #[schemars(with = "MeshConfig")]
    pub(super) mesh_config: Map<String, Value>,
    /// Which parts are installed, and how.
    pub(super) components: Components,
    /// The same in the words of Istio's Helm charts.
    pub(super) values: HelmValues,
}

/// Parts of the mesh.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Components {
    /// Namespace and CRDs.
    pub(super) base: BaseComponent,
    /// The control plane.
    pub(super) pilot: PilotComponent,
    /// Gateways for traffic from outside.
    pub(super) ingress_gateways: Vec<GatewayComponent>,
    /// Gateways for traffic to the outside.
    pub(super) egress_gateways: Vec<GatewayComponent>,
}

/// Namespace and CRDs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct BaseComponent {
    /// Whether it is installed; yes unless the profile is empty.
    pub(super) enabled: Option<bool>,
}

/// The control plane.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct PilotComponent {
    /// Whether it is installed.
    pub(super) enabled: Option<bool>,
    /// How it runs.
    pub(super) k8s: KubernetesOverrides,
}

/// A gateway.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct GatewayComponent {
    /// Name of its Deployment and Service.
    pub(super) name: Option<String>,
    /// Namespace; the control plane's by default.
    pub(super) namespace: Option<String>,
    /// Whether it is installed.
    pub(super) enabled: Option<bool>,
    /// Labels of its pods, over the usual ones.
    pub(super) label: BTreeMap<String, String>,
    /// How it runs.
    pub(super) k8s: KubernetesOverrides,
}

/// How a program runs in Kubernetes. Goes before the same setting in `values`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct KubernetesOverrides {
    /// Number of pods.
    pub(super) replica_count: Option<u32>,
    /// Resources.
    pub(super) resources: Option<Resources>,
    /// Environment, by name over the usual one.
    pub(super) env: Vec<Checked<EnvVar>>,
    /// Changes to the Service.
    pub(super) service: ServiceOverrides,
    /// Annotations of the Service.
    pub(super) service_annotations: BTreeMap<String, String>,
    /// Annotations of the pods.
    pub(super) pod_annotations: BTreeMap<String, String>,
    /// Labels of the nodes.
    pub(super) node_selector: BTreeMap<String, String>,
    /// Taints that are tolerated.
    pub(super) tolerations: Vec<Checked<Toleration>>,
    /// Rules for the choice of nodes.
    pub(super) affinity: Option<Checked<Affinity>>,
    /// When the image is pulled.
    pub(super) image_pull_policy: Option<String>,
    /// Priority of the pods.
    pub(super) priority_class_name: Option<String>,
}

/// Changes to a Service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct ServiceOverrides {
    /// Type.
    #[serde(rename = "type")]
    pub(super) type_: Option<ServiceType>,
    /// Ports, instead of the usual ones.
    pub(super) ports: Vec<Checked<ServicePort>>,
    /// Address that is asked for.
    #[serde(rename = "loadBalancerIP")]
    pub(super) load_balancer_ip: Option<String>,
    /// Which clients reach the load balancer.
    pub(super) load_balancer_source_ranges: Vec<String>,
    /// `Local` keeps clients' addresses.
    pub(super) external_traffic_policy: Option<TrafficPolicy>,
}

/// Types of Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) enum ServiceType {
    LoadBalancer,
    NodePort,
    ClusterIP,
}

/// How traffic from outside is spread over nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) enum TrafficPolicy {
    Cluster,
    Local,
}

/// Requests and limits.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Resources {
    /// What a pod is promised.
    pub(super) requests: BTreeMap<String, Amount>,
    /// What a pod may use.
    pub(super) limits: BTreeMap<String, Amount>,
}

/// A quantity: `100m`, `128Mi`, or a number.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(transparent)]
pub(super) struct Amount(pub(super) String);

/// A value of one of Kubernetes' own types, whose reader would pass over unknown fields.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Checked<T>(pub(super) T);

// === impl Amount ===

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            other => return Err(D::Error::custom(format!("{other} is not a quantity"))),
        };
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
        if !plain || !text.starts_with(|c: char| c.is_ascii_digit()) {
            let message = format!("{text:?} is not a quantity such as 100m or 128Mi");
            return Err(D::Error::custom(message));
        }
        Ok(Self(text))
    }
}

// === impl Checked ===

impl<T> JsonSchema for Checked<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Any".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        true.into()
    }

    fn inline_schema() -> bool {
        true
    }
}

impl<'de, T: DeserializeOwned + Serialize> Deserialize<'de> for Checked<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let typed: T = serde_path_to_error::deserialize(&value).map_err(|error| {
            let path = error.path().to_string();
            D::Error::custom(format!("{path}: {}", error.into_inner()))
        })?;
        let known = serde_json::to_value(&typed).map_err(D::Error::custom)?;
        match lost(&value, &known, "") {
            Some(path) => Err(D::Error::custom(format!("unknown key {path}"))),
            None => Ok(Self(typed)),
        }
    }
}

/// A key that reading has lost.
fn lost(given: &Value, known: &Value, path: &str) -> Option<String> {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => given.iter().find_map(|(key, value)| {
            let path = match path {
                "" => key.clone(),
                _ => format!("{path}.{key}"),
            };
            match known.get(key) {
                None if value.is_null() => None,
                None => Some(path),
                Some(kept) => lost(value, kept, &path),
            }
        }),
        (Value::Array(given), Value::Array(known)) => {
            let pairs = given.iter().zip(known).enumerate();
            pairs
                .into_iter()
                .find_map(|(index, (given, known))| lost(given, known, &format!("{path}[{index}]")))
        }
        _ => None,
    }
}
