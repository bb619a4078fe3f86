//! Filters that only their own runtime understands: Wasm modules, Lua scripts, and what is discovered (ECDS).

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::ExtensionConfigSource;
use envoy_types::pb::google::protobuf::Any;
use mesh_ir::policy::ExtensionConfig;

use super::border::{At, InvalidResource};
use super::values;

/// Messages that are passed on as they are.
const OPAQUE: [&str; 2] = [
    "envoy.extensions.filters.http.lua.v3.Lua",
    "envoy.extensions.filters.http.wasm.v3.Wasm",
];

/// What Istio's control plane sends to its own build of Envoy, and what changes nothing about traffic: this proxy exchanges metadata,
/// counts, and offers protocols by itself.
const WITHOUT_EFFECT: [&str; 7] = [
    "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
    "envoy.tcp.metadataexchange.config.MetadataExchange",
    "io.istio.http.peer_metadata.Config",
    "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
    "istio.envoy.config.filter.http.alpn.v2.FilterConfig",
    "stats.PluginConfig",
    "envoy.extensions.filters.http.istio_stats.v3.Config",
];

pub(super) enum Config {
    Inline(Any),
    Discovered(Box<ExtensionConfigSource>),
}

pub(super) fn to_proto(value: &ExtensionConfig) -> Config {
    match value {
        ExtensionConfig::Inline { message, value } => Config::Inline(Any {
            type_url: mesh_envoy::type_url(message),
            value: value.to_vec(),
        }),
        ExtensionConfig::Discovered { messages } => {
            Config::Discovered(Box::new(ExtensionConfigSource {
                config_source: values::ads(),
                type_urls: messages
                    .iter()
                    .map(|name| mesh_envoy::type_url(name))
                    .collect(),
                ..ExtensionConfigSource::default()
            }))
        }
    }
}

/// None if the message is none that is passed on.
pub(super) fn from_inline(any: &Any) -> Option<ExtensionConfig> {
    let name = mesh_envoy::type_name(&any.type_url);
    OPAQUE.contains(&name).then(|| ExtensionConfig::Inline {
        message: name.into(),
        value: any.value.as_slice().into(),
    })
}

/// Whether a filter of this message may be left out.
pub(super) fn is_without_effect(any: &Any) -> bool {
    // Istio writes some of them as free objects with the name of the message.
    let url = match mesh_envoy::type_name(&any.type_url) {
        "udpa.type.v1.TypedStruct" | "xds.type.v3.TypedStruct" => typed_struct(&any.value),
        _ => Some(any.type_url.clone()),
    };
    url.is_some_and(|url| WITHOUT_EFFECT.contains(&mesh_envoy::type_name(&url)))
}

/// The type URL of a `TypedStruct`, its first field.
fn typed_struct(value: &[u8]) -> Option<String> {
    #[derive(Clone, PartialEq, prost::Message)]
    struct TypedStruct {
        #[prost(string, tag = "1")]
        type_url: String,
    }
    let found = <TypedStruct as prost::Message>::decode(value).ok()?;
    Some(found.type_url)
}

pub(super) fn from_discovered(
    proto: ExtensionConfigSource,
    at: &At<'_>,
) -> Result<ExtensionConfig, InvalidResource> {
    open!(at, proto => ExtensionConfigSource {
        keep { config_source, type_urls }
        refuse { default_config, apply_default_config_without_warming }
        ignore {}
    });
    values::from_ads(config_source, &at.field("config_source"))?;
    let name = |url: String| -> Arc<str> { mesh_envoy::type_name(&url).into() };
    Ok(ExtensionConfig::Discovered {
        messages: type_urls.into_iter().map(name).collect(),
    })
}
