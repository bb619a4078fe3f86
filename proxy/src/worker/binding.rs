//! Which chain a connection belongs to, across configurations.
//!
//! ```text
//! request comes --resume--> Binding: runtime and chain --served, rest--> IdleBinding --> next request
//! ```
//!
//! A connection holds a runtime only while it serves a request. In between it knows what its chain is found by, so that a configuration
//! that is replaced is freed, however many connections are idle. Chains that the next configuration does not have any more are kept by the
//! worker for a while ([`Worker::runtime`]); connections that still belong to one end after their next answer, or when that time is over.

use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use mesh_ir::Transport;
use mesh_ir::evaluate::ConnectionFacts;
use smallvec::SmallVec;

use super::exchange::RequestContext;
use super::local::{Worker, WorkerRuntime};
use crate::runtime::{Chain, Http, Network};
use crate::tls::ClientHello;

/// What the first bytes of a connection show.
#[derive(Clone, Debug, Default)]
pub enum Detected {
    /// Nothing that matters.
    #[default]
    Nothing,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 in plaintext.
    Http2,
    /// The beginning of TLS.
    Tls(Rc<ClientHello>),
}

/// What a connection's chain is found by.
#[derive(Clone, Debug)]
struct Criteria {
    listener: Arc<str>,
    /// The client.
    source: SocketAddr,
    /// Where the connection was meant to go.
    destination: SocketAddr,
    /// What was detected.
    detected: Detected,
}

/// A connection's chain, together with the runtime that its positions belong to.
#[derive(Clone, Debug)]
pub struct Binding {
    criteria: Criteria,
    /// The runtime.
    pub runtime: Rc<WorkerRuntime>,
    /// The chain.
    pub chain: Arc<Chain>,
    /// Whether newer configurations have no such chain any more, so that the connection is to end.
    pub retired: bool,
}

/// The same while the connection waits for a request: it keeps no configuration.
#[derive(Clone, Debug)]
pub struct IdleBinding {
    criteria: Criteria,
    http: bool,
    runtime: Weak<WorkerRuntime>,
    chain: std::sync::Weak<Chain>,
}

// === impl Criteria ===

impl Criteria {
    fn find(&self, runtime: &WorkerRuntime) -> Option<Arc<Chain>> {
        let plain = ConnectionFacts::plaintext(self.source, self.destination);
        let offered: SmallVec<[&str; 4]>;
        let connection = match &self.detected {
            Detected::Nothing => plain,
            Detected::Http1 => ConnectionFacts {
                application_protocols: &["http/1.1"],
                ..plain
            },
            Detected::Http2 => ConnectionFacts {
                application_protocols: &["h2c"],
                ..plain
            },
            Detected::Tls(hello) => {
                offered = hello.protocols.iter().map(|name| &**name).collect();
                ConnectionFacts {
                    transport: Transport::Tls,
                    server_name: hello.server_name.as_deref(),
                    application_protocols: &offered,
                    ..plain
                }
            }
        };
        let listener = runtime.shared.listener(&self.listener)?;
        listener.chain(&connection).cloned()
    }
}

// === impl Binding ===

impl Binding {
    /// The chain of a listener for a connection; none if no chain takes it.
    pub fn new(
        runtime: Rc<WorkerRuntime>,
        listener: &Arc<str>,
        (source, destination): (SocketAddr, SocketAddr),
        detected: Detected,
    ) -> Option<Self> {
        let criteria = Criteria {
            listener: listener.clone(),
            source,
            destination,
            detected,
        };
        let chain = criteria.find(&runtime)?;
        Some(Self {
            criteria,
            runtime,
            chain,
            retired: false,
        })
    }

    /// Where the connection was meant to go.
    pub fn destination(&self) -> SocketAddr {
        self.criteria.destination
    }

    /// How requests on the connection are served by its chain.
    pub fn context<'a>(&'a self, http: &'a Http) -> RequestContext<'a> {
        RequestContext {
            http,
            routes: http.routes.as_deref(),
            direct: None,
            destination: self.destination(),
            known_destination: true,
            direction: http.config.direction,
        }
    }

    /// How long the connection may wait for a request; none where its chain does not say so.
    pub fn idle_timeout(&self) -> Option<Duration> {
        match &self.chain.network {
            Network::Http(http) => http.config.idle_timeout,
            Network::Tcp(_) => None,
        }
    }

    /// Lets go of the configuration until the next request.
    #[inline]
    pub fn rest(self) -> IdleBinding {
        IdleBinding {
            http: is_http(&self.chain),
            runtime: Rc::downgrade(&self.runtime),
            chain: Arc::downgrade(&self.chain),
            criteria: self.criteria,
        }
    }
}

// === impl IdleBinding ===

impl IdleBinding {
    /// The chain in the worker's newest configuration; the one of before, retired, as long as it is kept; none after that.
    #[inline]
    pub fn resume(self, worker: &Rc<Worker>) -> Option<Binding> {
        let newest = worker.runtime();
        if let (Some(runtime), Some(chain)) = (self.runtime.upgrade(), self.chain.upgrade())
            && Rc::ptr_eq(&runtime, &newest)
        {
            return Some(Binding {
                criteria: self.criteria,
                runtime,
                chain,
                retired: false,
            });
        }
        self.rebind(newest)
    }

    /// Whether the connection has no chain any more, neither in the newest configuration nor in one that is kept.
    pub fn is_gone(&self, worker: &Rc<Worker>) -> bool {
        self.runtime.strong_count() == 0 && self.find(&worker.runtime()).is_none()
    }

    fn find(&self, runtime: &WorkerRuntime) -> Option<Arc<Chain>> {
        let chain = self.criteria.find(runtime)?;
        (is_http(&chain) == self.http).then_some(chain)
    }

    #[cold]
    fn rebind(self, newest: Rc<WorkerRuntime>) -> Option<Binding> {
        let (runtime, chain, retired) = match self.find(&newest) {
            Some(chain) => (newest, chain, false),
            None => (self.runtime.upgrade()?, self.chain.upgrade()?, true),
        };
        Some(Binding {
            criteria: self.criteria,
            runtime,
            chain,
            retired,
        })
    }
}

fn is_http(chain: &Chain) -> bool {
    matches!(chain.network, Network::Http(_))
}
