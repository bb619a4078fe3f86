//! Patches of encoded resources (`EnvoyFilter`): the last thing that happens to a resource before it is sent.
//!
//! ```text
//! value --resource--> message --patches of its context, in their order--> message, or nothing --> Entry
//! ```
//!
//! Within one resource, patches of outer parts come before those of inner ones: listener, listener filters, chains, network filters, HTTP
//! filters; route table, virtual hosts, routes. What is merged comes after what is inserted and removed. Those are Istio's rules, so that
//! patches that were written for it do the same here.

mod cluster;
mod listener;
mod lists;
mod route;

use bytes::Bytes;
use mesh_ir::patch::{Patch, PatchContext, PatchSet, PatchTarget};
use mesh_ir::{Direction, ProxyKind};
use prost::{Message, Name};

use crate::discovery::Any;
use crate::resource::ResourceType;

/// Patches an encoded resource; none if they remove it. What cannot be read is left as it is.
pub(crate) fn patched(
    kind: ResourceType,
    name: &str,
    any: &Bytes,
    patches: &PatchSet,
) -> Option<Bytes> {
    match kind {
        ResourceType::Cluster => patch(any, |message| cluster::patched(message, patches)),
        ResourceType::Listener => patch(any, |message| listener::patched(message, patches)),
        ResourceType::Route => patch(any, |message| route::patched(message, patches)),
        ResourceType::VirtualHost => {
            patch(any, |message| route::patched_host(name, message, patches))
        }
        ResourceType::Endpoints | ResourceType::Secret | ResourceType::NameTable => {
            Some(any.clone())
        }
    }
}

/// Resources that patches add, by name.
pub(crate) fn added(kind: ResourceType, patches: &PatchSet) -> Vec<(String, Bytes)> {
    match kind {
        ResourceType::Cluster => cluster::added(patches),
        ResourceType::Listener => listener::added(patches),
        _ => Vec::new(),
    }
}

/// Whether patches may concern resources of a type.
pub(crate) fn concerns(kind: ResourceType, patches: &PatchSet) -> bool {
    patches.iter().any(|patch| match (&patch.target, kind) {
        (PatchTarget::Cluster(_), ResourceType::Cluster) => true,
        (
            PatchTarget::Listener(_)
            | PatchTarget::FilterChain(_)
            | PatchTarget::ListenerFilter(_)
            | PatchTarget::NetworkFilter(_)
            | PatchTarget::HttpFilter(_),
            ResourceType::Listener,
        ) => true,
        // Listeners may have route tables in them.
        (
            PatchTarget::RouteConfiguration(_)
            | PatchTarget::VirtualHost(_)
            | PatchTarget::HttpRoute(_),
            ResourceType::Listener | ResourceType::Route | ResourceType::VirtualHost,
        ) => true,
        _ => false,
    })
}

/// The very same bytes where nothing changes: maps have no order, so that others would not tell.
fn patch<T: Message + Default + Clone + PartialEq>(
    any: &Bytes,
    change: impl FnOnce(T) -> Option<T>,
) -> Option<Bytes> {
    let Ok(Any { type_url, value }) = Any::decode(any.clone()) else {
        return Some(any.clone());
    };
    let Ok(message) = T::decode(value) else {
        return Some(any.clone());
    };
    let changed = change(message.clone())?;
    if changed == message {
        return Some(any.clone());
    }
    let value = changed.encode_to_vec().into();
    Some(Any { type_url, value }.encode_to_vec().into())
}

/// The context of a sidecar's resource, or that of a gateway's.
fn context(patches: &PatchSet, direction: Direction) -> PatchContext {
    match (patches.kind(), direction) {
        (ProxyKind::Gateway, _) => PatchContext::Gateway,
        (ProxyKind::Sidecar, Direction::Inbound) => PatchContext::SidecarInbound,
        (ProxyKind::Sidecar, Direction::Outbound) => PatchContext::SidecarOutbound,
    }
}

/// Whether a patch that adds a whole resource adds it to this kind of proxy. What is for any context is added once.
fn adds(patch: &Patch, patches: &PatchSet) -> bool {
    match (patches.kind(), patch.context) {
        (_, None) => true,
        (ProxyKind::Gateway, Some(context)) => context == PatchContext::Gateway,
        (ProxyKind::Sidecar, Some(context)) => context != PatchContext::Gateway,
    }
}

/// The message of a patch; the default if it is none, which is checked where patches are made.
fn value<T: Message + Default>(patch: &Patch) -> T {
    T::decode(&*patch.value).unwrap_or_default()
}

/// Lays a patch over a message.
fn merge<T: Message + Name + Default>(message: &mut T, patch: &[u8]) {
    let below = message.encode_to_vec().into();
    let merged = mesh_envoy::merge(&T::full_name(), &below, &Bytes::copy_from_slice(patch));
    if let Some(merged) = merged.ok().and_then(|merged| T::decode(merged).ok()) {
        *message = merged;
    }
}

/// Lays the configuration of an extension over another one of the same type. One of another type stays as it is: what is merged with it
/// would mean something else there.
fn merge_any(
    message: &mut envoy_types::pb::google::protobuf::Any,
    patch: &envoy_types::pb::google::protobuf::Any,
) {
    let name = mesh_envoy::type_name(&message.type_url);
    if name != mesh_envoy::type_name(&patch.type_url) {
        return;
    }
    let (below, above) = (message.value.clone().into(), patch.value.clone().into());
    if let Ok(merged) = mesh_envoy::merge(name, &below, &above) {
        message.value = merged.into();
    }
}

/// Whether what is said is so; what is not said is.
fn fits(wanted: Option<&str>, found: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == found)
}

#[cfg(test)]
mod tests;
