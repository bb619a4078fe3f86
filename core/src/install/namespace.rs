//! The namespace of the control plane.

use k8s_openapi::api::core::v1::Namespace;

use super::object::{Component, Object, Phase, metadata};
use super::settings::Settings;

pub(super) fn namespace(settings: &Settings) -> Object {
    let component = Component::Base;
    let namespace = Namespace {
        metadata: metadata(&component, settings, None, &settings.namespace),
        ..Namespace::default()
    };
    Object::new(&component, Phase::Definitions, &namespace)
}
