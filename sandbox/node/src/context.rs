//! What the tasks of the node share, and what the tasks of one pod share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, Secret};
use kube::{Client, ResourceExt};
use tokio::sync::watch;
use tokio::time::Instant;

use super::environment::{self, ConfigError, Facts, Sources};
use super::events::{Events, Level};
use super::images::{Images, Program};
use super::runtime::{PodHandle, PodRuntime, Pods, VolumeMount};
use super::state::StateCell;
use super::volumes::{Mount, TokenKey};
use crate::controllers::{Caches, NODE_NAME};

/// The node's means.
pub struct NodeContext {
    pub client: Client,
    pub caches: Caches,
    pub runtime: Arc<dyn PodRuntime>,
    /// The pods that run.
    pub pods: Pods,
    pub images: Images,
    pub events: Events,
    /// The sandbox's state directory.
    pub directory: PathBuf,
    pub cpus: u64,
    pub memory: u64,
}

/// One pod's means, shared by the tasks of its containers.
pub struct PodContext {
    pub node: Arc<NodeContext>,
    pub uid: String,
    pub handle: Arc<dyn PodHandle>,
    pub state: StateCell,
    /// The latest state of the object.
    pub pod: watch::Receiver<Arc<Pod>>,
    /// When a stopping container is killed; set once the pod is being deleted.
    pub deadline: watch::Receiver<Option<Instant>>,
    pub tokens: Mutex<BTreeMap<TokenKey, String>>,
}

impl PodContext {
    /// The pod as last seen.
    pub fn pod(&self) -> Arc<Pod> {
        self.pod.borrow().clone()
    }

    /// Tells an event of one of its containers.
    pub fn tell(&self, container: &str, level: Level, reason: &str, message: &str) {
        self.node
            .events
            .tell(&self.pod(), container, level, reason, message);
    }

    /// The pod's directory.
    pub fn directory(&self) -> PathBuf {
        self.node.directory.join("pods").join(&self.uid)
    }

    /// The mounts of a container with what is found there.
    pub fn mounts(&self, mounts: Vec<Mount>) -> Vec<VolumeMount> {
        let pod = self.pod();
        let place = |mount: Mount| {
            let (directory, is_made) = self.volume(&pod, &mount.volume);
            let is_whole = mount.sub_path.as_os_str().is_empty();
            VolumeMount {
                at: mount.at,
                source: if is_whole {
                    directory
                } else {
                    directory.join(&mount.sub_path)
                },
                is_made,
                is_read_only: mount.is_read_only,
            }
        };
        mounts.into_iter().map(place).collect()
    }

    /// The directory of a volume, and whether containers may create directories in it.
    fn volume(&self, pod: &Pod, name: &str) -> (PathBuf, bool) {
        let volumes = pod
            .spec
            .iter()
            .flat_map(|spec| spec.volumes.iter().flatten());
        let volume = volumes.into_iter().find(|volume| volume.name == name);
        let claim = volume.and_then(|volume| volume.persistent_volume_claim.as_ref());
        let host = volume.and_then(|volume| volume.host_path.as_ref());
        match (claim, host) {
            (Some(claim), _) => (
                self.claim(&pod.namespace().unwrap_or_default(), &claim.claim_name),
                true,
            ),
            (None, Some(host)) => (PathBuf::from(&host.path), false),
            (None, None) => {
                let files = volume
                    .is_none_or(|volume| volume.empty_dir.is_none() && volume.ephemeral.is_none());
                (self.directory().join("volumes").join(name), !files)
            }
        }
    }

    /// The directory of a claim, which outlives the pod.
    pub fn claim(&self, namespace: &str, name: &str) -> PathBuf {
        self.node
            .directory
            .join("claims")
            .join(namespace)
            .join(name)
    }

    /// The log of one run of a container.
    pub fn log_path(&self, container: &str, run: i32) -> PathBuf {
        log_path(&self.node.directory, &self.uid, container, run)
    }

    /// What the downward API tells.
    pub fn facts(&self) -> Facts {
        Facts {
            pod_ip: self.handle.address().to_string(),
            host_ip: self.node.runtime.node_address().to_string(),
            node_name: NODE_NAME.to_owned(),
            cpus: self.node.cpus,
            memory: self.node.memory,
        }
    }

    /// Objects of the pod's namespace.
    pub fn sources(&self) -> PodSources<'_> {
        PodSources {
            caches: &self.node.caches,
            namespace: self.pod().namespace().unwrap_or_default(),
        }
    }

    /// The tokens requested so far.
    pub fn tokens(&self) -> BTreeMap<TokenKey, String> {
        self.tokens
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The whole environment of a container.
    pub fn environment(
        &self,
        container: &Container,
    ) -> Result<BTreeMap<String, String>, ConfigError> {
        let pod = self.pod();
        let mut base = self.handle.environment(&container.name);
        let hostname = pod.spec.as_ref().and_then(|spec| spec.hostname.clone());
        base.extend([
            (
                "PATH".to_owned(),
                std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ),
            (
                "HOSTNAME".to_owned(),
                hostname.unwrap_or_else(|| pod.name_any()),
            ),
        ]);
        environment::resolve(&pod, container, &self.facts(), base, &self.sources())
    }

    /// What to run for a container, with `$(NAME)` expanded in command and arguments.
    pub fn program(
        &self,
        container: &Container,
        variables: &BTreeMap<String, String>,
    ) -> Result<Program, super::images::NotRunnable> {
        let expand = |words: &Option<Vec<String>>| -> Vec<String> {
            words
                .iter()
                .flatten()
                .map(|word| environment::expand(word, variables))
                .collect()
        };
        let (command, args) = (expand(&container.command), expand(&container.args));
        self.node
            .images
            .program(container, self.pod().annotations(), command, args)
    }
}

/// The log of one run of a container of any pod.
pub fn log_path(state: &Path, uid: &str, container: &str, run: i32) -> PathBuf {
    state
        .join("pods")
        .join(uid)
        .join(container)
        .join("logs")
        .join(format!("{run}.log"))
}

/// ConfigMaps and Secrets of one namespace, from the caches.
pub struct PodSources<'a> {
    caches: &'a Caches,
    namespace: String,
}

impl Sources for PodSources<'_> {
    fn config_map(&self, name: &str) -> Option<ConfigMap> {
        self.caches
            .config_maps
            .get(&self.namespace, name)
            .map(|map| (*map).clone())
    }

    fn secret(&self, name: &str) -> Option<Secret> {
        self.caches
            .secrets
            .get(&self.namespace, name)
            .map(|secret| (*secret).clone())
    }
}
