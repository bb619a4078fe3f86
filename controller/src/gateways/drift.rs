//! Notices when somebody changes or deletes what was made for a Gateway, so that it is made again.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use futures::stream::{BoxStream, SelectAll};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::NamespaceResourceScope;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use mesh_core::gateways::{GATEWAY_LABEL, MANAGED_LABEL, MANAGED_VALUE};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Name;
use crate::config::WatchBackoff;

/// What was made for all Gateways, as it was last seen.
pub(super) struct Drift {
    events: SelectAll<BoxStream<'static, Seen>>,
    known: BTreeMap<(&'static str, Name, String), Value>,
}

/// What a watch has told.
enum Seen {
    /// A list begins: what it does not name is gone, and may have to be made again.
    Listed(&'static str),
    Object(&'static str, Box<ObjectMeta>, Value),
    Gone(&'static str, Box<ObjectMeta>),
    Nothing,
}

// === impl Drift ===

impl Drift {
    /// Watches the objects by their label.
    pub(super) fn watch(client: &Client) -> Self {
        let streams = [
            stream::<Deployment>(client, "Deployment"),
            stream::<Service>(client, "Service"),
            stream::<ServiceAccount>(client, "ServiceAccount"),
        ];
        Self {
            events: streams.into_iter().collect(),
            known: BTreeMap::new(),
        }
    }

    /// The next Gateways that may no longer have what they run on.
    pub(super) async fn next(&mut self) -> Vec<Name> {
        loop {
            let Some(seen) = self.events.next().await else {
                // Watches do not end.
                return std::future::pending().await;
            };
            let drifted = self.take(seen);
            if !drifted.is_empty() {
                return drifted;
            }
        }
    }

    fn take(&mut self, seen: Seen) -> Vec<Name> {
        match seen {
            Seen::Nothing => Vec::new(),
            Seen::Listed(kind) => {
                let of_kind = self.known.keys().filter(|(known, ..)| *known == kind);
                let names = of_kind.map(|(_, name, _)| name.clone()).collect();
                self.known.retain(|(known, ..), _| *known != kind);
                names
            }
            Seen::Gone(kind, metadata) => {
                let Some(key) = key(kind, &metadata) else {
                    return Vec::new();
                };
                self.known.remove(&key);
                vec![key.1]
            }
            Seen::Object(kind, metadata, value) => {
                let Some(key) = key(kind, &metadata) else {
                    return Vec::new();
                };
                let name = key.1.clone();
                let before = self.known.insert(key, value.clone());
                match before {
                    Some(before) if before != value => vec![name],
                    _ => Vec::new(),
                }
            }
        }
    }
}

fn key(kind: &'static str, metadata: &ObjectMeta) -> Option<(&'static str, Name, String)> {
    let gateway = metadata.labels.as_ref()?.get(GATEWAY_LABEL)?;
    let namespace = metadata.namespace.as_deref()?.into();
    Some((
        kind,
        (namespace, gateway.as_str().into()),
        metadata.name.clone()?,
    ))
}

fn stream<K>(client: &Client, kind: &'static str) -> BoxStream<'static, Seen>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Serialize
        + Send
        + 'static,
{
    let api: Api<K> = Api::all(client.clone());
    let config = watcher::Config::default().labels(&format!("{MANAGED_LABEL}={MANAGED_VALUE}"));
    let events = watcher(api, config).backoff(WatchBackoff::default());
    let seen = events.map(move |event| match event {
        Ok(watcher::Event::Init) => Seen::Listed(kind),
        Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
            let metadata = Box::new(object.meta().clone());
            Seen::Object(kind, metadata, wanted(&object))
        }
        Ok(watcher::Event::Delete(object)) => Seen::Gone(kind, Box::new(object.meta().clone())),
        Ok(watcher::Event::InitDone) => Seen::Nothing,
        Err(error) => {
            tracing::debug!(kind, %error, "failed to watch what gateways run on; trying again");
            Seen::Nothing
        }
    });
    seen.boxed()
}

/// What others may have changed of an object: not its status, nor what the API server notes down about versions.
fn wanted<K: Serialize>(object: &K) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        map.remove("status");
    }
    if let Some(metadata) = value["metadata"].as_object_mut() {
        for field in ["resourceVersion", "managedFields", "generation"] {
            metadata.remove(field);
        }
        // Deployments have their revision noted down there.
        metadata.remove("annotations");
    }
    value
}
