//! Watches a cluster: one watcher per kind, each with its own backoff.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt as _;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, TypeMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use mesh_core::diag::{Diagnostic, Level};
use mesh_core::resource::{self, Kind, Resource, ResourceKey, Watch, rows};
use mesh_core::source::Origin;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Event, WatchBackoff};

/// Starts the watchers. They run until the set is dropped.
///
/// A kind that cannot be listed yet (its CRD is missing, or the server is away) counts as empty once the first attempt has
/// failed with a 404, and appears when it can be listed. Other failures are retried with backoff and logged.
/// Gives the kinds, each of which begins with one [`Event::Replace`].
pub fn watch(
    client: &Client,
    namespace: &str,
    events: &mpsc::Sender<Event>,
    tasks: &mut JoinSet<()>,
) -> BTreeSet<Kind> {
    let mut kinds = BTreeSet::new();
    for row in rows() {
        let (group, version) = row
            .api_version()
            .split_once('/')
            .unwrap_or(("", row.api_version()));
        let gvk = GroupVersionKind::gvk(group, version, row.name);
        let resource = ApiResource::from_gvk_with_plural(&gvk, row.plural);
        let api: Api<DynamicObject> = match row.watch {
            Watch::Always | Watch::WhenInstalled => Api::all_with(client.clone(), &resource),
            // Of ConfigMaps only the mesh's own settings matter.
            Watch::OwnNamespace => Api::namespaced_with(client.clone(), namespace, &resource),
            Watch::Never => continue,
        };
        let types = TypeMeta {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
        };
        tasks.spawn(watch_kind(row.kind, types, api, events.clone()));
        kinds.insert(row.kind);
    }
    kinds
}

async fn watch_kind(
    kind: Kind,
    types: TypeMeta,
    api: Api<DynamicObject>,
    events: mpsc::Sender<Event>,
) {
    let mut stream =
        pin!(watcher(api, watcher::Config::default()).backoff(WatchBackoff::default()));
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
    let own = resource.iter().flat_map(|resource| &resource.findings);
    for diagnostic in diagnostics.iter().chain(own) {
        let Diagnostic {
            code,
            level,
            resource,
            message,
            ..
        } = diagnostic;
        let resource = resource
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        match level {
            Level::Info => tracing::debug!(code, resource, "{message}"),
            Level::Warning | Level::Error => tracing::warn!(code, resource, "{message}"),
        }
    }
    resource.filter(|resource| !resource.malformed)
}

#[cfg(test)]
mod tests;
