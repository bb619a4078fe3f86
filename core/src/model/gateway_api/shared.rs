//! Texts with bounds, references and selectors that the kinds share.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::cel::rule;

/// A text with a shortest and a longest length and a pattern.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $min:literal..=$max:literal $(, $pattern:literal)?) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string", "minLength": $min, "maxLength": $max $(, "pattern": $pattern)?
                })
            }

            fn inline_schema() -> bool {
                true
            }
        }
    };
}

text!(
    /// Name of an object.
    ObjectName, 1..=253
);
text!(
    /// A namespace.
    Namespace, 1..=63, "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
);
text!(
    /// An API group; empty for Kubernetes' core kinds.
    Group, 0..=253, r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
);
text!(
    /// A kind.
    KindName, 1..=63, "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"
);
text!(
    /// Name of a listener, a port or a rule.
    SectionName, 1..=253, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
);
text!(
    /// A host name, perhaps with the wildcard label `*.` in front.
    Hostname, 1..=253, r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
);
text!(
    /// A host name without a wildcard.
    PreciseHostname, 1..=253, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
);
text!(
    /// Name of a header or of a query parameter.
    HeaderName, 1..=256, r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$"
);
text!(
    /// An address with a scheme, such as `spiffe://cluster.local/ns/default/sa/web`.
    AbsoluteUri, 1..=253, r"^(([^:/?#]+):)(//([^/?#]*))([^?#]*)(\?([^#]*))?(#(.*))?"
);
text!(
    /// Name of authorities that are known without an object: `System`, or `example.com/name`.
    WellKnownCaCertificates,
    1..=253,
    r"^(System|([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]))$"
);
text!(
    /// Value of an annotation or of an option.
    AnnotationValue, 0..=4096
);
text!(
    /// Value of a label.
    LabelValue, 0..=63, "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
);
text!(
    /// Name of a controller, `example.com/name`.
    GatewayController,
    1..=253,
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$"
);

/// A duration: at most four parts such as `1h30m` or `500ms`, of at most five digits each.
pub(super) const DURATION: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";

/// Value of a header: visible characters, with single blanks or tabs between them.
pub(super) const HEADER_VALUE: &str = r"^[!-~]+([\t ]?[!-~]+)*$";

/// The rule for the keys of options, labels and annotations.
pub(super) fn qualified_keys() -> Value {
    rule(
        "self.all(key, key.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$') && key.split('/')[0].size() < 253)",
        "keys are a name of at most 63 characters, with an optional DNS name and / in front",
    )
}

/// An object of the own namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["group", "kind", "name"]))]
pub struct LocalObjectReference {
    /// Group.
    pub group: Group,
    /// Kind.
    pub kind: KindName,
    /// Name.
    pub name: ObjectName,
}

/// An object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["group", "kind", "name"]))]
pub struct ObjectReference {
    /// Group.
    pub group: Group,
    /// Kind.
    pub kind: KindName,
    /// Name.
    pub name: ObjectName,
    /// Namespace; the own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
}

/// A Secret, or another object that has a certificate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct SecretObjectReference {
    /// Group; the core group by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// Kind; `Secret` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<KindName>,
    /// Name.
    pub name: ObjectName,
    /// Namespace; the own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
}

/// What a route belongs to: a gateway, or a service in the mesh.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct ParentReference {
    /// Group; `gateway.networking.k8s.io` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// Kind; `Gateway` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<KindName>,
    /// Namespace; the route's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// Name.
    pub name: ObjectName,
    /// Listener of the gateway, or port of the service by name; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section_name: Option<SectionName>,
    /// Port; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// The rules for the parents of a route: each is named once, or with different listeners or ports.
pub(super) fn distinct_parents() -> [Value; 2] {
    let field = |name: &str, default: &str| {
        format!(
            "(has(p1.{name}) ? p1.{name} : '{default}') == (has(p2.{name}) ? p2.{name} : '{default}')"
        )
    };
    let same = [
        field("group", "gateway.networking.k8s.io"),
        field("kind", "Gateway"),
        "p1.name == p2.name".to_owned(),
        field("__namespace__", ""),
    ]
    .join(" && ");
    let section = field("sectionName", "");
    let port = "(has(p1.port) ? p1.port : 0) == (has(p2.port) ? p2.port : 0)";
    [
        rule(
            &format!(
                "self.all(p1, self.all(p2, !({same}) || (has(p1.sectionName) == has(p2.sectionName) && has(p1.port) == has(p2.port))))"
            ),
            "several references to one parent must all have a sectionName or a port",
        ),
        rule(
            &format!("self.all(p1, self.exists_one(p2, {same} && {section} && {port}))"),
            "several references to one parent must differ in sectionName or port",
        ),
    ]
}

/// The rule that names of rules are unique.
pub(super) fn distinct_rule_names() -> Value {
    rule(
        "self.all(l1, !has(l1.name) || self.exists_one(l2, has(l2.name) && l1.name == l2.name))",
        "names of rules must be unique within the route",
    )
}

/// Whether a route belongs to the default gateways as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the variants are the Gateway API's own names")]
pub enum DefaultScope {
    All,
    None,
}

/// How a text is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the variants are the Gateway API's own names")]
pub enum TextMatchType {
    Exact,
    RegularExpression,
}

/// Objects by their labels. All conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels with their values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Conditions on single labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// A condition on a label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["key", "operator"]))]
pub struct LabelSelectorRequirement {
    /// Label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// Values, with `In` and `NotIn`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// Namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the variants are the Gateway API's own names")]
pub enum FromNamespaces {
    All,
    Selector,
    Same,
}

/// How long requests of one client stay with one backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    rule(
        "!(has(self.cookieConfig) && has(self.cookieConfig.lifetimeType) && self.cookieConfig.lifetimeType == 'Permanent') || has(self.absoluteTimeout)",
        "a permanent cookie needs absoluteTimeout"
    ),
    rule(
        "!has(self.cookieConfig) || !has(self.type) || self.type == 'Cookie'",
        "cookieConfig can be set with the type Cookie only"
    )
]))]
pub struct SessionPersistence {
    /// Name of the cookie or header.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub session_name: Option<String>,
    /// Longest life of a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub absolute_timeout: Option<crate::model::DurationText>,
    /// How long a session may be idle.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub idle_timeout: Option<crate::model::DurationText>,
    /// `Cookie` by default.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<SessionPersistenceType>,
    /// Settings of the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie_config: Option<CookieConfig>,
}

/// Where a session is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the variants are the Gateway API's own names")]
pub enum SessionPersistenceType {
    Cookie,
    Header,
}

/// Settings of a session's cookie.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CookieConfig {
    /// `Session` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime_type: Option<CookieLifetimeType>,
}

/// Life of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the variants are the Gateway API's own names")]
pub enum CookieLifetimeType {
    Permanent,
    Session,
}
