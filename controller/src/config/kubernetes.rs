//! Watches a cluster: one watcher per kind, each with its own backoff.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, TypeMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use mesh_core::resource::{Kind, Resource, Watch, rows};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::reader::{Read, Reader};
use super::{Event, WatchBackoff};

/// Time before a kind is asked for again that the API server does not know.
const ABSENT: Duration = Duration::from_secs(5);

/// Starts the watchers. They run until the set is dropped.
///
/// A kind that cannot be listed yet (its CRD is missing) counts as empty once the first attempt has failed with a 404, and appears when
/// it can be listed. Other failures are retried with backoff and logged.
/// Gives the kinds, each of which begins with one [`Event::Replace`].
pub fn watch(
    client: &Client,
    reader: &Arc<Reader>,
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
            Watch::OwnNamespace => {
                Api::namespaced_with(client.clone(), reader.namespace(), &resource)
            }
            Watch::Never => continue,
        };
        let types = TypeMeta {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
        };
        let watch = KindWatch {
            kind: row.kind,
            types,
            reader: Arc::clone(reader),
            listed: Vec::new(),
            known_empty: false,
            failing: false,
        };
        tasks.spawn(watch.run(api, events.clone()));
        kinds.insert(row.kind);
    }
    kinds
}

/// The watch of one kind.
struct KindWatch {
    kind: Kind,
    types: TypeMeta,
    reader: Arc<Reader>,
    /// What a list has given so far.
    listed: Vec<Arc<Resource>>,
    /// Whether it was told that there is nothing of the kind.
    known_empty: bool,
    /// Whether the last attempt has failed.
    failing: bool,
}

// === impl KindWatch ===

impl KindWatch {
    async fn run(mut self, api: Api<DynamicObject>, events: mpsc::Sender<Event>) {
        let config = watcher::Config::default();
        let mut stream = pin!(watcher(api, config).backoff(WatchBackoff::default()));
        while let Some(event) = stream.next().await {
            let (event, pause) = match event {
                Ok(event) => (self.take(event), None),
                Err(error) if is_not_found(&error) => (self.absent(), Some(ABSENT)),
                Err(error) => {
                    self.failed(&error);
                    (None, None)
                }
            };
            if let Some(event) = event {
                if std::mem::take(&mut self.failing) {
                    tracing::info!(kind = ?self.kind, "watching the cluster again");
                }
                if events.send(event).await.is_err() {
                    return;
                }
            }
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
        }
    }

    fn take(&mut self, event: watcher::Event<DynamicObject>) -> Option<Event> {
        match event {
            watcher::Event::Init => {
                self.listed.clear();
                self.reader.begin_list(self.kind);
                None
            }
            watcher::Event::InitApply(mut object) => {
                // Kubernetes leaves out in lists what the list itself says.
                object.types.get_or_insert_with(|| self.types.clone());
                if let Read::Resource(resource) = self.reader.read(self.kind, object) {
                    self.listed.push(Arc::new(*resource));
                }
                None
            }
            watcher::Event::InitDone => {
                self.reader.end_list(self.kind);
                Some(Event::Replace(self.kind, std::mem::take(&mut self.listed)))
            }
            watcher::Event::Apply(object) => match self.reader.read(self.kind, object) {
                Read::Resource(resource) => Some(Event::Apply(Arc::new(*resource))),
                Read::Foreign(key, version) => Some(Event::Delete(key, version)),
                Read::Unusable => None,
            },
            watcher::Event::Delete(object) => {
                let (key, version) = self.reader.gone(self.kind, object);
                Some(Event::Delete(key, version))
            }
        }
    }

    /// The API server does not know the kind.
    fn absent(&mut self) -> Option<Event> {
        if std::mem::replace(&mut self.known_empty, true) {
            return None;
        }
        tracing::info!(kind = ?self.kind, "the API server does not know this kind yet; treating it as empty");
        Some(Event::Replace(self.kind, Vec::new()))
    }

    /// Said once for each outage: it is tried again and again.
    fn failed(&mut self, error: &watcher::Error) {
        if !std::mem::replace(&mut self.failing, true) {
            let error = with_causes(error);
            tracing::warn!(kind = ?self.kind, error, "failed to watch the cluster; trying again");
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

fn is_not_found(error: &watcher::Error) -> bool {
    matches!(
        error,
        watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404
    )
}

#[cfg(test)]
mod tests;
