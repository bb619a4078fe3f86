//! One pod: volumes, init containers in order, containers, and an orderly end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Container, Pod, PodStatus, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::container::{self, Role, now};
use super::context::{NodeContext, PodContext};
use super::environment::ConfigError;
use super::events::Level;
use super::runtime::{PodHandle, PodSpec};
use super::state::{PodState, Run, StateCell, is_native_sidecar, pod_status};
use super::volumes::{self, Content, TokenKey};

/// How often mounted ConfigMaps, Secrets and tokens are compared with what is on disk.
const REFRESH: Duration = Duration::from_secs(2);

/// How long to wait before a failed call to the API server is repeated.
const RETRY: Duration = Duration::from_millis(250);

/// What the node tells a pod's task.
#[derive(Clone)]
pub struct Signals {
    /// The latest state of the object.
    pub pod: watch::Receiver<Arc<Pod>>,
    /// When to kill, set once the pod is to go.
    pub deadline: watch::Receiver<Option<Instant>>,
}

/// Runs a pod until it is deleted; at return none of its processes is left and its object is gone.
pub async fn run(node: Arc<NodeContext>, signals: Signals) {
    let pod = signals.pod.borrow().clone();
    let uid = pod.uid().unwrap_or_default();
    let Some(handle) = create(&node, &signals).await else {
        if pod.metadata.deletion_timestamp.is_some() || signals.is_over() {
            let pod = signals.pod.borrow().clone();
            let namespace = pod.namespace().unwrap_or_default();
            remove_object(&Api::namespaced(node.client.clone(), &namespace), &pod).await;
        }
        return;
    };
    node.pods.insert(&uid, handle.clone());
    let started = pod
        .status
        .as_ref()
        .and_then(|status| status.start_time.clone());
    let state = PodState {
        pod_ip: handle.address().to_string(),
        host_ip: node.runtime.node_address().to_string(),
        started: started.map_or_else(now, |time| time.0),
        ..PodState::default()
    };
    let context = Arc::new(PodContext {
        node: node.clone(),
        uid: uid.clone(),
        handle: handle.clone(),
        state: StateCell::new(state),
        pod: signals.pod.clone(),
        deadline: signals.deadline.clone(),
        tokens: Mutex::default(),
    });
    let worker = Worker {
        context,
        stop: CancellationToken::new(),
    };
    Box::pin(worker.run(signals.deadline)).await;
    node.pods.remove(&uid);
    handle.teardown().await;
}

/// Makes the pod in its back end, for as long as it takes; nothing when the pod is to go before.
async fn create(node: &NodeContext, signals: &Signals) -> Option<Arc<dyn PodHandle>> {
    let pod = signals.pod.borrow().clone();
    let spec = PodSpec {
        directory: node
            .directory
            .join("pods")
            .join(pod.uid().unwrap_or_default()),
        pod: pod.clone(),
    };
    let mut deadline = signals.deadline.clone();
    let mut told = String::new();
    loop {
        let failure = match node.runtime.create(spec.clone()).await {
            Ok(handle) => return Some(handle),
            Err(error) => error.to_string(),
        };
        if failure != told {
            let message = format!("failed to create the pod's sandbox: {failure}");
            node.events
                .tell(&pod, "", Level::Warning, "FailedCreatePodSandBox", &message);
            told = failure;
        }
        tokio::select! {
            _ = deadline.wait_for(Option::is_some) => return None,
            () = sleep(RETRY * 4) => {}
        }
    }
}

impl Signals {
    /// True once the pod is to go.
    fn is_over(&self) -> bool {
        self.deadline.borrow().is_some()
    }
}

struct Worker {
    context: Arc<PodContext>,
    /// Cancelled when the pod's containers are to end.
    stop: CancellationToken,
}

impl Worker {
    async fn run(&self, mut deadline: watch::Receiver<Option<Instant>>) {
        let life = self.live();
        let watch_end = async {
            // An error means that the node itself ends: the same as an end at once.
            let _ = deadline.wait_for(Option::is_some).await;
            self.stop.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = life => {}
            () = watch_end => {}
            () = self.publish() => {}
            () = self.refresh() => {}
        }
        self.remove().await;
    }

    /// The pod's life; returns once it is to be removed and nothing runs any more.
    async fn live(&self) {
        let mut sidecars = Sidecars::default();
        let outcome = Box::pin(self.work(&mut sidecars)).await;
        sidecars.stop().await;
        if !self.stop.is_cancelled()
            && let Some(outcome) = outcome
        {
            self.context
                .state
                .update(|state| state.outcome = Some(outcome));
        }
        // A finished pod stays, with its status and logs, until someone deletes it.
        self.stop.cancelled().await;
    }

