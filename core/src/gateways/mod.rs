//! What Gateways of the Gateway API run on: for each that brings no pods of its own, a ServiceAccount, a Deployment of the proxy and a
//! Service, under the names, labels and annotations that Istio gives them; and the GatewayClasses that Gateways name.
//!
//! ```text
//! Snapshot (Gateways, listeners) + InjectConfig (image, resources) --managed--> objects for server-side apply
//! ```
//!
//! The objects are owned by their Gateway, so that Kubernetes removes them with it. What somebody else has made under one of the names
//! is told by its labels ([`ManagedObject::may_replace`]).

mod deployment;
mod names;
mod service;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::Serialize;
use serde_json::{Value, json};

pub use crate::snapshot::GATEWAY_LABEL;
pub use names::{MANAGED_LABEL, MANAGED_VALUE};
pub(crate) use names::{account_name, is_deployed, object_name};

use crate::inject::InjectConfig;
use crate::install::{REVISION_LABEL, ResourceType};
use crate::model::gateway_api::{GatewaySpec, Listener};
use crate::resource::Resource;
use crate::snapshot::Snapshot;
use crate::snapshot::derived::Deriver;
use crate::snapshot::derived::classes::CLASSES;
use crate::snapshot::derived::gateway_listeners::in_force;

/// What a Gateway runs on.
#[derive(Clone, Debug, PartialEq)]
pub struct ManagedGateway {
    /// Namespace of the Gateway and of its objects.
    pub namespace: Arc<str>,
    /// Name of the Gateway.
    pub name: Arc<str>,
    /// In the order in which they are to be made.
    pub objects: Vec<ManagedObject>,
}

/// An object that a Gateway runs on.
#[derive(Clone, Debug, PartialEq)]
pub struct ManagedObject {
    /// Its kind.
    pub resource: ResourceType,
    /// Its name.
    pub name: String,
    /// All that is ours of it.
    pub value: Value,
}

/// A Gateway whose objects are made.
struct Source<'a> {
    resource: &'a Resource,
    spec: &'a GatewaySpec,
    /// What it listens for.
    listeners: Vec<&'a Listener>,
    /// Name of its objects.
    object_name: String,
}

/// What the Gateways of a revision run on.
pub fn managed(snapshot: &Snapshot, config: &InjectConfig, revision: &str) -> Vec<ManagedGateway> {
    let deriver = snapshot.deriver();
    let gateways = deriver.served_gateways();
    gateways
        .filter(|(resource, spec)| is_deployed(spec) && is_of_revision(resource, revision))
        .filter_map(|(resource, spec)| {
            let source = Source::of(&deriver, resource, spec)?;
            Some(ManagedGateway {
                namespace: resource.key.namespace.clone(),
                name: resource.key.name.clone(),
                objects: source
                    .account()
                    .into_iter()
                    .chain([
                        deployment::deployment(&source, config),
                        service::service(&source),
                    ])
                    .collect(),
            })
        })
        .collect()
}

/// The GatewayClasses that the control plane makes, by name.
pub fn classes() -> Vec<(&'static str, Value)> {
    let class = |(name, controller, description): (&'static str, &str, &str)| {
        let value = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
            "metadata": {"name": name},
            "spec": {"controllerName": controller, "description": description},
        });
        (name, value)
    };
    CLASSES.map(class).into()
}

/// Whether a service account is that of the pods of a Gateway that the mesh obeys, so that they may have the certificates that it names.
pub fn is_account_of_gateway(snapshot: &Snapshot, namespace: &str, account: &str) -> bool {
    let deriver = snapshot.deriver();
    let mut gateways = deriver.served_gateways();
    gateways.any(|(resource, spec)| {
        *resource.key.namespace == *namespace
            && is_deployed(spec)
            && object_name(resource, spec)
                .is_ok_and(|name| account_name(resource, &name) == account)
    })
}

/// Whether a revision looks after an object: the one that it names, and the default one after those that name none.
fn is_of_revision(resource: &Resource, revision: &str) -> bool {
    let named = resource.meta.labels.get(REVISION_LABEL);
    let named = named.filter(|named| !named.is_empty());
    named.map_or(crate::install::DEFAULT_REVISION, String::as_str) == revision
}

// === impl Source ===

