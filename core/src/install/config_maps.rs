//! The ConfigMaps that the programs are configured with: `istio` (the mesh's settings) and `istio-sidecar-injector`.

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

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
    let injector = [
        ("config", to_yaml(&injector)),
        ("values", values(settings).to_string()),
    ];
    [
        config_map(settings, MESH_CONFIG_MAP, [("mesh", mesh)]),
        config_map(settings, INJECTOR_CONFIG_MAP, injector),
    ]
}

/// The values of Istio's chart that `istioctl analyze` reads: the images of pods (IST0158), and whether namespaces without a label are
/// injected, which they never are (IST0102).
fn values(settings: &Settings) -> Value {
    let values = &settings.inject.injector.values;
    json!({
        "global": {
            "hub": values.hub,
            "tag": values.tag,
            "istioNamespace": settings.namespace,
            "proxy": { "image": values.image },
            "proxy_init": { "image": values.image },
        },
        "revision": settings.revision,
        "sidecarInjectorWebhook": { "enableNamespacesByDefault": false },
    })
}

fn config_map<const N: usize>(
    settings: &Settings,
    name: &str,
    data: [(&str, String); N],
) -> Object {
    let component = Component::Istiod;
    let own = &settings.namespace;
    let config_map = ConfigMap {
        metadata: metadata(
            &component,
            settings,
            Some(own),
            &revised(name, &settings.revision),
        ),
        data: Some(data.map(|(key, text)| (key.to_owned(), text)).into()),
        ..ConfigMap::default()
    };
    Object::new(&component, Phase::Configuration, &config_map)
}
