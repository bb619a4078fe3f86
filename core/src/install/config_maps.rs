//! The ConfigMaps that the programs are configured with: `istio` (the mesh's settings) and `istio-sidecar-injector`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;

use super::object::{Component, Object, Phase, metadata};
use super::revision::revised;
use super::settings::Settings;
use crate::yaml::to_yaml;

/// ConfigMap of the mesh's settings.
pub const MESH_CONFIG_MAP: &str = "istio";
/// ConfigMap of the injector's settings.
pub const INJECTOR_CONFIG_MAP: &str = "istio-sidecar-injector";

pub(super) fn objects(settings: &Settings) -> [Object; 2] {
    let mesh = to_yaml(&Value::Object(settings.mesh.clone()));
    let injector = serde_json::to_value(&settings.inject.injector).unwrap_or_default();
    [
        config_map(settings, MESH_CONFIG_MAP, "mesh", mesh),
        config_map(settings, INJECTOR_CONFIG_MAP, "config", to_yaml(&injector)),
    ]
}

fn config_map(settings: &Settings, name: &str, key: &str, text: String) -> Object {
    let component = Component::Istiod;
    let own = &settings.namespace;
    let config_map = ConfigMap {
        metadata: metadata(
            &component,
            settings,
            Some(own),
            &revised(name, &settings.revision),
        ),
        data: Some(BTreeMap::from([(key.to_owned(), text)])),
        ..ConfigMap::default()
    };
    Object::new(&component, Phase::Configuration, &config_map)
}
