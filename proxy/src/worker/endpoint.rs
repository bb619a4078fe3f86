//! An endpoint as one worker sees it: its idle connections, what is on its way to it, and where it is counted.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mesh_ir::{Direction, Limits, Workload};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::client::DownstreamTls;
use super::http2_pool::Http2Pool;
use super::io::Io;
use super::upstream::MetricsContext;
use crate::health::{Host, outlier::Outcome};
use crate::limits::Permit;
use crate::runtime::{Cluster, Transport};
use crate::telemetry::metrics::{HostCells, Peer, Series};
use crate::tls::TlsFacts;

/// Idle connections that are kept for one endpoint.
const MAX_IDLE: usize = 1024;

/// Hosts of requests for which an endpoint has connections of their own, where the server is asked for that host in TLS. Those of the
/// host that came first make room for more.
const MAX_HOSTS: usize = 64;

/// Most workloads of which an endpoint knows where their requests count.
const MAX_SOURCES: usize = 64;

/// Envoy's limit for idle connections where none is configured.
pub const IDLE_LIMIT: Duration = Duration::from_secs(3600);

/// An endpoint as one worker sees it.
#[derive(Debug)]
pub struct LocalEndpoint {
    /// Address.
    pub address: SocketAddr,
    /// Its counters, of this worker.
    pub cells: Arc<HostCells>,
    /// Whether and how TLS is spoken to it.
    pub transport: Transport,
    /// Whether a proxy of the mesh is in front of it.
    pub offers_mtls: bool,
    /// Connections of HTTP/2.
    pub http2: Http2Pool,
    workload: Option<Workload>,
    /// Requests on their way, those for its hosts among them.
    active: Rc<Cell<u32>>,
    /// The same endpoint for requests to one host each.
    hosts: RefCell<VecDeque<(Box<str>, Rc<Self>)>>,
    idle: RefCell<Vec<Idle>>,
    pool: Rc<Pool>,
    /// What is known of it; none where nothing needs to be.
    host: RefCell<Option<Arc<Host>>>,
    /// Whether newer configurations have no such endpoint, so that connections to it are of no use.
    retired: Cell<bool>,
    /// What the last handshake has told; none without TLS.
    tls: RefCell<Option<Rc<TlsFacts>>>,
    /// Where requests count whose clients have not proven who they are.
    series: RefCell<Option<Rc<Series>>>,
    /// The same by the workloads that they say they are of.
    by_source: RefCell<Vec<(Arc<Peer>, Rc<Series>)>>,
}

/// A connection to an endpoint.
#[derive(Debug)]
pub struct Connection {
    /// Its bytes.
    pub io: Io,
    /// Our side.
    pub local: SocketAddr,
    /// Requests that were sent on it.
    pub requests: u32,
    /// Whether it has a request whose answer has not ended.
    pub busy: bool,
    since: Instant,
    cells: Arc<HostCells>,
    _slot: Slot,
}

/// The connections of an endpoint, and the requests that wait for one.
#[derive(Debug, Default)]
pub struct Pool {
    connections: Cell<u32>,
    waiting: RefCell<VecDeque<oneshot::Sender<()>>>,
}

/// A connection among those of its endpoint and its cluster, until this is dropped; then the next one that waits may take its place.
#[derive(Debug)]
pub struct Slot {
    pool: Rc<Pool>,
    _permit: Permit,
}

/// A request among those that wait for a connection, until this is dropped.
#[derive(Debug)]
pub struct Pending(Arc<HostCells>);

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// A request on its way to an endpoint.
#[derive(Debug)]
pub struct Active(Rc<LocalEndpoint>);

// === impl LocalEndpoint ===

impl LocalEndpoint {
    /// An endpoint without connections.
    pub fn new(
        cluster: &Cluster,
        address: SocketAddr,
        (transport, offers_mtls): (Transport, bool),
        workload: Option<Workload>,
        metrics: &MetricsContext,
    ) -> Rc<Self> {
        Rc::new(Self {
            address,
            cells: metrics.worker.host(cluster.name(), address),
            transport,
            offers_mtls,
            workload,
            http2: Http2Pool::default(),
            active: Rc::default(),
            hosts: RefCell::default(),
            idle: RefCell::default(),
            pool: Rc::default(),
            host: RefCell::default(),
            retired: Cell::new(false),
            tls: RefCell::default(),
            series: RefCell::default(),
            by_source: RefCell::default(),
        })
    }

    /// Whether a server is asked for the host of each request, so that requests to different hosts do not share connections.
    #[inline]
    pub fn is_of_request(&self) -> bool {
        matches!(&self.transport, Transport::Tls(tls) if tls.is_of_request())
    }