    /// Everything but the end of the sidecars; `None` when stopped before the outcome was known.
    async fn work(&self, sidecars: &mut Sidecars) -> Option<bool> {
        if !self.prepare_volumes().await {
            return None;
        }
        let spec = self.context.pod().spec.clone().unwrap_or_default();
        for container in spec.init_containers.unwrap_or_default() {
            let name = container.name.clone();
            if is_native_sidecar(&container) {
                sidecars.start(self.context.clone(), container);
                if !self.wait_started(&name).await {
                    return None;
                }
            } else if !Box::pin(self.container(container, Role::Init)).await {
                return (!self.stop.is_cancelled()).then_some(false);
            }
        }
        self.context.state.update(|state| state.initialized = true);
        let mut mains = JoinSet::new();
        for container in spec.containers {
            self.context.state.container(&container.name, |_| {});
            mains.spawn(container::run(
                self.context.clone(),
                container,
                Role::Main,
                self.stop.clone(),
            ));
        }
        let mut all = true;
        while let Some(ended) = mains.join_next().await {
            all &= ended.unwrap_or(false);
        }
        Some(all)
    }

    async fn container(&self, container: Container, role: Role) -> bool {
        container::run(self.context.clone(), container, role, self.stop.clone()).await
    }

    async fn wait_started(&self, name: &str) -> bool {
        let mut changes = self.context.state.changes();
        loop {
            let started = |state: &PodState| {
                state
                    .containers
                    .get(name)
                    .is_some_and(|record| record.started)
            };
            if started(&self.context.state.get()) {
                return true;
            }
            tokio::select! {
                () = self.stop.cancelled() => return false,
                _ = changes.changed() => {}
            }
        }
    }

    // === volumes ===

    /// Lays the volumes out, waiting for what they need; false when stopped meanwhile.
    async fn prepare_volumes(&self) -> bool {
        loop {
            let failure = match self.request_tokens().await {
                Ok(()) => match self.write_volumes() {
                    Ok(()) => return true,
                    Err(failure) => failure,
                },
                Err(error) => format!("failed to get a service account token: {error}"),
            };
            let pod = self.context.pod();
            let containers = pod.spec.iter().flat_map(|spec| {
                spec.init_containers
                    .iter()
                    .flatten()
                    .chain(&spec.containers)
                    .map(|container| &container.name)
            });
            self.context.state.update(|state| {
                for name in containers {
                    let record = state.containers.entry(name.clone()).or_default();
                    record.run = Run::Waiting {
                        reason: "ContainerCreating",
                        message: failure.clone(),
                    };
                }
            });
            tokio::select! {
                () = self.stop.cancelled() => return false,
                () = sleep(RETRY) => {}
            }
        }
    }

    fn write_volumes(&self) -> Result<(), String> {
        let context = &self.context;
        let pod = context.pod();
        let (facts, sources, tokens) = (context.facts(), context.sources(), context.tokens());
        let wanted = volumes::Context {
            pod: &pod,
            facts: &facts,
            sources: &sources,
            tokens: &tokens,
        };
        let contents =
            volumes::contents(&wanted).map_err(|error: ConfigError| error.to_string())?;
        for (name, content) in contents {
            let directory = context.directory().join("volumes").join(&name);
            let written = match content {
                Content::Files(files) => volumes::write_files(&directory, &files),
                Content::Empty => std::fs::create_dir_all(&directory),
                Content::Claim(claim) => std::fs::create_dir_all(
                    context.claim(&pod.namespace().unwrap_or_default(), &claim),
                ),
                Content::Host(_) => Ok(()),
            };
            written.map_err(|error| format!("failed to write volume {name:?}: {error}"))?;
        }
        Ok(())
    }

    async fn request_tokens(&self) -> Result<(), kube::Error> {
        let keys = volumes::tokens(&self.context.pod());
        let mut tokens = BTreeMap::new();
        for key in keys {
            let token = self.request_token(&key).await?;
            tokens.insert(key, token);
        }
        *self
            .context
            .tokens
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = tokens;
        Ok(())
    }

