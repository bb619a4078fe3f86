//! Whose a Gateway is, by the controller that its GatewayClass names.

use super::Deriver;
use crate::model::gateway_api::GatewaySpec;
use crate::resource::{Kind, Object};

/// The controller of Gateways that the mesh obeys.
pub(crate) const CONTROLLER: &str = "istio.io/gateway-controller";
/// The controller of Gateways that stand for those of other clusters: nothing is made for them.
pub(crate) const REMOTE_CONTROLLER: &str = "istio.io/unmanaged-gateway";
/// The classes that the control plane makes, each with its controller and what it is for.
pub(crate) const CLASSES: [(&str, &str, &str); 2] = [
    ("istio", CONTROLLER, "Gateways of this mesh"),
    (
        "istio-remote",
        REMOTE_CONTROLLER,
        "Gateways of other clusters; nothing is made for them",
    ),
];

/// What the mesh does about a Gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GatewayRole {
    /// It is obeyed.
    Served,
    /// It stands for one of another cluster.
    Remote,
}

/// What the mesh does about a Gateway; none for those of other controllers.
pub(crate) fn role(deriver: &Deriver<'_>, spec: &GatewaySpec) -> Option<GatewayRole> {
    let name = &*spec.gateway_class_name;
    let class = deriver.objects.find(Kind::GatewayClass, "", name);
    let controller = match class.map(|class| &class.object) {
        Some(Object::GatewayClass(class)) => &*class.controller_name,
        // Not made yet, or files without it.
        _ => CLASSES.iter().find(|class| class.0 == name)?.1,
    };
    match controller {
        CONTROLLER => Some(GatewayRole::Served),
        REMOTE_CONTROLLER => Some(GatewayRole::Remote),
        _ => None,
    }
}
