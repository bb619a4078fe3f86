//! GatewayClasses: those of our controllers are accepted.

use std::sync::Arc;

use serde_json::{Value, json};

use super::condition::{Condition, conditions};
use super::generation;
use crate::resource::{Kind, Object, Resource};
use crate::snapshot::derived::Deriver;
use crate::snapshot::derived::classes::{CONTROLLER, REMOTE_CONTROLLER};

pub(super) fn all<'a>(
    deriver: &Deriver<'a>,
) -> impl Iterator<Item = (&'a Arc<Resource>, Value)> + use<'a> {
    let classes = deriver.objects.of(Kind::GatewayClass).iter();
    classes.filter_map(|resource| {
        let Object::GatewayClass(spec) = &resource.object else {
            return None;
        };
        let is_ours = [CONTROLLER, REMOTE_CONTROLLER].contains(&&*spec.controller_name);
        let accepted = match &spec.parameters_ref {
            None => Ok("Handled by the control plane of the mesh"),
            Some(_) => {
                let message = "the controller has no parameters".to_owned();
                Err(("InvalidParameters", message))
            }
        };
        let accepted = [Condition::of("Accepted", accepted)];
        let fields = json!({"conditions": conditions(generation(resource), accepted)});
        is_ours.then_some((resource, fields))
    })
}
