//! The objects of a cluster that the rules look at.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt as _;
use kube::api::DynamicObject;
use mesh_core::install::{REVISION_LABEL, revised};
use mesh_core::resource::{Kind, Object, Resource, decode_value};
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
                gathered.unseen.insert(kind);
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
    let names = std::iter::once("istio".to_owned()).chain(injectors(gathered));
    for name in names.collect::<Vec<_>>() {
        let namespace = context.istio_namespace();
        if let Some(object) = one(&cluster, Kind::ConfigMap, namespace, &name, gathered).await? {
            gathered.add_object(object, &cluster);
        }
    }
    for (namespace, name) in gateway_secrets(gathered) {
        if let Some(object) = one(&cluster, Kind::Secret, &namespace, &name, gathered).await? {
            gathered.add_object(object, &cluster);
        }
    }
    Ok(cluster)
}

/// Names of the ConfigMaps of the injectors that namespaces ask for: by a revision, or by a tag, whose webhooks name the revision.
fn injectors(gathered: &Gathered) -> BTreeSet<String> {
    let naming = [Kind::Namespace, Kind::MutatingWebhookConfiguration];
    let objects = gathered.resources.iter();
    let objects = objects.filter(|resource| naming.contains(&resource.key.kind));
    let revisions = objects.filter_map(|it| it.meta.labels.get(REVISION_LABEL));
    let named = revisions.map(|revision| revised("istio-sidecar-injector", revision));
    std::iter::once("istio-sidecar-injector".to_owned())
        .chain(named)
        .collect()
}

/// The Secrets that Gateways name, in the namespaces of the pods that they select. No others are asked for.
fn gateway_secrets(gathered: &Gathered) -> BTreeSet<(String, String)> {
    let pods = gathered.resources.iter();
    let pods: Vec<_> = pods.filter(|it| it.key.kind == Kind::Pod).collect();
    let mut secrets = BTreeSet::new();
    for resource in &gathered.resources {
        let Object::Gateway(gateway) = &resource.object else {
            continue;
        };
        let tls = gateway.servers.iter().filter_map(|it| it.tls.as_ref());
        let names: BTreeSet<&String> = tls
            .flat_map(|tls| tls.credential_name.iter().chain(&tls.credential_names))
            .filter(|name| !name.is_empty())
            .collect();
        if names.is_empty() {
            continue;
        }
        let selected = |pod: &&&Arc<Resource>| {
            let mut wanted = gateway.selector.iter();
            wanted.all(|(key, value)| pod.meta.labels.get(key) == Some(value))
        };
        let namespaces: BTreeSet<&str> = pods
            .iter()
            .filter(selected)
            .map(|pod| &*pod.key.namespace)
            .collect();
        for name in names {
            match name.split_once('/') {
                Some((namespace, name)) => {
                    secrets.insert((namespace.to_owned(), name.to_owned()));
                }
                None => secrets.extend(
                    namespaces
                        .iter()
                        .map(|namespace| ((*namespace).to_owned(), name.clone())),
                ),
            }
        }
    }
    secrets
}

/// One object, if it is there. Where it may not be read, its kind counts as not seen.
async fn one(
    cluster: &Cluster,
    kind: Kind,
    namespace: &str,
    name: &str,
    gathered: &mut Gathered,
) -> anyhow::Result<Option<DynamicObject>> {
    match objects::get(cluster, kind, namespace, name).await {
        Ok(found) => Ok(found),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            gathered.unseen.insert(kind);
            Ok(None)
        }
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
