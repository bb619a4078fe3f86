//! `BackendTLSPolicy`: how gateways talk TLS to backends.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AbsoluteUri, AnnotationValue, Group, Hostname, KindName, LocalObjectReference, ObjectName,
    PreciseHostname, SectionName, WellKnownCaCertificates,
};
use crate::model::cel::rule;

/// How gateways talk TLS to backends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["targetRefs", "validation"]))]
pub struct BackendTlsPolicySpec {
    /// Services that this is for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-validations" = [
        rule(
            "self.all(p1, self.all(p2, !(p1.group == p2.group && p1.kind == p2.kind && p1.name == p2.name) || has(p1.sectionName) == has(p2.sectionName)))",
            "several references to one target must all have a sectionName"
        ),
        rule(
            "self.all(p1, self.exists_one(p2, p1.group == p2.group && p1.kind == p2.kind && p1.name == p2.name && (has(p1.sectionName) ? p1.sectionName : '') == (has(p2.sectionName) ? p2.sectionName : '')))",
            "several references to one target must differ in sectionName"
        )
    ]))]
    pub target_refs: Vec<LocalPolicyTargetReference>,
    /// How the backends' certificates are checked.
    pub validation: BackendTlsPolicyValidation,
    /// Settings that are the controller's own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub options: BTreeMap<String, AnnotationValue>,
}

/// An object of the own namespace that a policy is for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["group", "kind", "name"]))]
pub struct LocalPolicyTargetReference {
    /// Group.
    pub group: Group,
    /// Kind.
    pub kind: KindName,
    /// Name.
    pub name: ObjectName,
    /// Port of the service by name; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section_name: Option<SectionName>,
}

/// How certificates of backends are checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["hostname"],
    "x-kubernetes-validations" = [rule(
        "(has(self.caCertificateRefs) && self.caCertificateRefs.size() > 0) != has(self.wellKnownCACertificates)",
        "exactly one of caCertificateRefs and wellKnownCACertificates must be set"
    )]
))]
pub struct BackendTlsPolicyValidation {
    /// Objects with the authorities that certificates must come from.
    #[serde(rename = "caCertificateRefs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub ca_certificate_refs: Vec<LocalObjectReference>,
    /// Authorities that need no object: `System`, or a name of the controller's own with a domain in front.
    #[serde(
        rename = "wellKnownCACertificates",
        skip_serializing_if = "Option::is_none"
    )]
    pub well_known_ca_certificates: Option<WellKnownCaCertificates>,
    /// Server name (SNI), and the name that the certificate must have unless `subjectAltNames` are given.
    pub hostname: PreciseHostname,
    /// Names of which the certificate must have one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub subject_alt_names: Vec<SubjectAltName>,
}

/// A name in a certificate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["type"],
    "x-kubernetes-validations" = [
        rule(
            "has(self.hostname) == (self.type == 'Hostname')",
            "hostname must be set with the type Hostname, and with no other"
        ),
        rule("has(self.uri) == (self.type == 'URI')", "uri must be set with the type URI, and with no other")
    ]
))]
pub struct SubjectAltName {
    /// Which of the fields is set.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<SubjectAltNameType>,
    /// A host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// An address, such as a SPIFFE identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<AbsoluteUri>,
}

/// Types of names in certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the variants are the Gateway API's own names")]
pub enum SubjectAltNameType {
    Hostname,
    #[serde(rename = "URI")]
    Uri,
}
