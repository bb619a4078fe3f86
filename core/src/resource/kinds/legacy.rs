//! Istio's first API versions: `config.istio.io`, `authentication.istio.io` and `rbac.istio.io`. Their objects are obeyed as the objects of
//! today's that they are converted to. Their CRDs are installed only when that is asked for.

use serde_json::json;

use super::{Column, Definition, Effect, Row, Scope};
use crate::resource::{Kind, legacy};

const CONFIG: &[&str] = &["config.istio.io/v1alpha2"];
const AUTHENTICATION: &[&str] = &["authentication.istio.io/v1alpha1"];
/// Roles were in the group of everything else at first.
const RBAC: &[&str] = &["rbac.istio.io/v1alpha1", "config.istio.io/v1alpha2"];

/// Groups of the old kinds.
const GROUPS: [&str; 3] = [
    "config.istio.io",
    "authentication.istio.io",
    "rbac.istio.io",
];

pub(super) const ROWS: &[Row] = &[
    row(
        Kind::RouteRule,
        "RouteRule",
        "routerules",
        CONFIG,
        &ROUTE_RULE,
    ),
    row(
        Kind::DestinationPolicy,
        "DestinationPolicy",
        "destinationpolicies",
        CONFIG,
        &DESTINATION_POLICY,
    ),
    row(
        Kind::EgressRule,
        "EgressRule",
        "egressrules",
        CONFIG,
        &EGRESS_RULE,
    ),
    row(
        Kind::AuthenticationPolicy,
        "Policy",
        "policies",
        AUTHENTICATION,
        &PLAIN,
    ),
    Row {
        scope: Scope::Cluster,
        ..row(
            Kind::MeshPolicy,
            "MeshPolicy",
            "meshpolicies",
            AUTHENTICATION,
            &PLAIN,
        )
    },
    row(
        Kind::ServiceRole,
        "ServiceRole",
        "serviceroles",
        RBAC,
        &PLAIN,
    ),
    row(
        Kind::ServiceRoleBinding,
        "ServiceRoleBinding",
        "servicerolebindings",
        RBAC,
        &ROLE_BINDING,
    ),
    row(Kind::RbacConfig, "RbacConfig", "rbacconfigs", RBAC, &MODE),
    Row {
        scope: Scope::Cluster,
        ..row(
            Kind::ClusterRbacConfig,
            "ClusterRbacConfig",
            "clusterrbacconfigs",
            &["rbac.istio.io/v1alpha1"],
            &MODE,
        )
    },
];

const fn row(
    kind: Kind,
    name: &'static str,
    plural: &'static str,
    api_versions: &'static [&'static str],
    definition: &'static Definition,
) -> Row {
    Row {
        writes_status: false,
        effect: Effect::Partly,
        definition: Some(definition),
        compile: |value, _| legacy::compile(value),
        ..Row::without_type(kind, name, plural, api_versions)
    }
}

/// A definition that takes any fields: clients of old never had a schema to keep to.
const fn definition(
    short_names: &'static [&'static str],
    columns: &'static [Column],
) -> Definition {
    Definition {
        short_names,
        categories: &["istio-io"],
        columns,
        schema: |_| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
    }
}

const fn column(
    name: &'static str,
    type_: &'static str,
    path: &'static str,
    description: &'static str,
) -> Column {
    Column {
        name,
        type_,
        path,
        description,
    }
}

const DESTINATION: Column = column(
    "Destination",
    "string",
    ".spec.destination.name",
    "Service that it is for",
);
const PRECEDENCE: Column = column(
    "Precedence",
    "integer",
    ".spec.precedence",
    "Rules of a higher precedence are asked first",
);
const SERVICE: Column = column(
    "Destination",
    "string",
    ".spec.destination.service",
    "Host outside of the mesh",
);
const ROLE: Column = column("Role", "string", ".spec.roleRef.name", "Role that is given");
const RBAC_MODE: Column = column("Mode", "string", ".spec.mode", "For whom roles count");

static ROUTE_RULE: Definition = definition(&[], &[DESTINATION, PRECEDENCE]);
static DESTINATION_POLICY: Definition = definition(&[], &[DESTINATION]);
static EGRESS_RULE: Definition = definition(&[], &[SERVICE]);
static ROLE_BINDING: Definition = definition(&[], &[ROLE]);
static MODE: Definition = definition(&[], &[RBAC_MODE]);
static PLAIN: Definition = definition(&[], &[]);

// === impl Row ===

impl Row {
    /// Whether this is a kind of Istio's first API versions.
    pub fn is_legacy(&self) -> bool {
        GROUPS.contains(&self.group())
    }
}
