//! The workers: one thread, one single-threaded runtime and one set of sockets for each, nothing shared between them while a request is
//! on its way.
//!
//! ```text
//! Workers::apply(ProxyConfig) --compile--> Arc<Runtime> --swap--> every worker sees it at its next request
//!         |
//!         +--bind (SO_REUSEPORT, one socket for each worker)--> accept --> connection --> exchange --> Record
//! ```

mod options;
mod sockets;
mod thread;

mod binding;
mod client;
mod connection;
mod http;
mod http2;
mod proxied;
mod proxy_protocol;
mod tcp;

mod call;
mod dial;
mod drain;
mod edit;
mod endpoint;
mod exchange;
mod grpc;
mod http2_pool;
mod mirror;
mod policies;
mod reply;
mod tunnel;

mod buffer;
mod date_cache;
mod io;
mod local;
mod names;
mod resolve;
mod scratch;
mod stream;
mod timer;
mod upstream;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use mesh_ir::{Direction, ProxyConfig};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::health;
use crate::runtime::{ApplyError, Compiler, Runtime};
use crate::telemetry::export::Collector;
use thread::Command;

pub use io::Io;
pub use local::Draining;
pub use options::Options;

/// How long it is not said again that there are too many connections.
const OVERFLOW_PAUSE: Duration = Duration::from_secs(10);

/// The data path as a whole.
#[derive(Debug)]
pub struct Workers {
    shared: Arc<Shared>,
    threads: Vec<UnboundedSender<Command>>,
    /// Held while a configuration is applied, so that one follows the other.
    bound: Mutex<Bound>,
    names: tokio::task::AbortHandle,
    health: [tokio::task::AbortHandle; 2],
}

/// The sockets of listeners.
#[derive(Debug, Default)]
struct Bound {
    /// Addresses by listener.
    addresses: BTreeMap<Arc<str>, SocketAddr>,
    /// Listeners that take no more connections, and are not opened again.
    closed: Draining,
}

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    options: Options,
    runtime: ArcSwap<Runtime>,
    generation: AtomicU64,
    /// Connections of clients, inbound and outbound.
    connections: [AtomicUsize; 2],
    /// Connections that were accepted so far, and while draining requests as well.
    arrivals: [AtomicUsize; 2],
    /// When it was last said that there are too many.
    overflow_told: Mutex<Option<Instant>>,
    changed: Notify,
}

// === impl Workers ===

