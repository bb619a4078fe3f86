//! `Gateway` of the Gateway API: what a gateway accepts from outside.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::listener::listener_rules;
use super::shared::qualified_keys;
use super::{
    AnnotationValue, DefaultScope, LabelSelector, LabelValue, Listener, LocalObjectReference,
    ObjectName, ObjectReference, SecretObjectReference,
};
use crate::model::cel::rule;

/// What a gateway accepts from outside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["gatewayClassName", "listeners"]))]
pub struct GatewaySpec {
    /// Class, which names the controller.
    pub gateway_class_name: ObjectName,
    /// Ports with protocols and hosts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["name"],
        "x-kubernetes-validations" = listener_rules()
    ))]
    pub listeners: Vec<Listener>,
    /// Addresses; chosen by the controller by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-validations" = [rule(
        "self.all(a1, !has(a1.value) || self.exists_one(a2, has(a2.value) && a1.value == a2.value && (has(a1.type) ? a1.type : 'IPAddress') == (has(a2.type) ? a2.type : 'IPAddress')))",
        "addresses must be unique"
    )]))]
    pub addresses: Vec<GatewaySpecAddress>,
    /// What the objects of the gateway have in common.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infrastructure: Option<GatewayInfrastructure>,
    /// Listener sets that may belong to the gateway; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_listeners: Option<AllowedListeners>,
    /// TLS settings of the whole gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<GatewayTlsConfig>,
    /// Which routes belong to this gateway by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_scope: Option<DefaultScope>,
}

/// An address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    rule(
        "!(has(self.type) && self.type == 'Hostname') || !has(self.value) || self.value.matches('^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
        "the value must be a host name when the type is Hostname"
    ),
    rule(
        "(has(self.type) && self.type != 'IPAddress') || !has(self.value) || isIP(self.value)",
        "the value must be an IP address when the type is IPAddress"
    )
]))]
pub struct GatewaySpecAddress {
    /// `IPAddress` by default, `Hostname`, or a controller's own, `example.com/name`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(
            pattern = r"^Hostname|IPAddress|NamedAddress|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$"
        )
    )]
    pub kind: Option<String>,
    /// The address; chosen by the controller by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub value: Option<String>,
}

/// What the objects of a gateway have in common.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayInfrastructure {
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8, "x-kubernetes-validations" = [qualified_keys()]))]
    pub labels: BTreeMap<String, LabelValue>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "x-kubernetes-validations" = [qualified_keys()]))]
    pub annotations: BTreeMap<String, AnnotationValue>,
    /// Object with the controller's own settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters_ref: Option<LocalObjectReference>,
}

/// Listener sets that may belong to a gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AllowedListeners {
    /// Their namespaces; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<ListenerNamespaces>,
}

/// Namespaces of listener sets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerNamespaces {
    /// `None` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<ListenersFrom>,
    /// Labels of the namespaces, with `Selector`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the variants are the Gateway API's own names")]
pub enum ListenersFrom {
    All,
    Selector,
    Same,
    None,
}

/// TLS settings of a whole gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayTlsConfig {
    /// Towards backends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<GatewayBackendTls>,
    /// Towards clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frontend: Option<FrontendTlsConfig>,
}

/// TLS settings towards backends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayBackendTls {
    /// Secret with the gateway's own certificate and key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_ref: Option<SecretObjectReference>,
}

/// TLS settings towards clients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["default"]))]
pub struct FrontendTlsConfig {
    /// For all ports that have none of their own.
    pub default: FrontendTls,
    /// For single ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["port"],
        "x-kubernetes-validations" = [rule(
            "self.all(t1, self.exists_one(t2, t1.port == t2.port))",
            "ports must be unique"
        )]
    ))]
    pub per_port: Vec<TlsPortConfig>,
}

/// TLS settings towards the clients of a port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["port", "tls"]))]
pub struct TlsPortConfig {
    /// Port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Settings.
    pub tls: FrontendTls,
}

/// TLS settings towards clients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FrontendTls {
    /// How certificates of clients are checked; they need none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<FrontendTlsValidation>,
}

/// How certificates of clients are checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["caCertificateRefs"]))]
pub struct FrontendTlsValidation {
    /// Objects with the authorities that certificates must come from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub ca_certificate_refs: Vec<ObjectReference>,
    /// `AllowValidOnly` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<FrontendValidationMode>,
}

/// Which clients are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the variants are the Gateway API's own names")]
pub enum FrontendValidationMode {
    AllowValidOnly,
    AllowInsecureFallback,
}
