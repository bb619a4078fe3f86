//! The pods that run, by their uid, and their containers: for those who ask the node about them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::PodHandle;
use crate::attachment::Attachment;

/// All pods that are there.
#[derive(Clone, Default)]
pub struct Pods {
    pods: Arc<Mutex<BTreeMap<String, RunningPod>>>,
}

struct RunningPod {
    handle: Arc<dyn PodHandle>,
    containers: BTreeMap<String, RunningContainer>,
}

/// A container whose program runs.
#[derive(Clone)]
pub struct RunningContainer {
    pub image: String,
    pub environment: BTreeMap<String, String>,
    /// Where programs start, as the container sees it.
    pub directory: String,
    pub attachment: Arc<Attachment>,
}

// === impl Pods ===

impl Pods {
    /// The handle of a pod.
    pub fn get(&self, uid: &str) -> Option<Arc<dyn PodHandle>> {
        self.lock().get(uid).map(|pod| pod.handle.clone())
    }

    /// A container of a pod, if it runs.
    pub fn container(&self, uid: &str, name: &str) -> Option<RunningContainer> {
        let pods = self.lock();
        pods.get(uid)?.containers.get(name).cloned()
    }

    /// Adds a pod.
    pub fn insert(&self, uid: &str, handle: Arc<dyn PodHandle>) {
        let pod = RunningPod {
            handle,
            containers: BTreeMap::new(),
        };
        self.lock().insert(uid.to_owned(), pod);
    }

    /// Notes that a container runs.
    pub fn started(&self, uid: &str, name: &str, container: RunningContainer) {
        if let Some(pod) = self.lock().get_mut(uid) {
            pod.containers.insert(name.to_owned(), container);
        }
    }

    /// Notes that a container's run has ended.
    pub fn ended(&self, uid: &str, name: &str) {
        if let Some(pod) = self.lock().get_mut(uid) {
            pod.containers.remove(name);
        }
    }

    /// Forgets a pod.
    pub fn remove(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, RunningPod>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
