//! Services in this back end: rules of the kernel for their addresses, and records of the DNS server for their names.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Service;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::names::Names;
use super::ruleset::{self, Forward, Protocol};
use super::world::NODE;
use super::{Upstream, dns, enter, tools};
use crate::forward::targets;
use crate::runtime::{KnownServices, ServiceNetwork, cluster_ip};

/// The part of the back end that keeps Services.
pub struct NamespaceServices {
    names: Arc<ArcSwap<Names>>,
    written: Vec<Forward>,
}

// === impl NamespaceServices ===

impl NamespaceServices {
    /// No Services yet, and the DNS server, which ends with `stop`.
    ///
    /// # Errors
    /// When the server's address is taken.
    pub fn start(
        upstream: Option<Arc<dyn Upstream>>,
        stop: CancellationToken,
        tasks: &TaskTracker,
    ) -> io::Result<Self> {
        let names = Arc::new(ArcSwap::from_pointee(Names::default()));
        dns::start(names.clone(), upstream, stop, tasks)?;
        Ok(Self {
            names,
            written: Vec::new(),
        })
    }
}

impl ServiceNetwork for NamespaceServices {
    fn publish<'a>(&'a mut self, known: &'a KnownServices) -> BoxFuture<'a, bool> {
        async move {
            self.names.store(Arc::new(Names::of(known)));
            let forwards = forwards(known);
            if forwards == self.written {
                return false;
            }
            let rules = ruleset::render(&forwards);
            match enter::on_thread(move || tools::nft(&rules)).await {
                Ok(()) => {
                    self.written = forwards;
                    false
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to set the rules of Services");
                    true
                }
            }
        }
        .boxed()
    }
}

/// Every port of every Service.
fn forwards(known: &KnownServices) -> Vec<Forward> {
    known
        .services
        .iter()
        .flat_map(|service| of(service, known))
        .collect()
}

fn of(service: &Service, known: &KnownServices) -> Vec<Forward> {
    let Some(IpAddr::V4(own)) = cluster_ip(service) else {
        return Vec::new();
    };
    let Some(spec) = &service.spec else {
        return Vec::new();
    };
    let is_sticky = spec.session_affinity.as_deref() == Some("ClientIP");
    let mut forwards = Vec::new();
    for port in spec.ports.iter().flatten() {
        let targets = ruleset::only_v4(targets(service, port, &known.slices));
        let protocol = Protocol::of(port.protocol.as_deref());
        let node_port = port.node_port.filter(|port| *port != 0);
        let at_node = node_port.map(|port| (NODE, port));
        for (address, port) in [Some((own, port.port)), at_node].into_iter().flatten() {
            let Ok(port) = u16::try_from(port) else {
                continue;
            };
            forwards.push(Forward {
                address,
                protocol,
                port,
                targets: targets.clone(),
                is_sticky,
            });
        }
    }
    forwards
}
