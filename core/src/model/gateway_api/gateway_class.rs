//! `GatewayClass`: which controller serves gateways.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GatewayController, Group, KindName, Namespace, ObjectName};
use crate::model::cel::rule;

/// Which controller serves the gateways of a class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["controllerName"]))]
pub struct GatewayClassSpec {
    /// Name of the controller; it cannot be changed.
    #[schemars(extend("x-kubernetes-validations" = [rule("self == oldSelf", "the controller of a class cannot be changed")]))]
    pub controller_name: GatewayController,
    /// Object with the controller's own settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters_ref: Option<ParametersReference>,
    /// What the class is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub description: Option<String>,
}

/// An object with settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["group", "kind", "name"]))]
pub struct ParametersReference {
    /// Group.
    pub group: Group,
    /// Kind.
    pub kind: KindName,
    /// Name.
    pub name: ObjectName,
    /// Namespace, of objects that live in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
}
