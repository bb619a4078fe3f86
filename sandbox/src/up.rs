//! The whole sandbox: takes the state directory and a block of addresses, and starts API server and engine on them.
//!
//! ```text
//! lock -> block of addresses -> API server -> kubeconfig -> engine -> state file
//! ```
//!
//! The listener of the API server is what claims the block: two sandboxes cannot have the same address and port. A
//! [`Running`] owns all of it; stopping it ends everything in the opposite order and removes the directory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use kube::Client;
use mesh_apiserver::{Identity, Server, ServerOptions, ServiceAddresses};
use mesh_node::{API_PORT, Block, Images, Ingress, IngressTarget, Pods, start_time};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::backend::{self, Place};
use crate::engine::{Engine, EngineOptions};
use crate::images;
use crate::kubelet::LocalKubelet;
use crate::state::{BackendName, IngressRecord, Paths, PodSummary, Record, client, write_private};
use crate::workloads::{Workload, endpoint_versions, workloads};
use crate::world::{HostSockets, Inside};

/// Open files that are enough for any sandbox: every connection to a Service is two.
const FILES: u64 = 1 << 16;

/// The Service behind the ingress port of localhost.
const INGRESS: IngressTarget = IngressTarget {
    namespace: "istio-system",
    service: "istio-ingressgateway",
    port: 80,
};

/// What a sandbox is started with.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// The directory that holds a directory per sandbox: [`crate::root`].
    pub root: PathBuf,
    pub name: String,
    /// Commands for images, by name.
    pub images: BTreeMap<String, String>,
    /// The port of localhost that leads to the ingress gateway; without one 8080, or any that is free.
    pub ingress_port: Option<u16>,
    /// The world that this process is in, if it is in one: pods are then in namespaces.
    pub world: Option<Inside>,
}

/// A running sandbox.
pub struct Running {
    paths: Paths,
    record: Record,
    client: Client,
    engine: Engine,
    server: Server,
    /// Held until all files are gone.
    lock: File,
}

/// Starts a sandbox.
///
/// # Errors
/// When one of that name runs, its files cannot be written, or a port is taken: what, and what to do about it.
pub async fn up(options: UpOptions) -> anyhow::Result<Running> {
    let paths = Paths::new(&options.root, &options.name)?;
    let lock = paths.hold()?;
    paths.clean();
    raise_file_limit();
    match start(options, &paths).await {
        Ok(started) => Ok(started.own(paths, lock)),
        Err(error) => {
            paths.abandon(lock);
            Err(error)
        }
    }
}

/// All parts of a sandbox, before it owns its directory.
struct Started {
    record: Record,
    client: Client,
    engine: Engine,
    server: Server,
}

impl Started {
    fn own(self, paths: Paths, lock: File) -> Running {
        let Self {
            record,
            client,
            engine,
            server,
        } = self;
        Running {
            paths,
            record,
            client,
            engine,
            server,
            lock,
        }
    }
}

async fn start(options: UpOptions, paths: &Paths) -> anyhow::Result<Started> {
    let world = options.world.as_ref();
    let sockets = world.map_or_else(HostSockets::default, |world| world.sockets.clone());
    let ingress = open_ingress(options.ingress_port, &sockets)?;
    let (block, listener) = claim(&options.name, &sockets)?;
    let Place {
        backend,
        listeners,
        service_range,
    } = match world {
        Some(world) => backend::namespaces(paths, world, listener)?,
        None => backend::loopback(paths, block, listener)?,
    };
    let pods = Pods::default();
    let images = Images::new(options.images, images::builtin);
    let node = backend.runtime.node_address();
    let service = ServiceAddresses::parse(&service_range)?.first();
    let addresses = [
        IpAddr::V4(service),
        IpAddr::V4(node),
        IpAddr::V4(block.host()),
        IpAddr::V4(Ipv4Addr::LOCALHOST),
    ];
    let identity = Identity::generate(&addresses)?;
    let token = token();
    let kubeconfig = kubeconfig(&options.name, block.host(), &identity.ca, &token);
    let server = Server::start(ServerOptions {
        listeners,
        address: SocketAddr::from((node, API_PORT)),
        identity,
        token,
        service_range,
        kubelet: Arc::new(LocalKubelet::new(
            backend.runtime.clone(),
            pods.clone(),
            images.clone(),
            paths.directory(),
        )),
    })
    .context("failed to start the API server")?;
    write_private(&paths.kubeconfig(), &kubeconfig).context("failed to write the kubeconfig")?;
    let client = client(&kubeconfig).await?;
    let url = format!("http://localhost:{}", ingress.address.port());
    let engine = Engine::start(EngineOptions {
        client: client.clone(),
        backend,
        pods,
        paths: paths.clone(),
        images,
        ingress,
    })
    .await?;
    let own = Pid::this();
    let record = Record {
        name: options.name,
        pid: world.map_or(own.as_raw(), |world| world.process),
        started: match world {
            Some(world) => world.started.clone(),
            None => start_time(own),
        },
        block: block.number(),
        backend: if world.is_some() {
            BackendName::Namespaces
        } else {
            BackendName::Loopback
        },
        kubeconfig: paths.kubeconfig(),
        ingress: IngressRecord { url },
        ready: false,
    };
    record.write(paths)?;
    Ok(Started {
        record,
        client,
        engine,
        server,
    })
}

