//! Where pods run, and how they reach each other: the form that every back end has.
//!
//! ```text
//! pod's task -> PodRuntime::create -> PodHandle -> mount, spawn, exec, dial ... teardown
//! network's task -> ServiceNetwork::publish       what Services mean: addresses, names
//! ```
//!
//! What differs between back ends lies behind these traits and nowhere else; nobody asks which one runs.

mod address;
mod hosts;
mod launch;
mod loopback;
mod low_ports;
pub mod namespaces;
mod pods;
mod process;
mod services;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::net::TcpStream;

pub use address::{API_PORT, Block};
pub use launch::{Launch, Streams};
pub use loopback::{Loopback, LoopbackServices};
pub use low_ports::LowPorts;
pub use pods::{Pods, RunningContainer};
pub use process::{Exit, Group, Process, Processes, WATCH_VARIABLE, kill_recorded, start_time};
pub use services::{KnownServices, ServiceNetwork, cluster_ip};

/// The name of the proxy's container, in pods with a sidecar and in gateways.
const SIDECAR: &str = "istio-proxy";

/// A back end: makes pods, and reaches the addresses of the cluster.
pub trait PodRuntime: Send + Sync + 'static {
    /// The node's own address, which pods know as `status.hostIP` and under which they find the API server.
    fn node_address(&self) -> Ipv4Addr;

    /// Makes a pod's network and all that its containers share.
    fn create(&self, pod: PodSpec) -> BoxFuture<'_, Result<Arc<dyn PodHandle>, PodError>>;

    /// Connects to a port of an address of the cluster: a pod's, a Service's or the node's.
    fn dial(&self, address: IpAddr, port: u16) -> BoxFuture<'static, io::Result<TcpStream>>;
}

/// A pod of a back end. Dropping the handle ends nothing; [`PodHandle::teardown`] does.
pub trait PodHandle: Send + Sync + 'static {
    /// `status.podIP`.
    fn address(&self) -> Ipv4Addr;

    /// The variables that a container has in this back end besides its own.
    fn environment(&self, container: &str) -> Vec<(String, String)>;

    /// Makes the container's view of files: its volumes at their paths. Called before each start of the container.
    fn mount<'a>(
        &'a self,
        container: &'a str,
        mounts: Vec<VolumeMount>,
    ) -> BoxFuture<'a, io::Result<()>>;

    /// Starts the container's program.
    fn spawn<'a>(
        &'a self,
        container: &'a str,
        launch: Launch,
    ) -> BoxFuture<'a, io::Result<Process>>;

    /// Starts another program beside the container's own, which runs.
    fn exec<'a>(&'a self, container: &'a str, launch: Launch)
    -> BoxFuture<'a, io::Result<Process>>;

    /// Connects to a port of the pod as its node does, for probes.
    fn reach(&self, port: u16) -> BoxFuture<'static, io::Result<TcpStream>>;

    /// Connects to a port of the pod as from inside it, where the sidecar does not stand in between.
    fn dial(&self, port: u16) -> BoxFuture<'static, io::Result<TcpStream>>;

    /// Gives all that the pod had back; its containers have ended.
    fn teardown(&self) -> BoxFuture<'_, ()>;
}

/// What a back end is told of a pod.
#[derive(Clone, Debug)]
pub struct PodSpec {
    pub pod: Arc<Pod>,
    /// The directory of the pod's files, which the node removes at its end.
    pub directory: PathBuf,
}

impl PodSpec {
    /// The pod's uid.
    pub fn uid(&self) -> String {
        self.pod.uid().unwrap_or_default()
    }

    /// The pod's namespace.
    pub fn namespace(&self) -> String {
        self.pod.namespace().unwrap_or_default()
    }

    /// The host name that the pod's containers see: `spec.hostname`, else the pod's name.
    pub fn host_name(&self) -> String {
        let wanted = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.hostname.clone());
        wanted
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| self.pod.name_any())
    }
}

/// Why a pod could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    #[error("no address is free for the pod")]
    NoAddress,
    #[error("{action}: {error}")]
    System {
        action: &'static str,
        error: io::Error,
    },
}

impl PodError {
    /// A failure of the system at something that was tried.
    pub fn system(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System { action, error }
    }
}

/// A volume at a path of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeMount {
    /// Relative to the container's root, without `..`; never empty.
    pub at: PathBuf,
    /// The file or directory of this machine that is found there.
    pub source: PathBuf,
    /// The source is made, as a directory, where it does not exist.
    pub is_made: bool,
    pub is_read_only: bool,
}
