//! Gateways, found by the labels of the pods that apply them.

use std::sync::Arc;

use crate::model::GatewaySpec;
use crate::resource::{Object, Resource};
use crate::source::Origin;

/// A Gateway.
#[derive(Clone, Debug)]
pub struct MeshGateway {
    /// The object.
    pub resource: Arc<Resource>,
    /// Its typed view.
    pub spec: Arc<GatewaySpec>,
    /// `namespace/name`, as VirtualServices refer to it.
    pub name: Arc<str>,
    /// The only namespace whose pods apply it; none for all.
    namespace: Option<Arc<str>>,
}

impl MeshGateway {
    pub(super) fn new(resource: &Arc<Resource>) -> Option<Self> {
        let Object::Gateway(spec) = &resource.object else {
            return None;
        };
        let namespace = match &resource.origin {
            Origin::Derived(derivation) => derivation.pods_of.clone(),
            _ => None,
        };
        Some(Self {
            namespace,
            resource: resource.clone(),
            spec: spec.clone(),
            name: [&*resource.key.namespace, &*resource.key.name]
                .join("/")
                .into(),
        })
    }

    /// Whether it is one of the Gateway API's with pods of its own.
    pub(crate) fn has_own_pods(&self) -> bool {
        self.namespace.is_some()
    }

    /// Whether gateways of a namespace may apply it.
    pub(super) fn is_for(&self, namespace: &str) -> bool {
        self.namespace
            .as_deref()
            .is_none_or(|only| only == namespace)
    }
}