    /// The endpoint whose connections a request to `host`, without its port, may use. None if that is nothing that can be asked for.
    pub fn for_host(&self, host: &[u8]) -> Option<Rc<Self>> {
        let Transport::Tls(tls) = &self.transport else {
            return None;
        };
        let host = std::str::from_utf8(host).ok()?;
        // IPv6 addresses.
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        let mut hosts = self.hosts.borrow_mut();
        if let Some((_, known)) = hosts.iter().find(|(known, _)| **known == *host) {
            return Some(known.clone());
        }
        let endpoint = Rc::new(Self {
            address: self.address,
            cells: self.cells.clone(),
            transport: Transport::Tls(Arc::new(tls.for_host(&host)?)),
            offers_mtls: self.offers_mtls,
            workload: self.workload.clone(),
            http2: Http2Pool::default(),
            active: self.active.clone(),
            hosts: RefCell::default(),
            idle: RefCell::default(),
            pool: Rc::default(),
            host: self.host.clone(),
            retired: self.retired.clone(),
            tls: RefCell::default(),
            series: RefCell::default(),
            by_source: RefCell::default(),
        });
        if hosts.len() >= MAX_HOSTS
            && let Some((_, oldest)) = hosts.pop_front()
        {
            oldest.retire();
        }
        hosts.push_back((host.into(), endpoint.clone()));
        Some(endpoint)
    }

    /// The same endpoint for the hosts that requests have named.
    fn of_hosts(&self) -> Vec<Rc<Self>> {
        let hosts = self.hosts.borrow();
        hosts.iter().map(|(_, endpoint)| endpoint.clone()).collect()
    }

    /// Whether it is the endpoint that a configuration describes. Connections that were made by other settings must not be used again.
    pub fn is_of(
        &self,
        (transport, offers_mtls): (&Transport, bool),
        workload: Option<&Workload>,
    ) -> bool {
        self.transport.is(transport)
            && self.offers_mtls == offers_mtls
            && self.workload.as_ref() == workload
    }

    /// Says where what becomes of its requests is taken down.
    pub fn watch(&self, host: Option<&Arc<Host>>) {
        self.host.replace(host.cloned());
        for endpoint in self.of_hosts() {
            endpoint.watch(host);
        }
    }

    /// Takes down what became of a request or a connection.
    #[inline]
    pub fn report(&self, cluster: &Cluster, outcome: Outcome) {
        if let Some(rules) = &cluster.config.client.outliers
            && let Some(host) = &*self.host.borrow()
        {
            cluster.hosts.report(host, rules, outcome);
        }
    }

    /// Requests on their way to it.
    #[inline]
    pub fn active(&self) -> u32 {
        self.active.get()
    }

    /// Closes its idle connections, and keeps none from now on: those that requests still use are closed after them.
    pub fn retire(&self) {
        self.retired.set(true);
        self.idle.take();
        self.http2.retire();
        for (_, endpoint) in self.hosts.take() {
            endpoint.retire();
        }
    }

    /// Closes its idle connections of HTTP/1.1. Whether there were any.
    pub fn close_idle(&self) -> bool {
        let mut closed = !self.idle.take().is_empty();
        for endpoint in self.of_hosts() {
            closed |= endpoint.close_idle();
        }
        closed
    }

    /// Whether it has been retired.
    #[cfg(test)]
    pub fn is_retired(&self) -> bool {
        self.retired.get()
    }

    /// The idle connection that was used last, if one is still good.
    #[inline]
    pub fn reuse(&self, limits: &Limits) -> Option<Connection> {
        loop {
            let mut idle = self.idle.borrow_mut().pop()?;
            if idle.is_open() && idle.is_young(limits) {
                return Some(idle.connection);
            }
        }
    }

    /// Whether it has no connections at all, not even some that are not established yet.
    pub fn has_no_connections(&self) -> bool {
        self.pool.connections.get() == 0
    }

