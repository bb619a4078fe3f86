//! Objects of an installation, as the plan holds them: their value with what one must know to apply, list and delete them.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::Value;

use super::revision::{DEFAULT_REVISION, revised};
use super::settings::Settings;
use crate::inject::VERSION;

/// Who the fields of installed objects belong to.
pub const FIELD_MANAGER: &str = "meshctl";

/// Label of everything that an installation makes; its value is the namespace of the control plane. Uninstalling and pruning
/// find objects by it.
pub const OWNER_LABEL: &str = "install.meshctl.io/control-plane";

/// Label that says which of several control planes an object belongs to.
pub const REVISION_LABEL: &str = "istio.io/rev";

/// Every kind that an installation of any version has made, in the order of phases.
pub const KINDS: [ResourceType; 15] = [
    ResourceType::new("", "v1", "Namespace", "namespaces", false),
    ResourceType::new(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        false,
    ),
    ResourceType::new("", "v1", "ServiceAccount", "serviceaccounts", true),
    ResourceType::new(RBAC, "v1", "ClusterRole", "clusterroles", false),
    ResourceType::new(
        RBAC,
        "v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
        false,
    ),
    ResourceType::new(RBAC, "v1", "Role", "roles", true),
    ResourceType::new(RBAC, "v1", "RoleBinding", "rolebindings", true),
    ResourceType::new("", "v1", "ConfigMap", "configmaps", true),
    ResourceType::new("", "v1", "Secret", "secrets", true),
    ResourceType::new("", "v1", "Service", "services", true),
    ResourceType::new("apps", "v1", "Deployment", "deployments", true),
    ResourceType::new(
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        true,
    ),
    ResourceType::new(
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        true,
    ),
    ResourceType::new(
        ADMISSION,
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        false,
    ),
    ResourceType::new(
        ADMISSION,
        "v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        false,
    ),
];

/// Objects that the running control plane makes, which nobody labels: kind and name.
pub const LEFTOVERS: [(&str, &str); 2] = [
    ("Secret", "istio-ca-secret"),
    ("ConfigMap", "istio-ca-root-cert"),
];

const ADMISSION: &str = "admissionregistration.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";

/// A kind of the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceType {
    /// API group; empty for the core.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Name in URLs.
    pub plural: &'static str,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
}

/// When an object is applied. Orders from first to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// The namespace, and the kinds that the others may be of.
    Definitions,
    /// Who may do what.
    Access,
    /// What the programs are configured with.
    Configuration,
    /// Stable addresses.
    Services,
    /// The programs, and what watches over their number.
    Workloads,
    /// What makes the API server call the programs.
    Webhooks,
}

/// The part of the mesh that an object belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Component {
    /// What every installation has.
    Base,
    /// The control plane.
    Istiod,
    /// A gateway for traffic from outside, by its name.
    IngressGateway(String),
    /// A gateway for traffic to the outside, by its name.
    EgressGateway(String),
}

/// One object of an installation.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Its kind.
    pub resource: ResourceType,
    /// The part it belongs to.
    pub component: Component,
    /// When it is applied.
    pub phase: Phase,
    /// The whole object.
    pub value: Value,
}

/// What tells an object from all others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// API group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty for objects of the cluster.
    pub namespace: String,
    /// Name.
    pub name: String,
}

// === impl ResourceType ===

impl ResourceType {
    const fn new(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
        namespaced: bool,
    ) -> Self {
        Self {
            group,
            version,
            kind,
            plural,
            namespaced,
        }
    }

    /// `group/version`, or the version alone in the core.
    pub fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }
}

// === impl Component ===

impl Component {
    /// Value of the label that Istio's tools look for.
    fn label(&self) -> &'static str {
        match self {
            Self::Base => "Base",
            Self::Istiod => "Pilot",
            Self::IngressGateway(_) => "IngressGateways",
            Self::EgressGateway(_) => "EgressGateways",
        }
    }

    /// Name of its Deployment and Service.
    pub(super) fn name(&self, revision: &str) -> String {
        match self {
            Self::Istiod => revised(self.app(), revision),
            _ => self.app().to_owned(),
        }
    }

    /// Value of `app.kubernetes.io/name`.
    pub(super) fn app(&self) -> &str {
        match self {
            Self::Base => "istio-base",
            Self::Istiod => "istiod",
            Self::IngressGateway(name) | Self::EgressGateway(name) => name,
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => f.write_str("Istio core"),
            Self::Istiod => f.write_str("Istiod"),
            Self::IngressGateway(name) => write!(f, "Ingress gateway {name}"),
            Self::EgressGateway(name) => write!(f, "Egress gateway {name}"),
        }
    }
}

// === impl Object ===

impl Object {
    /// Takes a typed object in.
    pub(super) fn new<T>(component: &Component, phase: Phase, object: &T) -> Self
    where
        T: k8s_openapi::Resource + Serialize,
    {
        let resource = KINDS
            .into_iter()
            .find(|known| known.kind == T::KIND && known.group == T::GROUP);
        debug_assert!(resource.is_some(), "{} is not among the kinds", T::KIND);
        Self {
            resource: resource.unwrap_or(KINDS[0]),
            component: component.clone(),
            phase,
            value: without_empty(serde_json::to_value(object).unwrap_or_default()),
        }
    }

    /// The value to apply where the object is there already: what the running control plane has decided stays.
    pub fn over(&self, live: &Value) -> Value {
        super::webhooks::keep_decided(self.value.clone(), live)
    }

    /// Name.
    pub fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Namespace; empty for objects of the cluster.
    pub fn namespace(&self) -> &str {
        self.value["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default()
    }

    /// What tells it from all others.
    pub fn identity(&self) -> Identity {
        Identity {
            group: self.resource.group.to_owned(),
            kind: self.resource.kind.to_owned(),
            namespace: self.namespace().to_owned(),
            name: self.name().to_owned(),
        }
    }
}

/// Empty mappings that types cannot leave out (`status: {}`) would only be noise.
fn without_empty(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.retain(|key, value| key != "status" && !value.is_null());
    }
    value
}

/// Name, namespace and labels of an object.
pub(super) fn metadata(
    component: &Component,
    settings: &Settings,
    namespace: Option<&str>,
    name: &str,
) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(str::to_owned),
        labels: Some(labels(component, &settings.namespace, &settings.revision)),
        ..ObjectMeta::default()
    }
}

/// The labels of every object, for a control plane's namespace and revision.
pub(super) fn labels(
    component: &Component,
    namespace: &str,
    revision: &str,
) -> BTreeMap<String, String> {
    let revision = match component {
        // All revisions share them, and none takes them away with it.
        Component::Base => DEFAULT_REVISION,
        _ => revision,
    };
    [
        ("app.kubernetes.io/instance", "istio"),
        ("app.kubernetes.io/managed-by", FIELD_MANAGER),
        ("app.kubernetes.io/name", component.app()),
        ("app.kubernetes.io/part-of", "istio"),
        ("app.kubernetes.io/version", VERSION),
        (OWNER_LABEL, namespace),
        (REVISION_LABEL, revision),
        ("operator.istio.io/component", component.label()),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

impl fmt::Display for Identity {
    /// `Deployment istio-system/istiod`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}
