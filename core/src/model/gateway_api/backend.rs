//! Backends of routes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Group, KindName, Namespace, ObjectName};
use crate::model::cel::rule;

/// A service, or another object that requests can be sent to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"], "x-kubernetes-validations" = [service_needs_port()]))]
pub struct BackendObjectReference {
    /// Group; the core group by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// Kind; `Service` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<KindName>,
    /// Name.
    pub name: ObjectName,
    /// Namespace; the route's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// Port; needed with a Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// A backend with its share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"], "x-kubernetes-validations" = [service_needs_port()]))]
pub struct BackendRef {
    /// Group; the core group by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// Kind; `Service` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<KindName>,
    /// Name.
    pub name: ObjectName,
    /// Namespace; the route's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// Port; needed with a Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Share relative to the sum of all weights; 1 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: Option<i32>,
}

/// A filter of a route, with the rules for lists of it.
pub trait RouteFilter {
    /// Rules (CEL) for a list of filters of one rule or backend.
    fn rules() -> Vec<Value>;
}

/// A backend with its share and filters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    rename_all = "camelCase",
    default,
    bound(
        serialize = "F: Serialize",
        deserialize = "F: Deserialize<'de> + Default"
    )
)]
#[schemars(
    bound = "F: JsonSchema + RouteFilter + Default",
    extend("required" = ["name"], "x-kubernetes-validations" = [service_needs_port()])
)]
pub struct FilteredBackendRef<F> {
    /// Group; the core group by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// Kind; `Service` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<KindName>,
    /// Name.
    pub name: ObjectName,
    /// Namespace; the route's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// Port; needed with a Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Share relative to the sum of all weights; 1 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: Option<i32>,
    /// What happens to requests to this backend and to its responses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-validations" = F::rules()))]
    pub filters: Vec<F>,
}

/// The rule that a Service is named with its port.
pub(super) fn service_needs_port() -> Value {
    rule(
        "(has(self.group) && self.group != '') || (has(self.kind) && self.kind != 'Service') || has(self.port)",
        "a Service needs a port",
    )
}
