//! `ListenerSet`: further listeners of a gateway.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::listener::listener_rules;
use super::{Group, KindName, Listener, Namespace, ObjectName};

/// Further listeners of a gateway, which must allow them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["parentRef", "listeners"]))]
pub struct ListenerSetSpec {
    /// The gateway.
    pub parent_ref: ParentGatewayReference,
    /// The listeners.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["name"],
        "x-kubernetes-validations" = listener_rules()
    ))]
    pub listeners: Vec<Listener>,
}

/// A gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct ParentGatewayReference {
    /// Group; `gateway.networking.k8s.io` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// Kind; `Gateway` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<KindName>,
    /// Name.
    pub name: ObjectName,
    /// Namespace; the own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
}
