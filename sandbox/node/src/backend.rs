//! The back end: the one place where running pods as plain loopback processes differs from running them in namespaces.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use tokio::net::TcpStream;
use tokio::process::Command;

use super::address::{API_PORT, Block, PodAddresses, Pool};
use super::images::Program;
use super::low_ports::{self, LowPorts};

/// The name of the sidecar's container.
pub const SIDECAR: &str = "istio-proxy";

/// The ports that the proxy holds in a pod with a sidecar; all others are the application's.
const PROXY_PORTS: [u16; 8] = [15000, 15001, 15004, 15006, 15008, 15020, 15021, 15090];

/// What a back end decides about pods.
pub trait Backend: Send + Sync + 'static {
    /// The addresses of a pod, the same each time; `None` when none is free.
    fn claim(&self, uid: &str) -> Option<PodAddresses>;

    /// Gives the addresses of a pod back.
    fn release(&self, uid: &str);

    /// The address of the node.
    fn host(&self) -> Ipv4Addr;

    /// The addresses of a pod that has some.
    fn addresses(&self, uid: &str) -> Option<PodAddresses>;

    /// The address where one of a pod's ports is found from inside the pod: the node asks there for probes, and
    /// port forwarding goes there.
    fn port_address(&self, pod: &Pod, addresses: PodAddresses, port: u16) -> Ipv4Addr;

    /// The address that a container binds.
    fn bind_address(&self, pod: &Pod, container: &str, addresses: PodAddresses) -> Ipv4Addr;

    /// The variables a container gets besides its own.
    fn environment(
        &self,
        pod: &Pod,
        container: &str,
        addresses: PodAddresses,
    ) -> Vec<(String, String)>;

    /// The command that starts a program in a pod. The caller adds environment, directory, and streams.
    fn command(&self, program: &[String], builtin: bool) -> Command;

    /// Connects to a port of a sandbox address.
    fn dial(&self, address: IpAddr, port: u16) -> BoxFuture<'static, io::Result<TcpStream>>;

    /// The socket on which the node itself serves a port of a sandbox address.
    fn socket(&self, address: Ipv4Addr, port: u16) -> SocketAddr;
}

/// Pods as processes that share the machine's network, told apart by addresses in 127.0.0.0/8.
pub struct Loopback {
    exe: PathBuf,
    hosts: PathBuf,
    block: Block,
    pool: Pool,
    low_ports: LowPorts,
}

impl Loopback {
    /// A back end over a block. `exe` runs built-in programs; `hosts` is the directory of the hosts files that the node maintains.
    pub fn new(block: Block, exe: PathBuf, hosts: PathBuf) -> Self {
        let low_ports = LowPorts::detect(block.host());
        Self {
            exe,
            hosts,
            block,
            pool: Pool::new(block),
            low_ports,
        }
    }
}

/// True when a sidecar holds the pod's address, so that the other containers bind the app address. A gateway's only
/// container is the proxy itself.
pub fn has_sidecar(pod: &Pod) -> bool {
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

/// Connects to a port of a pod as from inside it, where the sidecar does not stand in between.
pub async fn dial_pod(backend: &dyn Backend, pod: &Pod, port: u16) -> io::Result<TcpStream> {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let addresses = backend
        .addresses(uid)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the pod does not run"))?;
    let address = backend.port_address(pod, addresses, port);
    backend.dial(IpAddr::V4(address), port).await
}

impl Backend for Loopback {
    fn claim(&self, uid: &str) -> Option<PodAddresses> {
        self.pool.claim(uid)
    }

    fn release(&self, uid: &str) {
        self.pool.release(uid);
    }

    fn host(&self) -> Ipv4Addr {
        self.block.host()
    }

    fn addresses(&self, uid: &str) -> Option<PodAddresses> {
        self.pool.addresses(uid)
    }

    fn port_address(&self, pod: &Pod, addresses: PodAddresses, port: u16) -> Ipv4Addr {
        if has_sidecar(pod) && !PROXY_PORTS.contains(&port) {
            addresses.app
        } else {
            addresses.pod
        }
    }

    fn bind_address(&self, pod: &Pod, container: &str, addresses: PodAddresses) -> Ipv4Addr {
        if has_sidecar(pod) && container != SIDECAR {
            addresses.app
        } else {
            addresses.pod
        }
    }

    fn environment(
        &self,
        pod: &Pod,
        container: &str,
        addresses: PodAddresses,
    ) -> Vec<(String, String)> {
        let host = self.host().to_string();
        let hosts = self
            .hosts
            .join(pod.metadata.namespace.as_deref().unwrap_or_default());
        let bind = self.bind_address(pod, container, addresses).to_string();
        let mut variables = vec![
            ("MESH_POD_ADDRESS", addresses.pod.to_string()),
            ("MESH_APP_ADDRESS", addresses.app.to_string()),
            ("MESH_BIND_ADDRESS", bind),
            ("MESH_HOSTS", hosts.display().to_string()),
            (low_ports::VARIABLE, self.low_ports.offset().to_string()),
            ("KUBERNETES_SERVICE_HOST", host.clone()),
            ("KUBERNETES_SERVICE_PORT", API_PORT.to_string()),
            ("KUBERNETES_SERVICE_PORT_HTTPS", API_PORT.to_string()),
        ];
        if has_sidecar(pod) && container != SIDECAR {
            let proxy = format!("http://{}:15001", addresses.pod);
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

    fn command(&self, program: &[String], builtin: bool) -> Command {
        let mut command = Command::new(&self.exe);
        command.arg0("meshctl").arg("builtin");
        if !builtin {
            // A foreign command does not watch for the sandbox's end, so one of ours does it.
            command.args(["supervise", "--"]);
        }
        command.args(program);
        command
    }

    fn dial(&self, address: IpAddr, port: u16) -> BoxFuture<'static, io::Result<TcpStream>> {
        let ours = matches!(address, IpAddr::V4(address) if self.block.contains(address));
        let port = if ours {
            self.low_ports.at_socket(port)
        } else {
            port
        };
        Box::pin(TcpStream::connect((address, port)))
    }

    fn socket(&self, address: Ipv4Addr, port: u16) -> SocketAddr {
        SocketAddr::from((address, self.low_ports.at_socket(port)))
    }
}

impl Program {
    /// The command for this program, `None` when there is nothing to run.
    pub fn command(&self, backend: &dyn Backend) -> Option<Command> {
        match self {
            Self::Builtin(words) => Some(backend.command(words, true)),
            Self::Foreign(words) => Some(backend.command(words, false)),
            Self::Nothing(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn behind_a_sidecar_the_app_has_its_own_address() {
        let backend = Loopback::new(Block::new(42).unwrap(), PathBuf::new(), PathBuf::new());
        let addresses = backend.claim("u").unwrap();
        let with = |names: &[&str]| -> Pod {
            let containers: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
            serde_json::from_value(json!({"spec": {"containers": containers}})).unwrap()
        };
        let (plain, meshed, gateway) = (with(&["app"]), with(&["app", SIDECAR]), with(&[SIDECAR]));
        for (pod, port, address) in [
            (&plain, 8080, addresses.pod),
            (&meshed, 8080, addresses.app),
            (&meshed, 15020, addresses.pod),
            (&gateway, 8080, addresses.pod),
        ] {
            assert_eq!(backend.port_address(pod, addresses, port), address);
        }
        assert_eq!(
            backend.bind_address(&meshed, "app", addresses),
            addresses.app
        );
        assert_eq!(
            backend.bind_address(&meshed, SIDECAR, addresses),
            addresses.pod
        );
        assert_eq!(backend.addresses("other"), None);
    }
}