    /// Its connections, and who waits for one.
    pub fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }

    /// Counts a connection that is to be established.
    pub fn slot(&self, permit: Permit) -> Slot {
        let connections = &self.pool.connections;
        connections.set(connections.get() + 1);
        Slot {
            pool: self.pool.clone(),
            _permit: permit,
        }
    }

    /// Counts a request that waits for a connection.
    pub fn pending(&self) -> Pending {
        self.cells.rq_pending_total.inc();
        self.cells.rq_pending_active.inc();
        Pending(self.cells.clone())
    }

    /// Whether requests wait for a connection.
    pub fn has_waiting(&self) -> bool {
        !self.pool.waiting.borrow().is_empty()
    }

    /// Ready when a connection has got free or has ended, for whoever has waited longest. Who has been waked in vain is first again.
    pub fn wait(&self, again: bool) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.pool.waiting.borrow_mut();
        if again {
            waiting.push_front(sender);
        } else {
            waiting.push_back(sender);
        }
        receiver
    }

    /// Keeps a connection for the next request.
    #[inline]
    pub fn keep(&self, connection: Connection, now: Instant, limits: &Limits) {
        let life = limits.max_connection_duration;
        if life.is_some_and(|life| now.saturating_duration_since(connection.since) >= life) {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE && !self.retired.get() {
            idle.push(Idle {
                connection,
                since: now,
            });
            self.pool.wake();
        }
    }

    /// A connection that was just established.
    pub fn established(
        &self,
        stream: tokio::net::TcpStream,
        slot: Slot,
    ) -> std::io::Result<Connection> {
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        self.cells.cx_total.inc();
        self.cells.cx_active.inc();
        Ok(Connection {
            io: Io::Plain(stream),
            local,
            requests: 0,
            busy: false,
            since: Instant::now(),
            cells: self.cells.clone(),
            _slot: slot,
        })
    }

    /// Closes idle connections that have been idle or there for too long, or that the other side has closed. True if some are left.
    pub fn sweep(&self, now: Instant, limits: &Limits) -> bool {
        let mut idle = self.idle.borrow_mut();
        idle.retain_mut(|idle| idle.is_within(now, limits) && idle.is_open());
        if idle.is_empty() {
            idle.shrink_to_fit();
        }
        let mut left = self.http2.sweep(now, limits) | !idle.is_empty();
        for endpoint in self.of_hosts() {
            left |= endpoint.sweep(now, limits);
        }
        left
    }

    /// Takes down what a handshake with it has told.
    pub fn greeted(&self, facts: TlsFacts) {
        let before = self.tls.replace(Some(Rc::new(facts)));
        let identity =
            |tls: &Option<Rc<TlsFacts>>| tls.as_ref().and_then(|tls| tls.identity.clone());
        if identity(&before) != identity(&self.tls.borrow()) {
            self.series.take();
        }
    }

    /// What the last handshake with it has told.
    pub fn tls_facts(&self) -> Option<Rc<TlsFacts>> {
        self.tls.borrow().clone()
    }

    /// Where requests of a workload count that has told who it is, and proven nothing.
    fn series_of(&self, source: &Arc<Peer>, make: impl FnOnce() -> Series) -> Rc<Series> {
        let mut known = self.by_source.borrow_mut();
        if let Some((_, series)) = known.iter().find(|(peer, _)| Arc::ptr_eq(peer, source)) {
            return series.clone();
        }
        if known.len() >= MAX_SOURCES {
            known.clear();
        }
        let series = Rc::new(make());
        known.push((source.clone(), series.clone()));
        series
    }

    /// The workload that it belongs to, as far as it is known.
    pub fn workload(&self) -> Option<&Workload> {
        self.workload.as_ref()
    }

    /// Where requests to it count, by what their client has told in TLS.
    #[inline]
    pub fn series(
        self: &Rc<Self>,
        direction: Direction,
        cluster: &Cluster,
        metrics: &MetricsContext,
        (client, source): (Option<&DownstreamTls>, Option<&Arc<Peer>>),
    ) -> Rc<Series> {
        let make = |tls: Option<&TlsFacts>| {
            let workload = self.workload.as_ref();
            metrics.series(direction, Some(cluster), workload, (tls, source.cloned()))
        };
        if direction == Direction::Inbound
            && let Some(client) = client
        {
            return client.series(self, source, |facts| make(Some(facts)));
        }
        if let Some(source) = source {
            return self.series_of(source, || make(None));
        }
        let mut known = self.series.borrow_mut();
        let series = known.get_or_insert_with(|| {
            let own = self.tls.borrow();
            Rc::new(make(own.as_deref()))
        });
        series.clone()
    }
}

// === impl Idle ===

impl Idle {
    fn is_open(&mut self) -> bool {
        self.connection.io.is_open()
    }

    /// Whether no limit of its age that is configured has passed. The clock is looked at only where there is one; what has no limit of its
    /// own is closed by the next sweep.
    #[inline]
    fn is_young(&self, limits: &Limits) -> bool {
        let has_limit = limits.idle_timeout.is_some() || limits.max_connection_duration.is_some();
        !has_limit || self.is_within(Instant::now(), limits)
    }

    fn is_within(&self, now: Instant, limits: &Limits) -> bool {
        let life = limits.max_connection_duration;
        let age = now.saturating_duration_since(self.connection.since);
        now.saturating_duration_since(self.since) < limits.idle_timeout.unwrap_or(IDLE_LIMIT)
            && life.is_none_or(|life| age < life)
    }
}

// === impl Pool ===

impl Pool {
    /// Lets all requests look for a connection.
    pub fn wake_all(&self) {
        for next in self.waiting.take() {
            // Those that have given up do not look.
            let _ = next.send(());
        }
    }

    /// Lets the request that has waited longest look for a connection.
    #[inline]
    pub fn wake(&self) {
        // Those that have given up are passed over.
        while let Some(next) = self.waiting.borrow_mut().pop_front() {
            if next.send(()).is_ok() {
                break;
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let connections = &self.pool.connections;
        connections.set(connections.get().saturating_sub(1));
        self.pool.wake();
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.rq_pending_active.dec();
    }
}

// === impl Connection ===

impl Drop for Connection {
    /// A request that is given up is broken off: an orderly end could mean that its answer is still waited for.
    fn drop(&mut self) {
        if self.busy {
            self.io.reset_on_drop();
        }
        self.cells.cx_active.dec();
    }
}

// === impl Active ===

impl Active {
    /// Counts a request that goes to an endpoint, until this is dropped.
    #[inline]
    pub fn new(endpoint: &Rc<LocalEndpoint>) -> Self {
        endpoint.active.set(endpoint.active.get() + 1);
        endpoint.cells.rq_active.inc();
        Self(endpoint.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get().saturating_sub(1));
        self.0.cells.rq_active.dec();
    }
}
