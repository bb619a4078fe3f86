//! An endpoint as one worker sees it: its idle connections, what is on its way to it, and where it is counted.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mesh_ir::{Direction, Workload};
use tokio::time::Instant;

use super::io::Io;
use super::upstream::MetricsContext;
use crate::runtime::{Cluster, Transport};
use crate::telemetry::metrics::{HostCells, Series};

/// Idle connections that are kept for one endpoint.
const MAX_IDLE: usize = 1024;

/// An endpoint as one worker sees it.
#[derive(Debug)]
pub struct LocalEndpoint {
    /// Address.
    pub address: SocketAddr,
    /// Its counters, of this worker.
    pub cells: Arc<HostCells>,
    /// Whether and how TLS is spoken to it.
    pub transport: Transport,
    workload: Option<Workload>,
    active: Cell<u32>,
    idle: RefCell<Vec<Idle>>,
    /// Whether newer configurations have no such endpoint, so that connections to it are of no use.
    retired: Cell<bool>,
    series: OnceCell<Series>,
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
    cells: Arc<HostCells>,
}

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
        transport: Transport,
        workload: Option<Workload>,
        metrics: &MetricsContext,
    ) -> Rc<Self> {
        Rc::new(Self {
            address,
            cells: metrics.worker.host(cluster.name(), address),
            transport,
            workload,
            active: Cell::new(0),
            idle: RefCell::default(),
            retired: Cell::new(false),
            series: OnceCell::new(),
        })
    }

    /// Whether it is the endpoint that a configuration describes. Connections that were made by other settings must not be used again.
    pub fn is_of(&self, transport: &Transport, workload: Option<&Workload>) -> bool {
        self.transport.is(transport) && self.workload.as_ref() == workload
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
    }

    /// Whether it has been retired.
    #[cfg(test)]
    pub fn is_retired(&self) -> bool {
        self.retired.get()
    }

    /// The idle connection that was used last, if one is still good.
    #[inline]
    pub fn reuse(&self) -> Option<Connection> {
        loop {
            let mut idle = self.idle.borrow_mut().pop()?;
            if idle.is_open() {
                return Some(idle.connection);
            }
        }
    }

    /// Keeps a connection for the next request.
    #[inline]
    pub fn keep(&self, connection: Connection, now: Instant) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE && !self.retired.get() {
            idle.push(Idle {
                connection,
                since: now,
            });
        }
    }

    /// A connection that was just established.
    pub fn established(&self, stream: tokio::net::TcpStream) -> std::io::Result<Connection> {
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        self.cells.cx_total.inc();
        self.cells.cx_active.inc();
        Ok(Connection {
            io: Io::Plain(stream),
            local,
            requests: 0,
            cells: self.cells.clone(),
        })
    }

    /// Closes idle connections that have been idle for `limit` or that the other side has closed. True if some are left.
    pub fn sweep(&self, now: Instant, limit: Duration) -> bool {
        let mut idle = self.idle.borrow_mut();
        idle.retain_mut(|idle| now.duration_since(idle.since) < limit && idle.is_open());
        if idle.is_empty() {
            idle.shrink_to_fit();
        }
        !idle.is_empty()
    }

    /// Where requests to it count.
    #[inline]
    pub fn series(
        &self,
        direction: Direction,
        cluster: &Cluster,
        metrics: &MetricsContext,
    ) -> &Series {
        self.series
            .get_or_init(|| metrics.series(direction, Some(cluster), self.workload.as_ref()))
    }
}

// === impl Idle ===

impl Idle {
    fn is_open(&mut self) -> bool {
        self.connection.io.is_open()
    }
}

// === impl Connection ===

impl Drop for Connection {
    fn drop(&mut self) {
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
        endpoint.cells.rq_total.inc();
        Self(endpoint.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get().saturating_sub(1));
        self.0.cells.rq_active.dec();
    }
}
