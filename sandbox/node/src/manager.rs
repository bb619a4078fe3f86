//! The manager: a task for every pod that is bound to the node, and its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::context::NodeContext;
use super::pod::{self, Signals};
use crate::controllers::NODE_NAME;

/// How long pods get when the whole node ends.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// A pod's task and what it listens to.
struct Managed {
    object: watch::Sender<Arc<Pod>>,
    deadline: watch::Sender<Option<Instant>>,
    task: JoinHandle<()>,
}

/// Runs the node's pods until `stop` is cancelled; at return no process of theirs is left.
pub async fn run(node: Arc<NodeContext>, stop: CancellationToken) {
    let mut changes = node.caches.changes();
    let mut managed: BTreeMap<String, Managed> = BTreeMap::new();
    while !stop.is_cancelled() {
        if node.caches.are_synced() {
            pass(&node, &mut managed);
        }
        tokio::select! {
            () = stop.cancelled() => break,
            _ = changes.changed() => {}
            // Ended tasks are collected even when nothing else happens.
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
    let until = Instant::now() + SHUTDOWN_GRACE;
    for one in managed.values() {
        one.deadline.send_replace(Some(until));
    }
    for one in managed.into_values() {
        let _ = one.task.await;
    }
}

fn pass(node: &Arc<NodeContext>, managed: &mut BTreeMap<String, Managed>) {
    let pods: BTreeMap<String, Arc<Pod>> = node
        .caches
        .pods
        .list()
        .into_iter()
        .filter(|pod| {
            pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(NODE_NAME)
        })
        .filter_map(|pod| Some((pod.uid()?, pod)))
        .collect();
    managed.retain(|uid, one| !one.task.is_finished() || pods.contains_key(uid));
    for (uid, one) in &*managed {
        match pods.get(uid) {
            Some(pod) => one.update(pod),
            // Removed without grace: nothing of it may go on.
            None => one.end_by(Instant::now()),
        }
    }
    for (uid, pod) in pods {
        if managed.contains_key(&uid) {
            continue;
        }
        if pod.metadata.deletion_timestamp.is_some() || crate::controllers::is_finished(&pod) {
            // Nothing of it ever ran here; only the object is left.
            if pod.metadata.deletion_timestamp.is_some() {
                let api =
                    Api::namespaced(node.client.clone(), &pod.namespace().unwrap_or_default());
                let (object, _) = watch::channel(pod.clone());
                let (deadline, _) = watch::channel(None);
                let task = tokio::spawn(async move { pod::remove_object(&api, &pod).await });
                managed.insert(
                    uid,
                    Managed {
                        object,
                        deadline,
                        task,
                    },
                );
            }
            continue;
        }
        managed.insert(uid, Managed::start(node.clone(), pod));
    }
}

impl Managed {
    fn start(node: Arc<NodeContext>, pod: Arc<Pod>) -> Self {
        let (object, pod) = watch::channel(pod);
        let (deadline, deadline_receiver) = watch::channel(None);
        let signals = Signals {
            pod,
            deadline: deadline_receiver,
        };
        Self {
            object,
            deadline,
            task: tokio::spawn(pod::run(node, signals)),
        }
    }

    fn update(&self, pod: &Arc<Pod>) {
        self.object.send_if_modified(|known| {
            let newer = !Arc::ptr_eq(known, pod);
            if newer {
                *known = pod.clone();
            }
            newer
        });
        if let Some(left) = pod::deadline(pod, Timestamp::now()) {
            self.end_by(Instant::now() + left);
        }
    }

    /// Ends the pod by a time; only an earlier one replaces a known one (by more than the rounding of timestamps).
    fn end_by(&self, at: Instant) {
        self.deadline.send_if_modified(|known| {
            let sooner = known.is_none_or(|known| at + Duration::from_secs(1) < known);
            if sooner {
                *known = Some(at);
            }
            sooner
        });
    }
}