/// The usual soft limit of open files is low for one process that carries the connections of many.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(FILES).max(soft), hard)
    });
    if let Err(error) = raised {
        tracing::debug!(%error, "failed to raise the limit of open files");
    }
}

fn open_ingress(port: Option<u16>, sockets: &HostSockets) -> anyhow::Result<Ingress> {
    let opened = Ingress::open(port, INGRESS, |address| sockets.listen(address));
    opened.with_context(|| match port {
        Some(port) => format!(
            "failed to listen on port {port} of localhost for the ingress gateway; choose another one with --ingress-port, \
             or leave it out to get one that is free"
        ),
        None => "failed to listen on any port of localhost for the ingress gateway".to_owned(),
    })
}

/// The first block of addresses that nobody has: its API server's port can be bound.
fn claim(name: &str, sockets: &HostSockets) -> anyhow::Result<(Block, TcpListener)> {
    for block in Block::candidates(name) {
        match sockets.listen(SocketAddr::from((block.host(), API_PORT))) {
            Ok(listener) => return Ok((block, listener)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => bail!(
                "this system does not have the address {} that the sandbox needs: all of 127.0.0.0/8 must belong to the \
                 loopback interface, as on Linux",
                block.host()
            ),
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("failed to listen on {}:{API_PORT}", block.host()));
            }
        }
    }
    bail!(
        "all blocks of loopback addresses are taken by other sandboxes; see `meshctl sandbox list`"
    )
}

/// A token that nobody guesses.
fn token() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The kubeconfig, whose context is called like the sandbox.
fn kubeconfig(name: &str, host: Ipv4Addr, ca: &str, token: &str) -> String {
    use base64::Engine as _;
    let ca = base64::engine::general_purpose::STANDARD.encode(ca);
    let name = format!("meshctl-sandbox-{name}");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": name, "preferences": {},
        "clusters": [{"name": name, "cluster": {
            "server": format!("https://{host}:{API_PORT}"), "certificate-authority-data": ca}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
    });
    // JSON is YAML, and this value holds only texts.
    serde_yaml::to_string(&config).unwrap_or_else(|_| config.to_string())
}

// === impl Running ===

impl Running {
    /// What other processes read about it.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// A client of its API.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its pods.
    pub fn pods(&self) -> Vec<PodSummary> {
        let pods = self.engine.caches.pods.list();
        pods.iter().map(|pod| PodSummary::of(pod)).collect()
    }

    /// What makes pods, and whether it has all of them.
    pub fn workloads(&self) -> Vec<Workload> {
        workloads(&self.engine.caches)
    }

    /// The newest versions of Services, EndpointSlices and Pods, once every Service has the endpoints that its pods make.
    pub fn endpoint_versions(&self) -> Option<[(&'static str, u64); 3]> {
        endpoint_versions(&self.engine.caches)
    }

    /// Changes after every change of pods and workloads.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.engine.caches.changes()
    }

    /// Records that all that was asked for is there.
    pub fn set_ready(&mut self) -> anyhow::Result<()> {
        self.record.ready = true;
        self.record.write(&self.paths)
    }

    /// Ends everything and removes all files.
    pub async fn stop(self) {
        let Self {
            paths,
            record,
            client,
            engine,
            server,
            lock,
        } = self;
        engine.stop().await;
        drop(client);
        server.stop().await;
        if record.backend == BackendName::Namespaces {
            backend::release(&paths);
        }
        paths.clean();
        paths.abandon(lock);
    }
}
