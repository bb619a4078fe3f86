//! Gateways, found by the labels of the pods that apply them.

use std::sync::Arc;

use crate::model::GatewaySpec;
use crate::resource::{Object, Resource};

/// A Gateway.
#[derive(Clone, Debug)]
pub struct MeshGateway {
    /// The object.
    pub resource: Arc<Resource>,
    /// Its typed view.
    pub spec: Arc<GatewaySpec>,
    /// `namespace/name`, as VirtualServices refer to it.
    pub name: Arc<str>,
}

impl MeshGateway {
    pub(super) fn new(resource: &Arc<Resource>) -> Option<Self> {
        let Object::Gateway(spec) = &resource.object else {
            return None;
        };
        Some(Self {
            resource: resource.clone(),
            spec: spec.clone(),
            name: [&*resource.key.namespace, &*resource.key.name]
                .join("/")
                .into(),
        })
    }
}