    async fn request_token(&self, key: &TokenKey) -> Result<String, kube::Error> {
        let pod = self.context.pod();
        let account = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.service_account_name.clone());
        let account = account
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "default".to_owned());
        let api: Api<ServiceAccount> = Api::namespaced(
            self.context.node.client.clone(),
            &pod.namespace().unwrap_or_default(),
        );
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: Some(key.audience.clone())
                    .filter(|audience| !audience.is_empty())
                    .into_iter()
                    .collect(),
                expiration_seconds: Some(key.seconds),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: pod.metadata.name.clone(),
                    uid: pod.metadata.uid.clone(),
                }),
            },
            ..TokenRequest::default()
        };
        let answer = api
            .create_token_request(&account, &PostParams::default(), &request)
            .await?;
        Ok(answer.status.map(|status| status.token).unwrap_or_default())
    }

    /// Keeps mounted objects and tokens current, for ever.
    async fn refresh(&self) {
        let shortest = volumes::tokens(&self.context.pod())
            .iter()
            .map(|key| key.seconds)
            .min();
        let lifetime = shortest
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs);
        let mut renewed = Instant::now();
        loop {
            sleep(REFRESH).await;
            if self.context.tokens().is_empty() && lifetime.is_some() {
                continue;
            }
            // Like the kubelet, renew at four fifths of the lifetime.
            if lifetime.is_some_and(|lifetime| renewed.elapsed() >= lifetime * 4 / 5) {
                match self.request_tokens().await {
                    Ok(()) => renewed = Instant::now(),
                    Err(error) => tracing::warn!(%error, "failed to renew service account tokens"),
                }
            }
            if let Err(error) = self.write_volumes() {
                tracing::debug!(%error, "failed to refresh volumes");
            }
        }
    }

    // === status ===

    /// Reports every change of the pod's state, for ever.
    async fn publish(&self) {
        let mut known: PodStatus = self.context.pod().status.clone().unwrap_or_default();
        let mut changes = self.context.state.changes();
        let mut object = self.context.pod.clone();
        loop {
            let status = pod_status(
                &self.context.pod(),
                &self.context.state.get(),
                &known,
                now(),
            );
            if status != known {
                match self.report(&status).await {
                    Ok(()) => known = status,
                    Err(error) => {
                        tracing::debug!(pod = %self.context.pod().name_any(), %error, "failed to report a status");
                        sleep(RETRY).await;
                        continue;
                    }
                }
            }
            tokio::select! {
                _ = changes.changed() => {}
                changed = object.changed() => if changed.is_err() {
                    std::future::pending::<()>().await;
                },
            }
        }
    }

    async fn report(&self, status: &PodStatus) -> Result<(), kube::Error> {
        let pod = self.context.pod();
        let mut body = json!({"metadata": {"uid": self.context.uid}, "status": status});
        // What a merge patch does not mention stays, so what is gone is said.
        for field in ["reason", "message"] {
            body["status"][field] = serde_json::Value::Null;
        }
        let answer = self
            .api()
            .patch_status(
                &pod.name_any(),
                &PatchParams::default(),
                &Patch::Merge(&body),
            )
            .await?;
        self.context.node.caches.pods.apply(answer);
        Ok(())
    }

    fn api(&self) -> Api<Pod> {
        let namespace = self.context.pod().namespace().unwrap_or_default();
        Api::namespaced(self.context.node.client.clone(), &namespace)
    }

    // === the end ===

    /// Removes the object for good, and the pod's files.
    async fn remove(&self) {
        let directory = self.context.directory();
        if let Err(error) = std::fs::remove_dir_all(&directory)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::debug!(directory = %directory.display(), %error, "failed to remove a pod's files");
        }
        let deleted = self.context.pod().metadata.deletion_timestamp.is_some();
        if deleted {
            remove_object(&self.api(), &self.context.pod()).await;
        }
    }
}

/// Removes the object of a pod none of whose processes is left.
pub async fn remove_object(api: &Api<Pod>, pod: &Pod) {
    let preconditions = Preconditions {
        uid: pod.uid(),
        resource_version: None,
    };
    let params = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    };
    for _ in 0..20 {
        match api.delete(&pod.name_any(), &params).await {
            Ok(_) => return,
            Err(error) if crate::controllers::is_race(&error) => return,
            Err(error) => {
                tracing::debug!(pod = %pod.name_any(), %error, "failed to remove a pod's object")
            }
        }
        sleep(RETRY).await;
    }
}

/// Native sidecars: started in order, ended in the opposite order after everything else.
#[derive(Default)]
struct Sidecars {
    running: Vec<(CancellationToken, tokio::task::JoinHandle<bool>)>,
}

impl Sidecars {
    fn start(&mut self, context: Arc<PodContext>, container: Container) {
        let stop = CancellationToken::new();
        let task = tokio::spawn(container::run(
            context,
            container,
            Role::Sidecar,
            stop.clone(),
        ));
        self.running.push((stop, task));
    }

    async fn stop(&mut self) {
        while let Some((stop, task)) = self.running.pop() {
            stop.cancel();
            let _ = task.await;
        }
    }
}

/// When a deleted pod's containers are killed.
pub fn deadline(pod: &Pod, now: Timestamp) -> Option<Duration> {
    let at = pod.metadata.deletion_timestamp.as_ref()?.0;
    // The timestamp is when the grace ends; a clock that jumped must not make it longer than it was.
    let grace = pod
        .metadata
        .deletion_grace_period_seconds
        .unwrap_or(30)
        .max(0);
    let left = at.duration_since(now).as_secs().clamp(0, grace);
    Some(Duration::from_secs(u64::try_from(left).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grace_ends_at_the_deletion_timestamp() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {
            "deletionTimestamp": "2026-01-01T00:00:30Z", "deletionGracePeriodSeconds": 30}}))
        .unwrap();
        let left = |time: &str| deadline(&pod, time.parse().unwrap()).unwrap().as_secs();
        assert_eq!(left("2026-01-01T00:00:10Z"), 20);
        assert_eq!(left("2026-01-01T00:01:00Z"), 0);
        assert_eq!(left("2025-01-01T00:00:00Z"), 30);
        assert_eq!(deadline(&Pod::default(), Timestamp::UNIX_EPOCH), None);
    }
}