impl Workers {
    /// Starts the threads. They have nothing to do until a configuration is applied. Must be called on a runtime, which then looks
    /// up host names.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(options: Options) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            runtime: ArcSwap::default(),
            generation: AtomicU64::new(0),
            connections: Default::default(),
            arrivals: Default::default(),
            overflow_told: Mutex::default(),
            changed: Notify::new(),
            options,
        });
        let threads = (0..shared.options.concurrency.max(1))
            .map(|index| {
                let (sender, commands) = unbounded_channel();
                let shared = shared.clone();
                std::thread::Builder::new()
                    .name(format!("worker-{index}"))
                    .spawn(move || {
                        if let Err(error) = thread::run(shared, commands) {
                            tracing::error!(%error, "failed to start a worker");
                        }
                    })?;
                Ok(sender)
            })
            .collect::<std::io::Result<_>>()?;
        let names = tokio::spawn(names::keep(shared.clone()));
        shared.options.reporter.exports.start({
            let shared = Arc::downgrade(&shared);
            move |cluster| {
                let shared = shared.upgrade()?;
                let runtime = shared.runtime.load_full();
                let view = shared.options.view.clone();
                Collector::of(runtime.cluster_named(cluster)?, rand::random(), view)
            }
        });
        let ejections = {
            let shared = shared.clone();
            tokio::spawn(health::keep(move || shared.runtime.load_full()))
        };
        let checks = {
            let (shared, options) = (shared.clone(), shared.options.clone());
            tokio::spawn(health::active::keep(
                move || shared.runtime.load_full(),
                options.view.clone(),
            ))
        };
        Ok(Self {
            shared,
            threads,
            bound: Mutex::default(),
            names: names.abort_handle(),
            health: [ejections, checks].map(|task| task.abort_handle()),
        })
    }

    /// Takes over a configuration: compiles it, opens what is new, lets all workers see it at once, and closes what is gone. What
    /// cannot be done is told; everything else is done.
    pub fn apply(&self, config: &ProxyConfig) -> Vec<ApplyError> {
        let mut bound = self.bound();
        let before = self.shared.runtime.load_full();
        let reporter = &self.shared.options.reporter;
        let telemetry = |policy: &mesh_ir::TelemetryPolicy| reporter.open(policy);
        let read_file = |path: &str| std::fs::read(self.shared.options.view.path(path));
        let compiler = Compiler {
            before: &before,
            telemetry: &telemetry,
            read_file: &read_file,
            namespace: &self.shared.options.namespace,
        };
        let (runtime, mut errors) = compiler.compile(config);
        let (opened, gone) = self.open(config, &mut bound, &mut errors);
        let generation = runtime.generation;
        self.shared.runtime.store(Arc::new(runtime));
        self.shared.generation.store(generation, Ordering::Release);
        for (name, sockets) in opened {
            for (thread, socket) in self.threads.iter().zip(sockets) {
                // A worker only ends with the process.
                let _ = thread.send(Command::Listen(name.clone(), socket));
            }
        }
        for name in gone {
            self.tell(|| Command::Stop(name.clone()));
        }
        self.tell(|| Command::Refresh);
        self.shared.changed.notify_one();
        errors
    }

    /// Opens the sockets that the configuration needs, and forgets those that it does not need any more.
    #[expect(clippy::type_complexity, reason = "sockets by listener, and listeners")]
    fn open(
        &self,
        config: &ProxyConfig,
        bound: &mut Bound,
        errors: &mut Vec<ApplyError>,
    ) -> (Vec<(Arc<str>, Vec<std::net::TcpListener>)>, Vec<Arc<str>>) {
        let options = &self.shared.options;
        let Bound {
            addresses: bound,
            closed,
        } = bound;
        let wanted: BTreeMap<&Arc<str>, SocketAddr> = config
            .listeners
            .iter()
            .filter(|listener| listener.bind && !closed.covers(listener.direction))
            .map(|listener| (&listener.name, options.view.to_bind(listener.address)))
            .collect();
        let gone: Vec<Arc<str>> = bound
            .iter()
            .filter(|(name, address)| wanted.get(name) != Some(address))
            .map(|(name, _)| name.clone())
            .collect();
        for name in &gone {
            bound.remove(name);
        }
        let mut opened = Vec::new();
        for (name, address) in wanted {
            if bound.contains_key(name) {
                continue;
            }
            match sockets::open(address, self.threads.len()) {
                Ok(sockets) => {
                    bound.insert(name.clone(), address);
                    opened.push((name.clone(), sockets));
                }
                Err(source) => errors.push(ApplyError::Bind {
                    listener: name.clone(),
                    address,
                    source,
                }),
            }
        }
        let replaced = |name: &Arc<str>| opened.iter().any(|(other, _)| other == name);
        let gone = gone.into_iter().filter(|name| !replaced(name)).collect();
        (opened, gone)
    }

    /// Connections of clients now.
    pub fn connections(&self) -> usize {
        let [inbound, outbound] = &self.shared.connections;
        inbound.load(Ordering::Relaxed) + outbound.load(Ordering::Relaxed)
    }

    /// What workers go by now.
    pub fn runtime(&self) -> Arc<Runtime> {
        self.shared.runtime.load_full()
    }

    fn bound(&self) -> MutexGuard<'_, Bound> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, command: impl Fn() -> Command) {
        for thread in &self.threads {
            // A worker only ends with the process.
            let _ = thread.send(command());
        }
    }
}

// === impl Shared ===

impl Shared {
    /// Connections of clients in a direction.
    fn connections(&self, direction: Direction) -> &AtomicUsize {
        of(&self.connections, direction)
    }

    /// How many have come in a direction.
    fn arrivals(&self, direction: Direction) -> &AtomicUsize {
        of(&self.arrivals, direction)
    }

    /// Whether there may be another connection of a client.
    fn has_room(&self) -> bool {
        let [inbound, outbound] = &self.connections;
        let open = inbound.load(Ordering::Relaxed) + outbound.load(Ordering::Relaxed);
        if open < self.options.max_connections {
            return true;
        }
        let now = Instant::now();
        let mut told = self
            .overflow_told
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| now - told >= OVERFLOW_PAUSE) {
            *told = Some(now);
            tracing::warn!(
                "closing connections of clients at once: {open} of them are all that the limit of open files allows (ulimit -n)"
            );
        }
        false
    }

    /// One more has come.
    fn arrive(&self, direction: Direction) {
        self.arrivals(direction).fetch_add(1, Ordering::Relaxed);
    }
}

fn of(counters: &[AtomicUsize; 2], direction: Direction) -> &AtomicUsize {
    let [inbound, outbound] = counters;
    match direction {
        Direction::Inbound => inbound,
        Direction::Outbound => outbound,
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.names.abort();
        self.health.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

#[cfg(test)]
mod tests;
