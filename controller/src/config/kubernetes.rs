//! Watches a cluster: one watcher per kind, each with its own backoff.

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt as _;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, TypeMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use mesh_core::diag::Level;
use mesh_core::resource::{self, Kind, Resource, ResourceKey};
use mesh_core::source::Origin;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Event;

/// The kinds that translation reads, with what the API server calls them.
const KINDS: [(Kind, &str, &str, &str, &str); 10] = [
    (Kind::Namespace, "", "v1", "Namespace", "namespaces"),
    (Kind::Node, "", "v1", "Node", "nodes"),
    (Kind::Service, "", "v1", "Service", "services"),
    (Kind::Pod, "", "v1", "Pod", "pods"),
    (
        Kind::EndpointSlice,
        "discovery.k8s.io",
        "v1",
        "EndpointSlice",
        "endpointslices",
    ),
    (Kind::ConfigMap, "", "v1", "ConfigMap", "configmaps"),
    (
        Kind::VirtualService,
        "networking.istio.io",
        "v1",
        "VirtualService",
        "virtualservices",
    ),
    (
        Kind::DestinationRule,
        "networking.istio.io",
        "v1",
        "DestinationRule",
        "destinationrules",
    ),
    (
        Kind::Gateway,
        "networking.istio.io",
        "v1",
        "Gateway",
        "gateways",
    ),
    (
        Kind::ServiceEntry,
        "networking.istio.io",
        "v1",
        "ServiceEntry",
        "serviceentries",
    ),
];

/// Starts the watchers. They run until the set is dropped.
///
/// A kind that cannot be listed yet (its CRD is missing, or the server is away) counts as empty once the first attempt has
/// failed with a 404, and appears when it can be listed. Other failures are retried with backoff and logged.
/// Gives the number of kinds, each of which begins with one [`Event::Replace`].
pub fn watch(
    client: &Client,
    namespace: &str,
    events: &mpsc::Sender<Event>,
    tasks: &mut JoinSet<()>,
) -> usize {
    for (kind, group, version, name, plural) in KINDS {
        let gvk = GroupVersionKind::gvk(group, version, name);
        let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
        // Of ConfigMaps only the mesh's own settings matter.
        let api: Api<DynamicObject> = match kind {
            Kind::ConfigMap => Api::namespaced_with(client.clone(), namespace, &resource),
            _ => Api::all_with(client.clone(), &resource),
        };
        let types = TypeMeta {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
        };
        tasks.spawn(watch_kind(kind, types, api, events.clone()));
    }
    KINDS.len()
}

async fn watch_kind(
    kind: Kind,
    types: TypeMeta,
    api: Api<DynamicObject>,
    events: mpsc::Sender<Event>,
) {
    let mut stream = pin!(watcher(api, watcher::Config::default()).default_backoff());
    let mut listed: Vec<Arc<Resource>> = Vec::new();
    let mut known_empty = false;
    let mut failing = false;
    while let Some(event) = stream.next().await {
        let event = match event {
            Ok(watcher::Event::Init) => {
                listed.clear();
                continue;
            }
            Ok(watcher::Event::InitApply(mut object)) => {
                // Kubernetes leaves out in lists what the list itself says.
                object.types.get_or_insert_with(|| types.clone());
                listed.extend(decode(object).map(Arc::new));
                continue;
            }
            Ok(watcher::Event::InitDone) => Event::Replace(kind, std::mem::take(&mut listed)),
            Ok(watcher::Event::Apply(object)) => match decode(object) {
                Some(resource) => Event::Apply(Arc::new(resource)),
                None => continue,
            },
            Ok(watcher::Event::Delete(object)) => deletion(kind, &object),
            Err(error) if is_not_found(&error) && !known_empty => {
                tracing::info!(
                    ?kind,
                    "the API server does not know this kind yet; treating it as empty"
                );
                known_empty = true;
                Event::Replace(kind, Vec::new())
            }
            Err(error) if is_not_found(&error) => continue,
            Err(error) => {
                // Said once for each outage: it is tried again and again.
                if !std::mem::replace(&mut failing, true) {
                    let error = with_causes(&error);
                    tracing::warn!(?kind, error, "failed to watch the cluster; trying again");
                }
                continue;
            }
        };
        if std::mem::take(&mut failing) {
            tracing::info!(?kind, "watching the cluster again");
        }
        if events.send(event).await.is_err() {
            return;
        }
    }
}

/// An error with what led to it: on its own the outermost one does not say why.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = [text.as_str(), &more].join(": ");
        }
        cause = error.source();
    }
    text
}

fn deletion(kind: Kind, object: &DynamicObject) -> Event {
    let text = |field: &Option<String>| Arc::from(field.as_deref().unwrap_or_default());
    let (namespace, name) = (
        text(&object.metadata.namespace),
        text(&object.metadata.name),
    );
    let version = object.metadata.resource_version.as_deref().map(Arc::from);
    Event::Delete(
        ResourceKey {
            kind,
            namespace,
            name,
        },
        version,
    )
}

fn is_not_found(error: &watcher::Error) -> bool {
    matches!(
        error,
        watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404
    )
}

/// An object that cannot be decoded is logged and left out; its last good version stays in the store.
fn decode(mut object: DynamicObject) -> Option<Resource> {
    object.metadata.managed_fields = None;
    let value = match serde_json::to_value(&object) {
        Ok(value) => value,
        Err(error) => {
            tracing::warn!(%error, "failed to read an object of the cluster");
            return None;
        }
    };
    let origin = Origin::Cluster {
        context: Arc::from(""),
    };
    let (resource, diagnostics) = resource::decode_value(value, origin, None);
    for diagnostic in diagnostics {
        match diagnostic.level {
            Level::Info => {
                tracing::debug!(resource = ?diagnostic.resource, "{}", diagnostic.message)
            }
            Level::Warning | Level::Error => {
                tracing::warn!(resource = ?diagnostic.resource, path = %diagnostic.path, "{}", diagnostic.message);
            }
        }
    }
    resource
}