impl<'a> Source<'a> {
    /// None for a Gateway that a cluster does not have, or whose name is too long for what it runs on.
    fn of(
        deriver: &Deriver<'a>,
        resource: &'a Arc<Resource>,
        spec: &'a GatewaySpec,
    ) -> Option<Self> {
        Some(Self {
            listeners: in_force(deriver, resource, spec),
            resource,
            spec,
            object_name: object_name(resource, spec).ok()?,
        })
    }

    /// The service account; none if the Gateway names one that is there.
    fn account(&self) -> Option<ManagedObject> {
        let name = account_name(self.resource, &self.object_name);
        if name != self.object_name {
            return None;
        }
        let metadata = self.metadata(name);
        let resource = ResourceType {
            group: "",
            version: "v1",
            kind: "ServiceAccount",
            plural: "serviceaccounts",
            namespaced: true,
        };
        let account = ServiceAccount {
            metadata,
            ..ServiceAccount::default()
        };
        Some(self.object(resource, &account))
    }

    fn object<T: Serialize + k8s_openapi::Metadata<Ty = ObjectMeta>>(
        &self,
        resource: ResourceType,
        object: &T,
    ) -> ManagedObject {
        ManagedObject {
            resource,
            name: object.metadata().name.clone().unwrap_or_default(),
            // Types of Kubernetes always have a value.
            value: serde_json::to_value(object).unwrap_or_default(),
        }
    }

    /// Metadata of an object of this name.
    fn metadata(&self, name: String) -> ObjectMeta {
        let key = &self.resource.key;
        let mut labels = self.labels();
        labels.extend(names::labels(self.resource, self.spec));
        let uid = self.resource.raw["metadata"]["uid"].as_str();
        ObjectMeta {
            name: Some(name),
            namespace: Some(key.namespace.to_string()),
            labels: Some(labels),
            annotations: Some(self.annotations()).filter(|all| !all.is_empty()),
            owner_references: uid.map(|uid| {
                vec![OwnerReference {
                    api_version: "gateway.networking.k8s.io/v1".into(),
                    kind: "Gateway".into(),
                    name: key.name.to_string(),
                    uid: uid.to_owned(),
                    ..OwnerReference::default()
                }]
            }),
            ..ObjectMeta::default()
        }
    }

    /// The labels that the user wants on each object: those of the infrastructure, else the Gateway's own, as in Istio.
    fn labels(&self) -> BTreeMap<String, String> {
        match &self.spec.infrastructure {
            Some(infrastructure) => texts(&infrastructure.labels),
            None => self.resource.meta.labels.clone(),
        }
    }

    /// The annotations that the user wants on each object.
    fn annotations(&self) -> BTreeMap<String, String> {
        let mut all = match &self.spec.infrastructure {
            Some(infrastructure) => texts(&infrastructure.annotations),
            None => self.resource.meta.annotations.clone(),
        };
        all.retain(|key, _| {
            key != "kubectl.kubernetes.io/last-applied-configuration"
                && !key.starts_with("gateway.istio.io/")
        });
        all
    }

    /// The label by which pods belong to the Gateway.
    fn selector(&self) -> BTreeMap<String, String> {
        let name = self.resource.key.name.to_string();
        [(GATEWAY_LABEL.to_owned(), name)].into()
    }

    /// An annotation for the objects, of the Gateway itself or of its infrastructure.
    fn setting(&self, key: &str) -> Option<&str> {
        let own = self.resource.meta.annotations.get(key);
        let infrastructure = self.spec.infrastructure.as_ref();
        let of_infrastructure = infrastructure.and_then(|all| all.annotations.get(key));
        let of_infrastructure = of_infrastructure.map(|value| &**value);
        of_infrastructure.or(own.map(String::as_str))
    }
}

fn texts<V: std::ops::Deref<Target = str>>(map: &BTreeMap<String, V>) -> BTreeMap<String, String> {
    let all = map.iter();
    all.map(|(key, value)| (key.clone(), value.to_string()))
        .collect()
}

// === impl ManagedObject ===

impl ManagedObject {
    /// Whether an object that is there under the name was made for the same Gateway, so that it may be changed.
    pub fn may_replace(&self, existing: &Value) -> bool {
        let label = |object: &Value, key: &str| {
            let labels = &object["metadata"]["labels"];
            labels[key].as_str().map(str::to_owned)
        };
        label(existing, MANAGED_LABEL).is_some()
            && label(existing, GATEWAY_LABEL) == label(&self.value, GATEWAY_LABEL)
    }
}
