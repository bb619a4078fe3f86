//! The engine: controllers, node and network over an API server, started and stopped as one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use kube::Client;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use mesh_node::controllers::{self, Caches};
use mesh_node::{
    self as node, Events, Images, Ingress, NodeContext, PodRuntime, Pods, ServiceNetwork,
};

use crate::state::Paths;

/// How long tasks get to end after they were told to.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A back end whole: where pods run, and what Services mean there.
pub struct Backend {
    pub runtime: Arc<dyn PodRuntime>,
    pub services: ServicesOf,
}

/// Makes the Services' part of a back end, all of which ends with the token.
pub type ServicesOf = Box<
    dyn FnOnce(CancellationToken, TaskTracker) -> anyhow::Result<Box<dyn ServiceNetwork>> + Send,
>;

/// What an engine runs on.
pub struct EngineOptions {
    pub client: Client,
    pub backend: Backend,
    /// The pods that run.
    pub pods: Pods,
    pub paths: Paths,
    /// What images stand for.
    pub images: Images,
    pub ingress: Ingress,
}

/// Running controllers and node.
pub struct Engine {
    pub caches: Caches,
    node: JoinHandle<()>,
    stop_controllers: CancellationToken,
    stop_node: CancellationToken,
    stop_rest: CancellationToken,
    tasks: TaskTracker,
}

impl Engine {
    /// Registers the node and starts everything.
    pub async fn start(options: EngineOptions) -> anyhow::Result<Self> {
        let EngineOptions {
            client,
            backend: Backend { runtime, services },
            pods,
            paths,
            images,
            ingress,
        } = options;
        let (stop_controllers, stop_node, stop_rest) = (
            CancellationToken::new(),
            CancellationToken::new(),
            CancellationToken::new(),
        );
        let tasks = TaskTracker::new();
        node::register(&client, runtime.node_address())
            .await
            .context("failed to register the sandbox's node")?;
        let caches = Caches::start(&client, &stop_rest, &tasks);
        tasks.spawn(controllers::run(
            client.clone(),
            caches.clone(),
            stop_controllers.clone(),
        ));
        let network = node::run_network(
            caches.clone(),
            runtime.clone(),
            services(stop_rest.clone(), tasks.clone())?,
            ingress,
            stop_rest.clone(),
            tasks.clone(),
        );
        tasks.spawn(network);
        let (cpus, memory) = node::machine();
        let events = Events::start(client.clone(), stop_rest.clone(), &tasks);
        let context = Arc::new(NodeContext {
            client,
            events,
            caches: caches.clone(),
            runtime,
            pods,
            images,
            directory: paths.directory().to_owned(),
            cpus,
            memory,
        });
        let node = tokio::spawn(node::run(context, stop_node.clone()));
        Ok(Self {
            caches,
            node,
            stop_controllers,
            stop_node,
            stop_rest,
            tasks,
        })
    }

    /// Ends the controllers first, so that nothing new is made, then all pods, then the rest.
    pub async fn stop(self) {
        self.stop_controllers.cancel();
        self.stop_node.cancel();
        let _ = self.node.await;
        self.stop_rest.cancel();
        self.tasks.close();
        if tokio::time::timeout(STOP_LIMIT, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some tasks of the sandbox did not end in time");
        }
    }
}

/// A path that leads to the running program as long as it runs, even when its file is replaced meanwhile, as `cargo build`
/// does.
pub(crate) fn lasting_executable() -> anyhow::Result<PathBuf> {
    let lasting = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    if lasting.exists() {
        return Ok(lasting);
    }
    own_executable()
}

/// The path of the running program, to start built-in programs with.
pub fn own_executable() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("failed to find the running program's own path")
}
