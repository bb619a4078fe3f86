//! The objects of a cluster that the rules look at.

use std::sync::Arc;

use futures::StreamExt as _;
use kube::api::DynamicObject;
use mesh_core::resource::{Kind, Resource, decode_value};
use mesh_core::source::Origin;

use super::Gathered;
use crate::context::{Cluster, Context};
use crate::objects;

/// Kinds that are listed at a time.
const AT_A_TIME: usize = 6;

/// Kinds that no rule looks at in a cluster. Secrets must not be asked for without need.
const LEFT_OUT: [Kind; 4] = [
    Kind::Secret,
    Kind::ConfigMap,
    Kind::Endpoints,
    Kind::ServiceAccount,
];

/// Adds the cluster's objects.
pub async fn gather(context: &Context, gathered: &mut Gathered) -> anyhow::Result<Cluster> {
    let cluster = context.cluster().await?;
    let kinds = Kind::all().filter(|kind| !LEFT_OUT.contains(kind));
    let lists = kinds.map(|kind| {
        let cluster = &cluster;
        async move { (kind, objects::list(cluster, kind).await) }
    });
    let mut lists = futures::stream::iter(lists).buffered(AT_A_TIME);
    while let Some((kind, objects)) = lists.next().await {
        match objects {
            Ok(objects) => objects
                .into_iter()
                .for_each(|object| gathered.add_object(object, &cluster)),
            // The cluster does not have this kind: nothing can be wrong with its objects.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(kube::Error::Api(status)) if status.code == 403 => {
                let reason = &status.message;
                context.printer.warn(&format!(
                    "{} objects are left out of the analysis: {reason}",
                    kind.name()
                ));
            }
            Err(error) => return Err(cluster.explain(error)),
        }
    }
    drop(lists);
    if let Some(object) = mesh_config(&cluster, context.istio_namespace()).await? {
        gathered.add_object(object, &cluster);
    }
    Ok(cluster)
}

/// The ConfigMap with the mesh's settings; of the other ConfigMaps nothing is needed.
async fn mesh_config(cluster: &Cluster, namespace: &str) -> anyhow::Result<Option<DynamicObject>> {
    match objects::get(cluster, Kind::ConfigMap, namespace, "istio").await {
        Ok(found) => Ok(found),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
        Err(error) => Err(cluster.explain(error)),
    }
}

// === impl Gathered ===

impl Gathered {
    fn add_object(&mut self, object: DynamicObject, cluster: &Cluster) {
        let Ok(value) = serde_json::to_value(object) else {
            return;
        };
        let origin = Origin::Cluster {
            context: cluster.name.as_str().into(),
        };
        let (resource, faults): (Option<Resource>, _) = decode_value(value, origin, None);
        self.findings.extend(faults);
        self.resources.extend(resource.map(Arc::new));
    }
}
