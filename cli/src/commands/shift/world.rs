//! The cluster as a snapshot: the kinds that decide about a shift.

use std::sync::Arc;

use futures::StreamExt as _;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, TypeMeta};
use mesh_core::resource::{Kind, Resource, decode_value};
use mesh_core::snapshot::{Snapshot, SnapshotOptions};
use mesh_core::source::Origin;

use crate::context::{Cluster, Context};

/// What is listed. Owners of pods give the names under which proxies count.
const KINDS: [Kind; 10] = [
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
];
/// Versions in which an API server may offer a kind, the newest first.
const OLDER: [&str; 2] = ["v1beta1", "v1alpha3"];
const PAGE: u32 = 500;
const AT_A_TIME: usize = 5;

/// Reads the cluster.
pub async fn load(context: &Context, cluster: &Cluster) -> anyhow::Result<Snapshot> {
    let lists = KINDS.map(|kind| async move { (kind, Box::pin(list(cluster, kind)).await) });
    let mut lists = futures::stream::iter(lists).buffered(AT_A_TIME);
    let mut resources = Vec::new();
    while let Some((kind, objects)) = lists.next().await {
        match objects {
            Ok(objects) => resources.extend(objects),
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

/// Where the objects of a kind are, in an API version.
pub fn resource_of(api_version: &str, kind: Kind) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind.name()))
}

fn is_extra(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Namespace | Kind::Job | Kind::ReplicaSet | Kind::ServiceEntry | Kind::Gateway
    )
}

/// The objects of a kind, in the newest version that the API server offers; none if it does not know the kind.
async fn list(cluster: &Cluster, kind: Kind) -> Result<Vec<Resource>, kube::Error> {
    let newest = kind.api_version();
    let group = newest.split_once('/').map(|(group, _)| group);
    let istio = group.filter(|group| group.ends_with(".istio.io"));
    let older = istio
        .into_iter()
        .flat_map(|group| OLDER.map(|version| format!("{group}/{version}")));
    for api_version in std::iter::once(newest.to_owned()).chain(older) {
        match list_version(cluster, kind, &api_version).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            other => return other,
        }
    }
    Ok(Vec::new())
}

async fn list_version(
    cluster: &Cluster,
    kind: Kind,
    api_version: &str,
) -> Result<Vec<Resource>, kube::Error> {
    let api: Api<DynamicObject> =
        Api::all_with(cluster.client.clone(), &resource_of(api_version, kind));
    let mut params = ListParams::default().limit(PAGE);
    let mut found = Vec::new();
    loop {
        let page = api.list(&params).await?;
        let objects = page.items.into_iter();
        found.extend(objects.filter_map(|object| decode(object, kind, api_version, cluster)));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(found),
        }
    }
}

/// An object that cannot be read is not there for the mesh either.
fn decode(
    mut object: DynamicObject,
    kind: Kind,
    api_version: &str,
    cluster: &Cluster,
) -> Option<Resource> {
    // The items of a list do not say what they are.
    object.types = Some(TypeMeta {
        api_version: api_version.to_owned(),
        kind: kind.name().to_owned(),
    });
    let value = serde_json::to_value(object).ok()?;
    let origin = Origin::Cluster {
        context: cluster.name.as_str().into(),
    };
    decode_value(value, origin, None).0
}

/// The mesh's settings, if they may be read.
async fn mesh_config(context: &Context, cluster: &Cluster) -> anyhow::Result<Option<Resource>> {
    let kind = Kind::ConfigMap;
    let resource = resource_of(kind.api_version(), kind);
    let namespace = context.istio_namespace();
    let api: Api<DynamicObject> =
        Api::namespaced_with(cluster.client.clone(), namespace, &resource);
    match api.get_opt("istio").await {
        Ok(found) => Ok(found.and_then(|object| decode(object, kind, kind.api_version(), cluster))),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
        Err(error) => Err(cluster.explain(error)),
    }
}
