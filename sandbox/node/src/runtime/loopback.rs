//! Pods as processes that share the machine's network and files, told apart by addresses in 127.0.0.0/8.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::address::{API_PORT, Block, PODS, PodAddresses, Pool};
use super::low_ports::{self, LowPorts};
use super::process::{Process, Processes};
use super::{
    KnownServices, Launch, PodError, PodHandle, PodRuntime, PodSpec, SIDECAR, ServiceNetwork,
    VolumeMount, hosts,
};
use crate::forward::{self, Forwarder};
use crate::volumes;

/// The ports that the proxy holds in a pod with a sidecar; all others are the application's.
const PROXY_PORTS: [u16; 8] = [15000, 15001, 15004, 15006, 15008, 15020, 15021, 15090];

/// The back end.
#[derive(Clone)]
pub struct Loopback {
    shared: Arc<Shared>,
}

struct Shared {
    exe: PathBuf,
    hosts: PathBuf,
    block: Block,
    pool: Pool,
    low_ports: LowPorts,
    processes: Processes,
}

// === impl Loopback ===

impl Loopback {
    /// A back end over a block. `exe` runs built-in programs; `hosts` is the directory of the hosts files that the node maintains.
    pub fn new(block: Block, exe: PathBuf, hosts: PathBuf, processes: Processes) -> Self {
        let shared = Shared {
            low_ports: LowPorts::detect(block.host()),
            exe,
            hosts,
            block,
            pool: Pool::new(PODS),
            processes,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The socket on which the node itself serves a port of a sandbox address.
    pub(crate) fn socket(&self, address: Ipv4Addr, port: u16) -> SocketAddr {
        SocketAddr::from((address, self.shared.low_ports.at_socket(port)))
    }
}

impl PodRuntime for Loopback {
    fn node_address(&self) -> Ipv4Addr {
        self.shared.block.host()
    }

    fn create(&self, spec: PodSpec) -> BoxFuture<'_, Result<Arc<dyn PodHandle>, PodError>> {
        let handle = match self.shared.pool.claim(&spec.uid()) {
            Some(number) => Ok(Arc::new(LoopbackPod {
                has_sidecar: has_sidecar(&spec.pod),
                addresses: self.shared.block.pod(number),
                shared: self.shared.clone(),
                spec,
            }) as Arc<dyn PodHandle>),
            None => Err(PodError::NoAddress),
        };
        std::future::ready(handle).boxed()
    }

    fn dial(&self, address: IpAddr, port: u16) -> BoxFuture<'static, io::Result<TcpStream>> {
        self.shared.dial(address, port)
    }
}

impl Shared {
    fn dial(&self, address: IpAddr, port: u16) -> BoxFuture<'static, io::Result<TcpStream>> {
        let ours = matches!(address, IpAddr::V4(address) if self.block.contains(address));
        let port = if ours {
            self.low_ports.at_socket(port)
        } else {
            port
        };
        TcpStream::connect((address, port)).boxed()
    }
}

/// A pod: two addresses, and a directory for each container.
struct LoopbackPod {
    shared: Arc<Shared>,
    spec: PodSpec,
    addresses: PodAddresses,
    has_sidecar: bool,
}

/// True when a sidecar holds the pod's address, so that the other containers bind the app address. A gateway's only
/// container is the proxy itself.
fn has_sidecar(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let native = spec.init_containers.iter().flatten().any(|container| {
        container.name == SIDECAR && container.restart_policy.as_deref() == Some("Always")
    });
    let regular = spec
        .containers
        .iter()
        .any(|container| container.name == SIDECAR);
    native || (regular && spec.containers.len() > 1)
}

// === impl LoopbackPod ===

impl LoopbackPod {
    /// Where one of the pod's ports is found from inside the pod.
    fn port_address(&self, port: u16) -> Ipv4Addr {
        if self.has_sidecar && !PROXY_PORTS.contains(&port) {
            self.addresses.app
        } else {
            self.addresses.pod
        }
    }

    /// The address that a container binds.
    fn bind_address(&self, container: &str) -> Ipv4Addr {
        if self.has_sidecar && container != SIDECAR {
            self.addresses.app
        } else {
            self.addresses.pod
        }
    }

    /// The root of a container: what `MESH_ROOT` points at.
    fn root(&self, container: &str) -> PathBuf {
        self.spec.directory.join(container).join("root")
    }

    fn start(&self, container: &str, launch: Launch) -> io::Result<Process> {
        let directory = self.root(container).join(launch.relative_directory());
        std::fs::create_dir_all(&directory)?;
        let mut command = Command::new(&self.shared.exe);
        // A foreign command does not watch for the sandbox's end, so one of ours does it.
        command
            .arg0("meshctl")
            .arg("builtin")
            .args(launch.supervised())
            .env_clear()
            .envs(&launch.environment)
            .current_dir(directory);
        self.shared.processes.spawn(command, launch.streams)
    }
}

impl PodHandle for LoopbackPod {
    fn address(&self) -> Ipv4Addr {
        self.addresses.pod
    }

