//! Clusters.

use bytes::Bytes;
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::TransportSocket;
use envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType;
use mesh_ir::patch::{ClusterPatch, Patch, PatchOperation, PatchSet, PatchTarget};
use mesh_ir::{ClusterName, Direction, names};
use prost::Message;

use super::{adds, context, fits, merge, merge_any, value};
use crate::resource::ResourceType;
use crate::resource::wrap_message;

/// The patches of clusters with where they apply.
fn of(patches: &PatchSet, direction: Direction) -> impl Iterator<Item = (&Patch, &ClusterPatch)> {
    patches
        .of(context(patches, direction))
        .filter_map(|patch| match &patch.target {
            PatchTarget::Cluster(matcher) => Some((patch, matcher)),
            _ => None,
        })
}

pub(super) fn patched(mut cluster: Cluster, patches: &PatchSet) -> Option<Cluster> {
    let name: Option<ClusterName> = cluster.name.parse().ok();
    let inbound = cluster.name == names::INBOUND_PASSTHROUGH;
    let direction = match &name {
        Some(name) => name.direction,
        None if inbound => Direction::Inbound,
        None => Direction::Outbound,
    };
    for (patch, matcher) in of(patches, direction) {
        if !selects(matcher, &cluster, name.as_ref()) {
            continue;
        }
        match patch.operation {
            PatchOperation::Remove => return None,
            PatchOperation::Merge => merge_cluster(&mut cluster, value(patch)),
            _ => {}
        }
    }
    Some(cluster)
}

fn selects(matcher: &ClusterPatch, cluster: &Cluster, parsed: Option<&ClusterName>) -> bool {
    let ClusterPatch {
        name,
        port,
        service,
        subset,
    } = matcher;
    if let Some(name) = name {
        return **name == cluster.name;
    }
    if port.is_none() && service.is_none() && subset.is_none() {
        return true;
    }
    parsed.is_some_and(|parsed| {
        fits(subset.as_deref(), &parsed.subset)
            && port.is_none_or(|port| port == u32::from(parsed.port))
            && service
                .as_deref()
                .is_none_or(|service| is_of(service, parsed, cluster))
    })
}

/// Inbound clusters have no host in their names, but say which services they serve.
fn is_of(service: &str, name: &ClusterName, cluster: &Cluster) -> bool {
    if name.direction == Direction::Outbound {
        return service == &*name.host;
    }
    let services = crate::resource::services_of(cluster.metadata.as_ref());
    services.iter().any(|known| &*known.host == service)
}

/// A transport socket is merged with one of the same name, also among those that endpoints choose from; one of another name takes the place
/// of the one that is there.
fn merge_cluster(cluster: &mut Cluster, mut patch: Cluster) {
    if let Some(socket) = patch.transport_socket.take() {
        let matches = &mut cluster.transport_socket_matches;
        if matches.is_empty() {
            match cluster
                .transport_socket
                .as_mut()
                .filter(|known| known.name == socket.name)
            {
                Some(known) => merge_socket(known, &socket),
                None => cluster.transport_socket = Some(socket),
            }
        } else {
            // Both kinds of sockets at once would not be valid.
            let mut sockets = matches
                .iter_mut()
                .filter_map(|one| one.transport_socket.as_mut());
            if let Some(known) = sockets.find(|known| known.name == socket.name) {
                merge_socket(known, &socket);
            }
        }
    }
    merge(cluster, &patch.encode_to_vec());
}

pub(super) fn merge_socket(socket: &mut TransportSocket, patch: &TransportSocket) {
    let Some(ConfigType::TypedConfig(above)) = &patch.config_type else {
        return;
    };
    match &mut socket.config_type {
        Some(ConfigType::TypedConfig(below)) => merge_any(below, above),
        None => socket.config_type = patch.config_type.clone(),
    }
}

pub(super) fn added(patches: &PatchSet) -> Vec<(String, Bytes)> {
    patches
        .iter()
        .filter(|patch| adds(patch, patches) && adds_one(patch))
        .map(|patch| {
            let cluster: Cluster = value(patch);
            (
                cluster.name.clone(),
                wrap_message(ResourceType::Cluster, &cluster),
            )
        })
        .collect()
}

/// Insertions at a place are additions here.
fn adds_one(patch: &Patch) -> bool {
    matches!(patch.target, PatchTarget::Cluster(_))
        && matches!(
            patch.operation,
            PatchOperation::Add
                | PatchOperation::InsertAfter
                | PatchOperation::InsertBefore
                | PatchOperation::InsertFirst
        )
}
