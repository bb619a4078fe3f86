//! `ReferenceGrant`: which objects of other namespaces may refer to objects of this one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Group, KindName, Namespace, ObjectName};

/// Which objects of other namespaces may refer to objects of this one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["from", "to"]))]
pub struct ReferenceGrantSpec {
    /// Kinds and namespaces of the objects that may refer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub from: Vec<ReferenceGrantFrom>,
    /// Objects that they may refer to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub to: Vec<ReferenceGrantTo>,
}

/// Objects that may refer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["group", "kind", "namespace"]))]
pub struct ReferenceGrantFrom {
    /// Group.
    pub group: Group,
    /// Kind.
    pub kind: KindName,
    /// Namespace.
    pub namespace: Namespace,
}

/// Objects that are referred to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["group", "kind"]))]
pub struct ReferenceGrantTo {
    /// Group.
    pub group: Group,
    /// Kind.
    pub kind: KindName,
    /// Name; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<ObjectName>,
}
