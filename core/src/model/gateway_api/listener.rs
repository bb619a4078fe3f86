//! Listeners of gateways and of listener sets.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    AnnotationValue, FromNamespaces, Group, Hostname, KindName, LabelSelector,
    SecretObjectReference, SectionName,
};
use crate::model::cel::rule;

/// The rules for the listeners of one object.
pub(super) fn listener_rules() -> [Value; 5] {
    [
        rule(
            "self.all(l, !l.protocol.matches('(?i)^(HTTP|TCP|UDP)$') || !has(l.tls))",
            "the protocols HTTP, TCP and UDP have no tls",
        ),
        rule(
            "self.all(l, !l.protocol.matches('(?i)^HTTPS$') || !has(l.tls) || !has(l.tls.mode) || l.tls.mode == 'Terminate')",
            "the tls mode of the protocol HTTPS is Terminate",
        ),
        rule(
            "self.all(l, !l.protocol.matches('(?i)^TLS$') || has(l.tls))",
            "the protocol TLS needs tls",
        ),
        rule(
            "self.all(l, !l.protocol.matches('(?i)^(TCP|UDP)$') || !has(l.hostname))",
            "the protocols TCP and UDP have no hostname",
        ),
        rule(
            "self.all(l1, self.exists_one(l2, l1.port == l2.port && l1.protocol.lowerAscii() == l2.protocol.lowerAscii() && (has(l1.hostname) && has(l2.hostname) ? l1.hostname == l2.hostname : !has(l1.hostname) && !has(l2.hostname))))",
            "listeners must differ in port, protocol or hostname",
        ),
    ]
}

/// A port with protocol and host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "port", "protocol"]))]
pub struct Listener {
    /// Name.
    pub name: SectionName,
    /// Host; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// Port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// `HTTP`, `HTTPS`, `TLS`, `TCP`, `UDP`, or a controller's own, `example.com/name`.
    #[schemars(
        length(min = 1, max = 255),
        regex(
            pattern = r"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9]+$"
        )
    )]
    pub protocol: String,
    /// TLS settings; needed with the protocol TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTlsConfig>,
    /// Routes that may belong to the listener; all of the own namespace by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_routes: Option<AllowedRoutes>,
}

/// TLS settings of a listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [rule(
    "(has(self.mode) && self.mode != 'Terminate') || (has(self.certificateRefs) && self.certificateRefs.size() > 0) || (has(self.options) && self.options.size() > 0)",
    "certificateRefs or options must be set when the mode is Terminate"
)]))]
pub struct ListenerTlsConfig {
    /// `Terminate` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<TlsModeType>,
    /// Secrets with certificates and keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub certificate_refs: Vec<SecretObjectReference>,
    /// Settings that are the controller's own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub options: BTreeMap<String, AnnotationValue>,
}

/// What happens to TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the variants are the Gateway API's own names")]
pub enum TlsModeType {
    Terminate,
    Passthrough,
}

/// Routes that may belong to a listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AllowedRoutes {
    /// Their namespaces; the own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<RouteNamespaces>,
    /// Their kinds; all that fit the protocol by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub kinds: Vec<RouteGroupKind>,
}

/// Namespaces of routes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteNamespaces {
    /// `Same` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<FromNamespaces>,
    /// Labels of the namespaces, with `Selector`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// A kind of routes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["kind"]))]
pub struct RouteGroupKind {
    /// Group; `gateway.networking.k8s.io` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// Kind.
    pub kind: KindName,
}
