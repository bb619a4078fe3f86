//! Objects of Istio's first API versions as objects of today's.
//!
//! ```text
//! RouteRule, DestinationPolicy ----------> VirtualService, DestinationRule
//! EgressRule ----------------------------> ServiceEntry (and a DestinationRule where TLS was originated)
//! Policy, MeshPolicy --------------------> PeerAuthentication, RequestAuthentication, AuthorizationPolicy
//! ServiceRole, ServiceRoleBinding, -
//! RbacConfig, ClusterRbacConfig ---------> AuthorizationPolicy
//! kinds of Mixer ------------------------> nothing, and what replaces them is said
//! ```
//!
//! Several old objects may become one: all RouteRules of a host are one VirtualService, in the order of their precedence. Each field is read
//! by name ([`fields::Fields`]); what nobody has read when an object is done is reported as lost, so that nothing is lost unsaid.

mod fields;
mod services;

mod route_match;
mod route_rule;

mod destination_policy;
mod egress_rule;
mod routing;

mod authentication;
mod rbac;
mod rbac_scope;

mod mixer;

mod text;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::diag::{FieldPath, Level};

pub use services::Services;
pub use text::{ConvertedText, Input, NotedText, convert_texts};

/// A kind of the first API versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the variants are Istio's own names")]
pub enum LegacyKind {
    RouteRule,
    DestinationPolicy,
    EgressRule,
    Policy,
    MeshPolicy,
    ServiceRole,
    ServiceRoleBinding,
    RbacConfig,
    ClusterRbacConfig,
    /// Any kind of Mixer's.
    Mixer,
}

/// An object of an old kind.
#[derive(Clone, Debug)]
pub struct Legacy {
    /// Kind.
    pub kind: LegacyKind,
    /// Namespace that it lives in; that of the control plane for kinds of the whole mesh.
    pub namespace: Arc<str>,
    /// The object.
    pub value: Arc<Value>,
}

/// What is known beside the objects.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The Services: selectors and ports that policies for a service are about.
    pub services: Services,
    /// Namespace of the control plane.
    pub root_namespace: Arc<str>,
    /// Domain of the cluster's services.
    pub domain: Arc<str>,
    /// What ends the names of new objects, so that they are nobody else's.
    pub suffix: &'static str,
    /// Whether roles count although nothing says that authorization is on, as in a file that has only a part of a configuration.
    pub assumes_authorization: bool,
}

/// An object of today's.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    /// The object.
    pub value: Value,
    /// The old objects that it comes from, by their position; never empty.
    pub sources: Vec<usize>,
}

/// Something that is wrong with an old object, or that does not live on.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// The old object, by its position.
    pub source: usize,
    /// Its field; empty for the whole object.
    pub path: FieldPath,
    /// An error is wrong in itself, a warning is lost, an info is said in another way today.
    pub level: Level,
    /// What, as a sentence without a final period.
    pub message: String,
}

/// The old kind of an API version and name; none for all others.
pub fn legacy_kind(api_version: &str, kind: &str) -> Option<LegacyKind> {
    let known = match api_version {
        "config.istio.io/v1alpha2" => match kind {
            "RouteRule" => LegacyKind::RouteRule,
            "DestinationPolicy" => LegacyKind::DestinationPolicy,
            "EgressRule" => LegacyKind::EgressRule,
            "ServiceRole" => LegacyKind::ServiceRole,
            "ServiceRoleBinding" => LegacyKind::ServiceRoleBinding,
            "RbacConfig" => LegacyKind::RbacConfig,
            _ => LegacyKind::Mixer,
        },
        "authentication.istio.io/v1alpha1" => match kind {
            "Policy" => LegacyKind::Policy,
            "MeshPolicy" => LegacyKind::MeshPolicy,
            _ => return None,
        },
        "rbac.istio.io/v1alpha1" => match kind {
            "ServiceRole" => LegacyKind::ServiceRole,
            "ServiceRoleBinding" => LegacyKind::ServiceRoleBinding,
            "RbacConfig" => LegacyKind::RbacConfig,
            "ClusterRbacConfig" => LegacyKind::ClusterRbacConfig,
            _ => return None,
        },
        _ => return None,
    };
    Some(known)
}

/// Converts objects, in an order in which each new object stands where the first of its sources did.
pub fn convert(objects: &[Legacy], around: &Surroundings) -> (Vec<Converted>, Vec<Note>) {
    let notes = fields::Notes::default();
    let converter = Converter {
        objects,
        around,
        notes: &notes,
    };
    let mut converted = routing::convert(&converter);
    converted.extend(egress_rule::convert(&converter));
    converted.extend(authentication::convert(&converter));
    converted.extend(rbac::convert(&converter));
    mixer::note(&converter);
    converted.sort_by_key(|converted| converted.sources.iter().min().copied());
    let mut notes = notes.into_all();
    notes.sort_by_key(|note| note.source);
    (converted, notes)
}

/// What the conversions of all kinds work on.
struct Converter<'a> {
    objects: &'a [Legacy],
    around: &'a Surroundings,
    notes: &'a fields::Notes,
}

/// An old object that is being converted.
#[derive(Clone, Copy)]
struct Source<'a> {
    position: usize,
    legacy: &'a Legacy,
}

// === impl Converter ===

impl<'a> Converter<'a> {
    /// The objects of a kind with their specs.
    fn of(&self, kind: LegacyKind) -> impl Iterator<Item = (Source<'a>, fields::Fields<'a>)> {
        let objects = self.objects.iter().enumerate();
        objects
            .filter(move |(_, legacy)| legacy.kind == kind)
            .map(|(position, legacy)| {
                let source = Source { position, legacy };
                (
                    source,
                    fields::Fields::spec(&legacy.value, position, self.notes),
                )
            })
    }

    /// A new object, with the labels and annotations of an old one.
    fn object(
        &self,
        (api_version, kind): (&str, &str),
        (source, name): (Source<'_>, &str),
        spec: Value,
    ) -> Value {
        let mut metadata = Map::new();
        let name = format!("{name}{}", self.around.suffix);
        metadata.insert("name".into(), name.into());
        let old = source.legacy.value.get("metadata");
        let is_mesh_wide = source.legacy.kind == LegacyKind::MeshPolicy
            || source.legacy.kind == LegacyKind::ClusterRbacConfig;
        if is_mesh_wide || old.and_then(|old| old.get("namespace")).is_some() {
            metadata.insert("namespace".into(), (*source.legacy.namespace).into());
        }
        for key in ["labels", "annotations"] {
            if let Some(Value::Object(map)) = old.and_then(|old| old.get(key)) {
                let mut map = map.clone();
                // It has the old object.
                map.shift_remove("kubectl.kubernetes.io/last-applied-configuration");
                if !map.is_empty() {
                    metadata.insert(key.into(), map.into());
                }
            }
        }
        json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec})
    }
}

// === impl Source ===

impl Source<'_> {
    fn name(&self) -> &str {
        let name = self.legacy.value.pointer("/metadata/name");
        name.and_then(Value::as_str).unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        &self.legacy.namespace
    }
}

#[cfg(test)]
mod tests;
