//! The cluster as a snapshot: the kinds that decide about a shift.

use std::sync::Arc;

use futures::StreamExt as _;
use kube::api::DynamicObject;
use mesh_core::resource::{Kind, Resource, decode_value};
use mesh_core::snapshot::{Snapshot, SnapshotOptions};
use mesh_core::source::Origin;

use crate::context::{Cluster, Context};
use crate::objects;

/// What is listed. Owners of pods give the names under which proxies count.
const KINDS: [Kind; 16] = [
    Kind::Namespace,
    Kind::Service,
    Kind::EndpointSlice,
    Kind::Pod,
    Kind::ReplicaSet,
    Kind::Job,
    Kind::ServiceEntry,
    Kind::Gateway,
    Kind::VirtualService,
    Kind::DestinationRule,
    Kind::GatewayClass,
    Kind::KubernetesGateway,
    Kind::HttpRoute,
    Kind::ReferenceGrant,
    Kind::RouteRule,
    Kind::DestinationPolicy,
];
/// Kinds that are listed at a time.
const AT_A_TIME: usize = 5;

/// Reads the cluster.
pub async fn load(context: &Context, cluster: &Cluster) -> anyhow::Result<Snapshot> {
    let lists =
        KINDS.map(|kind| async move { (kind, Box::pin(objects::list(cluster, kind)).await) });
    let mut lists = futures::stream::iter(lists).buffered(AT_A_TIME);
    let mut resources = Vec::new();
    while let Some((kind, objects)) = lists.next().await {
        match objects {
            Ok(objects) => {
                let decoded = objects
                    .into_iter()
                    .filter_map(|object| decode(object, cluster));
                resources.extend(decoded);
            }
            // The cluster does not have this kind.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            // What is not needed for most services may be out of reach.
            Err(kube::Error::Api(status)) if status.code == 403 && is_extra(kind) => {
                context.printer.detail(
                    1,
                    &format!("{} objects are left out: {}", kind.name(), status.message),
                );
            }
            Err(error) => return Err(cluster.explain(error)),
        }
    }
    drop(lists);
    resources.extend(mesh_config(context, cluster).await?);
    let (snapshot, findings) = Snapshot::build(
        resources.into_iter().map(Arc::new).collect(),
        &SnapshotOptions::default(),
    );
    for finding in findings {
        context.printer.detail(1, &finding.message);
    }
    Ok(snapshot)
}

fn is_extra(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Namespace
            | Kind::Job
            | Kind::ReplicaSet
            | Kind::ServiceEntry
            | Kind::Gateway
            | Kind::GatewayClass
            | Kind::KubernetesGateway
            | Kind::HttpRoute
            | Kind::ReferenceGrant
            | Kind::RouteRule
            | Kind::DestinationPolicy
    )
}

/// An object that cannot be read is not there for the mesh either.
fn decode(object: DynamicObject, cluster: &Cluster) -> Option<Resource> {
    let value = serde_json::to_value(object).ok()?;
    let origin = Origin::Cluster {
        context: cluster.name.as_str().into(),
    };
    decode_value(value, origin, None).0
}

/// The mesh's settings, if they may be read.
async fn mesh_config(context: &Context, cluster: &Cluster) -> anyhow::Result<Option<Resource>> {
    let namespace = context.istio_namespace();
    match objects::get(cluster, Kind::ConfigMap, namespace, "istio").await {
        Ok(found) => Ok(found.and_then(|object| decode(object, cluster))),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
        Err(error) => Err(cluster.explain(error)),
    }
}
