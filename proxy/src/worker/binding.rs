//! Which chain a connection belongs to, across configurations.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use super::local::{View, Worker};
use crate::runtime::{Chain, Network};

/// A connection's chain, together with the view that its positions belong to.
#[derive(Clone, Debug)]
pub struct Binding {
    listener: Arc<str>,
    /// Where the connection was meant to go.
    pub destination: SocketAddr,
    /// What was detected.
    http: Option<bool>,
    /// The view.
    pub view: Rc<View>,
    /// The chain.
    pub chain: Arc<Chain>,
    /// Whether newer configurations have no such chain any more, so that the connection is to end.
    pub retired: bool,
}

// === impl Binding ===

impl Binding {
    /// The chain of a listener for a connection; none if no chain takes it.
    pub fn new(
        view: Rc<View>,
        listener: &Arc<str>,
        destination: SocketAddr,
        http: Option<bool>,
    ) -> Option<Self> {
        let chain = view
            .runtime
            .listener(listener)?
            .chain(destination, http)?
            .clone();
        Some(Self {
            listener: listener.clone(),
            destination,
            http,
            view,
            chain,
            retired: false,
        })
    }

    /// Follows the worker to its newest configuration.
    #[inline]
    pub fn refresh(&mut self, worker: &Worker) {
        let view = worker.view();
        if !Rc::ptr_eq(&view, &self.view) && !self.retired {
            self.rebind(view);
        }
    }

    #[cold]
    fn rebind(&mut self, view: Rc<View>) {
        match Self::new(view, &self.listener, self.destination, self.http) {
            Some(binding) if binding.is_http() == self.is_http() => *self = binding,
            _ => self.retired = true,
        }
    }

    fn is_http(&self) -> bool {
        matches!(self.chain.network, Network::Http(_))
    }
}
