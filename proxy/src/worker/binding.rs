//! Which chain a connection belongs to, across configurations.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use mesh_ir::evaluate::ConnectionFacts;

use super::local::{Worker, WorkerRuntime};
use crate::runtime::{Chain, Network};

/// Application protocols that the first bytes of a connection show.
pub type Protocols = &'static [&'static str];

/// HTTP/1.1, as filter chains name it.
pub const HTTP1: Protocols = &["http/1.1"];

/// A connection's chain, together with the runtime that its positions belong to.
#[derive(Clone, Debug)]
pub struct Binding {
    listener: Arc<str>,
    /// The client.
    source: SocketAddr,
    /// Where the connection was meant to go.
    pub destination: SocketAddr,
    /// What was detected.
    protocols: Protocols,
    /// The runtime.
    pub runtime: Rc<WorkerRuntime>,
    /// The chain.
    pub chain: Arc<Chain>,
    /// Whether newer configurations have no such chain any more, so that the connection is to end.
    pub retired: bool,
}

// === impl Binding ===

impl Binding {
    /// The chain of a listener for a connection; none if no chain takes it.
    pub fn new(
        runtime: Rc<WorkerRuntime>,
        listener: &Arc<str>,
        (source, destination): (SocketAddr, SocketAddr),
        protocols: Protocols,
    ) -> Option<Self> {
        let connection = ConnectionFacts {
            application_protocols: protocols,
            ..ConnectionFacts::plaintext(source, destination)
        };
        let found = runtime.shared.listener(listener)?.chain(&connection)?;
        let chain = found.clone();
        Some(Self {
            listener: listener.clone(),
            source,
            destination,
            protocols,
            runtime,
            chain,
            retired: false,
        })
    }

    /// Follows the worker to its newest configuration.
    #[inline]
    pub fn refresh(&mut self, worker: &Worker) {
        let runtime = worker.runtime();
        if !Rc::ptr_eq(&runtime, &self.runtime) && !self.retired {
            self.rebind(runtime);
        }
    }

    #[cold]
    fn rebind(&mut self, runtime: Rc<WorkerRuntime>) {
        let addresses = (self.source, self.destination);
        match Self::new(runtime, &self.listener, addresses, self.protocols) {
            Some(binding) if binding.is_http() == self.is_http() => *self = binding,
            _ => self.retired = true,
        }
    }

    fn is_http(&self) -> bool {
        matches!(self.chain.network, Network::Http(_))
    }
}
