//! The node's part of the network: what Services mean, kept current, and the ingress port.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::forward::{self, Targets};
use super::runtime::{KnownServices, PodRuntime, ServiceNetwork};
use crate::controllers::Caches;

/// The port to offer first when the user names none.
const USUAL_INGRESS_PORT: u16 = 8080;

/// The Service that the ingress port leads to.
#[derive(Clone, Copy, Debug)]
pub struct IngressTarget {
    pub namespace: &'static str,
    pub service: &'static str,
    pub port: i32,
}

/// The ingress port of the user's machine.
pub struct Ingress {
    listener: TcpListener,
    target: IngressTarget,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Ingress {
    /// Takes the port asked for, or 8080 if it is free, or any that is. `listen` opens a socket of this machine.
    pub fn open(
        port: Option<u16>,
        target: IngressTarget,
        listen: impl Fn(SocketAddr) -> std::io::Result<TcpListener>,
    ) -> std::io::Result<Self> {
        let at = |port: u16| listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let listener = match port {
            Some(port) => at(port)?,
            None => at(USUAL_INGRESS_PORT).or_else(|_| at(0))?,
        };
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            target,
            address,
        })
    }
}

/// Where the ingress port leads: the port of the target's ready pods.
fn ingress_targets(
    target: IngressTarget,
    services: &[Arc<Service>],
    slices: &[Arc<EndpointSlice>],
) -> Targets {
    let service = services.iter().find(|service| {
        (service.namespace().as_deref(), service.name_any().as_str())
            == (Some(target.namespace), target.service)
    });
    let port = service.and_then(|service| {
        let mut ports = service.spec.as_ref()?.ports.as_ref()?.iter();
        Some((service, ports.find(|port| port.port == target.port)?))
    });
    port.map_or_else(Targets::new, |(service, port)| {
        forward::targets(service, port, slices)
    })
}

/// Keeps the network current until `stop` is cancelled.
pub async fn run(
    caches: Caches,
    runtime: Arc<dyn PodRuntime>,
    mut services: Box<dyn ServiceNetwork>,
    ingress: Ingress,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let mut changes = caches.changes();
    let ingress_to = Arc::new(RwLock::new(Targets::new()));
    tasks.spawn(forward::accept(
        ingress.listener,
        ingress_to.clone(),
        runtime,
        stop.clone(),
    ));
    loop {
        let known = KnownServices {
            namespaces: caches.namespaces.list(),
            services: caches.services.list(),
            slices: caches.endpoint_slices.list(),
            pods: caches.pods.list(),
        };
        *ingress_to.write().unwrap_or_else(PoisonError::into_inner) =
            ingress_targets(ingress.target, &known.services, &known.slices);
        let failed = services.publish(&known).await;
        tokio::select! {
            () = stop.cancelled() => return,
            _ = changes.changed() => {}
            () = tokio::time::sleep(Duration::from_secs(1)), if failed => {}
        }
    }
}
