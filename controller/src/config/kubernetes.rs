//! Watches a cluster: one watcher per kind, each with its own backoff.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, TypeMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use mesh_core::resource::{Kind, Row, Watch, rows};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::installed::{self, Installed};
use super::reader::{Read, Reader};
use super::{Event, Observed, WatchBackoff};

/// Time before a kind is asked for again that the API server does not know.
const ABSENT: Duration = Duration::from_secs(5);

/// Starts the watchers. They run until the set is dropped.
///
/// A kind whose CRD is not installed counts as empty, and is watched from when it is. Failures are retried with backoff and
/// logged. Gives the kinds, each of which begins with one [`Event::Replace`].
pub fn watch(
    client: &Client,
    reader: &Arc<Reader>,
    events: &mpsc::Sender<Event>,
    tasks: &mut JoinSet<()>,
) -> BTreeSet<Kind> {
    let installed = installed::follow(client, tasks);
    let mut kinds = BTreeSet::new();
    for row in rows() {
        let watcher = KindWatcher {
            row,
            client: client.clone(),
            reader: Arc::clone(reader),
            events: events.clone(),
        };
        match row.watch {
            Watch::Always | Watch::Selected(_) => tasks.spawn(async move { watcher.watch().await }),
            Watch::WhenInstalled => tasks.spawn(watcher.watch_while_installed(installed.clone())),
            Watch::Never => continue,
        };
        kinds.insert(row.kind);
    }
    kinds
}

/// Watches one kind, in the version that is served.
struct KindWatcher {
    row: &'static Row,
    client: Client,
    reader: Arc<Reader>,
    events: mpsc::Sender<Event>,
}

// === impl KindWatcher ===

impl KindWatcher {
    /// Watches the kind in the current version, until nobody takes its events.
    async fn watch(&self) {
        self.watch_version(self.row.api_version()).await;
    }

    /// Watches the kind while its CRD is installed, until nobody takes its events.
    async fn watch_while_installed(self, mut installed: watch::Receiver<Installed>) {
        let row = self.row;
        loop {
            let there = installed
                .wait_for(|installed| installed.has(row).is_some())
                .await;
            let Ok(there) = there.map(|installed| installed.has(row) == Some(true)) else {
                return;
            };
            if !there {
                let nothing = Event::Replace(row.kind, Vec::new());
                if self.events.send(nothing).await.is_err() {
                    return;
                }
                let appeared = installed.wait_for(|installed| installed.has(row) == Some(true));
                if appeared.await.is_err() {
                    return;
                }
                tracing::info!(
                    kind = row.name,
                    group = row.group(),
                    "the kind is installed now"
                );
            }
            let api_version = self.served_version().await;
            tokio::select! {
                () = self.watch_version(api_version) => return,
                gone = installed.wait_for(|installed| installed.has(row) == Some(false)) => {
                    if gone.is_err() {
                        return;
                    }
                    tracing::info!(kind = row.name, group = row.group(), "the kind is no longer installed");
                }
            }
        }
    }

    /// The newest version that we know and the API server serves; the current one when it cannot say.
    async fn served_version(&self) -> &'static str {
        for api_version in self.row.api_versions {
            match self.client.list_api_group_resources(api_version).await {
                Ok(list) if list.resources.iter().any(|one| one.name == self.row.plural) => {
                    return api_version;
                }
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(_) => break,
            }
        }
        self.row.api_version()
    }

    async fn watch_version(&self, api_version: &str) {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let gvk = GroupVersionKind::gvk(group, version, self.row.name);
        let resource = ApiResource::from_gvk_with_plural(&gvk, self.row.plural);
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let types = TypeMeta {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
        };
        let selected = match self.row.watch {
            Watch::Selected(fields) => watcher::Config::default().fields(fields),
            _ => watcher::Config::default(),
        };
        let watch = KindWatch {
            kind: self.row.kind,
            types,
            reader: Arc::clone(&self.reader),
            listed: Vec::new(),
            known_empty: false,
            failing: false,
        };
        watch.run(api, selected, self.events.clone()).await;
    }
}

/// The watch of one kind in one version.
struct KindWatch {
    kind: Kind,
    types: TypeMeta,
    reader: Arc<Reader>,
    /// What a list has given so far.
    listed: Vec<Observed>,
    /// Whether it was told that there is nothing of the kind.
    known_empty: bool,
    /// Whether the last attempt has failed.
    failing: bool,
}

// === impl KindWatch ===

impl KindWatch {
    async fn run(
        mut self,
        api: Api<DynamicObject>,
        config: watcher::Config,
        events: mpsc::Sender<Event>,
    ) {
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
                    self.listed.push((*resource).into());
                }
                None
            }
            watcher::Event::InitDone => {
                self.reader.end_list(self.kind);
                Some(Event::Replace(self.kind, std::mem::take(&mut self.listed)))
            }
            watcher::Event::Apply(object) => match self.reader.read(self.kind, object) {
                Read::Resource(resource) => Some(Event::Apply((*resource).into())),
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
