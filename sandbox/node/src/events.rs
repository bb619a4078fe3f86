//! Events: what happened to pods, for `kubectl describe` and `kubectl events`.
//!
//! ```text
//! containers -> bounded queue -> one task -> Event objects; what happens again counts up the event there is
//! ```
//!
//! Events are told as well as possible: when the queue is full or the API server does not take one, it is left out.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::container::now;
use crate::controllers::NODE_NAME;

/// Events that wait to be written.
const QUEUE: usize = 256;

/// Events whose count is remembered.
const REMEMBERED: usize = 1024;

/// Where events are told.
#[derive(Clone)]
pub struct Events {
    sender: mpsc::Sender<Event>,
}

/// How an event is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Normal,
    Warning,
}

// === impl Events ===

impl Events {
    /// Starts the task that writes events, until `stop` is cancelled.
    pub fn start(
        client: Client,
        stop: CancellationToken,
        tasks: &tokio_util::task::TaskTracker,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = write(client, receiver) => {}
            }
        });
        Self { sender }
    }

    /// Tells that something happened to a container of a pod.
    pub fn tell(&self, pod: &Pod, container: &str, level: Level, reason: &str, message: &str) {
        // A full queue means that the API server does not keep up; events are the first to do without.
        let _ = self
            .sender
            .try_send(event(pod, container, level, reason, message));
    }
}

fn event(pod: &Pod, container: &str, level: Level, reason: &str, message: &str) -> Event {
    let digest = Sha256::new()
        .chain_update(pod.uid().unwrap_or_default())
        .chain_update(container)
        .chain_update(reason)
        .chain_update(message)
        .finalize();
    let suffix: String = digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let time = Some(Time(now()));
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{suffix}", pod.name_any())),
            namespace: pod.namespace(),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(pod.name_any()),
            namespace: pod.namespace(),
            uid: pod.uid(),
            field_path: Some(format!("spec.containers{{{container}}}")),
            resource_version: None,
        },
        type_: Some(
            match level {
                Level::Normal => "Normal",
                Level::Warning => "Warning",
            }
            .to_owned(),
        ),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        count: Some(1),
        first_timestamp: time.clone(),
        last_timestamp: time,
        source: Some(EventSource {
            component: Some("kubelet".to_owned()),
            host: Some(NODE_NAME.to_owned()),
        }),
        reporting_component: Some("kubelet".to_owned()),
        reporting_instance: Some(NODE_NAME.to_owned()),
        ..Event::default()
    }
}

async fn write(client: Client, mut receiver: mpsc::Receiver<Event>) {
    let mut counts: BTreeMap<(String, String), i32> = BTreeMap::new();
    while let Some(event) = receiver.recv().await {
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let name = event.name_any();
        let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
        if counts.len() >= REMEMBERED {
            counts.clear();
        }
        let count = counts.entry((namespace, name.clone())).or_insert(0);
        *count += 1;
        let outcome = if *count == 1 {
            api.create(&PostParams::default(), &event).await
        } else {
            let again = json!({"count": *count, "lastTimestamp": event.last_timestamp});
            api.patch(&name, &PatchParams::default(), &Patch::Merge(&again))
                .await
        };
        if let Err(error) = outcome {
            tracing::debug!(event = name, %error, "failed to write an event");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_again_is_the_same_event() {
        let pod: Pod = serde_json::from_value(
            json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}}),
        )
        .unwrap();
        let name = |message: &str| event(&pod, "c", Level::Warning, "BackOff", message).name_any();
        assert_eq!(name("a"), name("a"));
        assert_ne!(name("a"), name("b"));
        assert!(name("a").starts_with("p."));
    }
}
