//! Which kinds the cluster has: its CRDs, followed by a watch of their metadata.

use std::collections::BTreeSet;
use std::pin::pin;

use futures::StreamExt as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use mesh_core::resource::Row;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::WatchBackoff;

/// What is known about the cluster's CRDs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Installed {
    /// They have not been listed yet.
    #[default]
    Unknown,
    /// Their names, such as `virtualservices.networking.istio.io`.
    Names(BTreeSet<String>),
    /// They may not be listed: each kind has to be tried.
    Hidden,
}

// === impl Installed ===

impl Installed {
    /// Whether objects of the kind can be listed; none while that is not known.
    pub(super) fn has(&self, row: &Row) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Names(names) => Some(names.contains(&definition_name(row))),
            Self::Hidden => Some(true),
        }
    }
}

fn definition_name(row: &Row) -> String {
    [row.plural, row.group()].join(".")
}

/// Follows the cluster's CRDs until the set is dropped.
pub(super) fn follow(client: &Client, tasks: &mut JoinSet<()>) -> watch::Receiver<Installed> {
    let (sender, receiver) = watch::channel(Installed::Unknown);
    let api: Api<PartialObjectMeta<CustomResourceDefinition>> = Api::all(client.clone());
    tasks.spawn(async move {
        let stream = watcher(api, watcher::Config::default()).backoff(WatchBackoff::default());
        let mut stream = pin!(stream);
        let mut listed = BTreeSet::new();
        while let Some(event) = stream.next().await {
            match event {
                Ok(watcher::Event::Init) => listed.clear(),
                Ok(watcher::Event::InitApply(definition)) => {
                    listed.insert(definition.name_any());
                }
                Ok(watcher::Event::InitDone) => {
                    sender.send_replace(Installed::Names(std::mem::take(&mut listed)));
                }
                Ok(watcher::Event::Apply(definition)) => {
                    change(&sender, |names| names.insert(definition.name_any()));
                }
                Ok(watcher::Event::Delete(definition)) => {
                    change(&sender, |names| names.remove(&definition.name_any()));
                }
                Err(error) => {
                    // What is installed stays known while the API server is away.
                    let unknown = *sender.borrow() == Installed::Unknown;
                    if unknown && is_refused(&error) {
                        tracing::warn!(
                            "the cluster's CRDs may not be listed; each kind is tried instead"
                        );
                        sender.send_replace(Installed::Hidden);
                    }
                }
            }
        }
    });
    receiver
}

fn change(sender: &watch::Sender<Installed>, edit: impl FnOnce(&mut BTreeSet<String>) -> bool) {
    sender.send_if_modified(|installed| match installed {
        Installed::Names(names) => edit(names),
        Installed::Unknown | Installed::Hidden => false,
    });
}

/// Whether the API server answers that this client may not list them, or that it has no such thing.
fn is_refused(error: &watcher::Error) -> bool {
    matches!(
        error,
        watcher::Error::InitialListFailed(kube::Error::Api(status))
            if [401, 403, 404].contains(&status.code)
    )
}