    fn environment(&self, container: &str) -> Vec<(String, String)> {
        let host = self.shared.block.host().to_string();
        let hosts = self.shared.hosts.join(self.spec.namespace());
        let root = self.root(container);
        let mut variables = vec![
            ("HOME", root.display().to_string()),
            ("TMPDIR", root.join("tmp").display().to_string()),
            ("MESH_ROOT", root.display().to_string()),
            ("MESH_POD_ADDRESS", self.addresses.pod.to_string()),
            ("MESH_APP_ADDRESS", self.addresses.app.to_string()),
            (
                "MESH_BIND_ADDRESS",
                self.bind_address(container).to_string(),
            ),
            ("MESH_HOSTS", hosts.display().to_string()),
            (
                low_ports::VARIABLE,
                self.shared.low_ports.offset().to_string(),
            ),
            ("KUBERNETES_SERVICE_HOST", host.clone()),
            ("KUBERNETES_SERVICE_PORT", API_PORT.to_string()),
            ("KUBERNETES_SERVICE_PORT_HTTPS", API_PORT.to_string()),
        ];
        if self.has_sidecar && container != SIDECAR {
            let proxy = format!("http://{}:15001", self.addresses.pod);
            variables.push(("http_proxy", proxy.clone()));
            variables.push(("HTTP_PROXY", proxy));
            let direct = format!("localhost,127.0.0.1,{host}");
            variables.push(("no_proxy", direct.clone()));
            variables.push(("NO_PROXY", direct));
        }
        variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    fn mount<'a>(
        &'a self,
        container: &'a str,
        mounts: Vec<VolumeMount>,
    ) -> BoxFuture<'a, io::Result<()>> {
        std::future::ready(volumes::lay_out(&self.root(container), &mounts)).boxed()
    }

    fn spawn<'a>(
        &'a self,
        container: &'a str,
        launch: Launch,
    ) -> BoxFuture<'a, io::Result<Process>> {
        std::future::ready(self.start(container, launch)).boxed()
    }

    fn exec<'a>(
        &'a self,
        container: &'a str,
        launch: Launch,
    ) -> BoxFuture<'a, io::Result<Process>> {
        std::future::ready(self.start(container, launch)).boxed()
    }

    fn reach(&self, port: u16) -> BoxFuture<'static, io::Result<TcpStream>> {
        self.dial(port)
    }

    fn dial(&self, port: u16) -> BoxFuture<'static, io::Result<TcpStream>> {
        let address = IpAddr::V4(self.port_address(port));
        self.shared.dial(address, port)
    }

    fn teardown(&self) -> BoxFuture<'_, ()> {
        self.shared.pool.release(&self.spec.uid());
        std::future::ready(()).boxed()
    }
}

/// Services by processes of the node: a listener for each port of each ClusterIP, and names in hosts files.
pub struct LoopbackServices {
    forwarder: Forwarder,
    hosts: PathBuf,
    planned: forward::Plan,
    is_failed: bool,
}

// === impl LoopbackServices ===

impl LoopbackServices {
    /// No Services yet; all listeners end with `stop`.
    pub fn new(runtime: &Loopback, stop: CancellationToken, tasks: TaskTracker) -> Self {
        Self {
            hosts: runtime.shared.hosts.clone(),
            forwarder: Forwarder::new(runtime.clone(), stop, tasks),
            planned: forward::Plan::new(),
            is_failed: false,
        }
    }

    fn update(&mut self, known: &KnownServices) {
        let plan = forward::plan(&known.services, &known.slices);
        if self.is_failed || plan != self.planned {
            self.is_failed = self.forwarder.apply(plan.clone());
            self.planned = plan;
        }
        for namespace in &known.namespaces {
            let name = namespace.metadata.name.as_deref().unwrap_or_default();
            let path = self.hosts.join(name);
            let text = hosts::render(name, &known.services, &known.slices);
            if let Err(error) = hosts::write(&path, &text) {
                tracing::warn!(path = %path.display(), %error, "failed to write a hosts file");
            }
        }
    }
}

impl ServiceNetwork for LoopbackServices {
    fn publish<'a>(&'a mut self, known: &'a KnownServices) -> BoxFuture<'a, bool> {
        self.update(known);
        std::future::ready(self.is_failed).boxed()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn behind_a_sidecar_the_app_has_its_own_address() {
        let directory = tempfile::tempdir().unwrap();
        let processes = Processes::new(directory.path().join("groups")).unwrap();
        let backend = Loopback::new(
            Block::new(42).unwrap(),
            PathBuf::new(),
            PathBuf::new(),
            processes,
        );
        let addresses = backend.shared.block.pod(0);
        let with = |names: &[&str]| -> LoopbackPod {
            let containers: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
            let pod: Pod =
                serde_json::from_value(json!({"spec": {"containers": containers}})).unwrap();
            LoopbackPod {
                shared: backend.shared.clone(),
                has_sidecar: has_sidecar(&pod),
                spec: PodSpec {
                    pod: Arc::new(pod),
                    directory: PathBuf::new(),
                },
                addresses,
            }
        };
        let (plain, meshed, gateway) = (with(&["app"]), with(&["app", SIDECAR]), with(&[SIDECAR]));
        for (pod, port, address) in [
            (&plain, 8080, addresses.pod),
            (&meshed, 8080, addresses.app),
            (&meshed, 15020, addresses.pod),
            (&gateway, 8080, addresses.pod),
        ] {
            assert_eq!(pod.port_address(port), address);
        }
        assert_eq!(meshed.bind_address("app"), addresses.app);
        assert_eq!(meshed.bind_address(SIDECAR), addresses.pod);
    }
}
