//! The back ends, put together for one sandbox.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use futures::FutureExt;
use futures::future::BoxFuture;
use mesh_node::namespaces::{NamespaceServices, Namespaces, Upstream, world};
use mesh_node::{API_PORT, Block, Loopback, LoopbackServices, Processes};
use tokio::net::{TcpListener, UdpSocket};

use crate::engine::{Backend, lasting_executable, own_executable};
use crate::state::Paths;
use crate::world::{HostSockets, Inside};

/// A back end, and where the API server listens with it.
pub struct Place {
    pub backend: Backend,
    pub listeners: Vec<TcpListener>,
    /// The range of ClusterIPs in CIDR notation.
    pub service_range: String,
}

/// Pods as processes of this machine's loopback network.
pub fn loopback(paths: &Paths, block: Block, listener: TcpListener) -> anyhow::Result<Place> {
    let processes = Processes::new(paths.groups()).context("failed to prepare for processes")?;
    let loopback = Loopback::new(block, lasting_executable()?, paths.hosts(), processes);
    Ok(Place {
        backend: Backend {
            runtime: Arc::new(loopback.clone()),
            services: Box::new(move |stop, tasks| {
                Ok(Box::new(LoopbackServices::new(&loopback, stop, tasks)))
            }),
        },
        listeners: vec![listener],
        service_range: block.service_range(),
    })
}

/// Pods in namespaces of the world around this process. `listener` is this machine's.
pub fn namespaces(paths: &Paths, inside: &Inside, listener: TcpListener) -> anyhow::Result<Place> {
    let program = paths.program();
    world::keep(&own_executable()?, &program)
        .context("failed to keep the running program for its pods")?;
    let within = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, API_PORT))
        .and_then(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        })
        .context("failed to listen for the API server's pods")?;
    let upstream = nameserver().map(|server| {
        Arc::new(Nameserver {
            server,
            sockets: inside.sockets.clone(),
        }) as Arc<dyn Upstream>
    });
    Ok(Place {
        backend: Backend {
            runtime: Arc::new(Namespaces::new(program)),
            services: Box::new(move |stop, tasks| {
                let started = NamespaceServices::start(upstream, stop, &tasks);
                Ok(Box::new(started.context("failed to start the DNS server")?))
            }),
        },
        listeners: vec![listener, within],
        service_range: world::SERVICE_RANGE.to_owned(),
    })
}

/// Gives back what the back end of namespaces keeps among the sandbox's files.
pub fn release(paths: &Paths) {
    world::release(&paths.program());
}

/// This machine's first DNS server.
fn nameserver() -> Option<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let mut servers = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|server| server.trim().parse::<IpAddr>().ok());
    servers.next().map(|server| SocketAddr::new(server, 53))
}

/// The DNS server that this machine asks.
struct Nameserver {
    server: SocketAddr,
    sockets: HostSockets,
}

impl Upstream for Nameserver {
    fn connect(&self) -> BoxFuture<'_, std::io::Result<UdpSocket>> {
        std::future::ready(self.sockets.datagrams(self.server)).boxed()
    }
}
