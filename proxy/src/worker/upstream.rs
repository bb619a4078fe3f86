//! One worker's side of the clusters: endpoints with their idle connections, what is on its way to them, and where it is counted.
//!
//! Everything here belongs to one worker and is found by position, so that a request takes no lock and hashes nothing. What the worker
//! keeps of an endpoint outlives configurations: it is found again by the cluster's name and the endpoint's address.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mesh_ir::{Direction, Workload};
use rustc_hash::FxHashMap;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::balance::{self, Candidates};
use crate::runtime::{Cluster, Source};
use crate::telemetry::metrics::{
    HostCells, Peer, Security, Series, SeriesKey, Service, WorkerCells, WorkerMetrics,
};

/// Idle connections that are kept for one endpoint.
const MAX_IDLE: usize = 1024;

/// Endpoints that are kept for a cluster of original destinations.
const MAX_DESTINATIONS: usize = 1024;

/// Envoy's limit for idle connections where none is configured.
const IDLE_LIMIT: Duration = Duration::from_secs(3600);

/// A cluster as one worker sees it.
#[derive(Debug)]
pub struct LocalCluster {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    set: RefCell<Rc<EndpointSet>>,
    destinations: RefCell<FxHashMap<SocketAddr, Rc<LocalEndpoint>>>,
    next: Cell<usize>,
    /// Series of requests for which no endpoint was found.
    unserved: OnceCell<Series>,
}

/// The endpoints that may be chosen.
#[derive(Debug, Default)]
pub struct EndpointSet {
    endpoints: Vec<Rc<LocalEndpoint>>,
    weights: Option<Vec<u64>>,
    /// What the endpoints of host names were made from.
    resolved: Option<Arc<Vec<SocketAddr>>>,
}

/// An endpoint as one worker sees it.
#[derive(Debug)]
pub struct LocalEndpoint {
    /// Address.
    pub address: SocketAddr,
    /// Its counters, of this worker.
    pub cells: Arc<HostCells>,
    workload: Option<Workload>,
    active: Cell<u32>,
    idle: RefCell<Vec<Idle>>,
    series: OnceCell<Series>,
}

/// A connection to an endpoint.
#[derive(Debug)]
pub struct Connection {
    /// The socket.
    pub stream: TcpStream,
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

/// Where one worker counts, and what its series are named by.
#[derive(Clone, Debug)]
pub struct MetricsContext {
    /// Who the proxy speaks for.
    pub identity: Option<Arc<Peer>>,
    /// Where to count.
    pub worker: WorkerMetrics,
}

// === impl LocalCluster ===

impl LocalCluster {
    /// A cluster, with what is known of its endpoints from before.
    pub fn new(
        cluster: Arc<Cluster>,
        before: Option<&LocalCluster>,
        metrics: &MetricsContext,
    ) -> Self {
        let set = match &cluster.source {
            Source::Known { eligible, .. } => {
                let endpoints: Vec<_> = eligible
                    .iter()
                    .map(|endpoint| {
                        let known = before.and_then(|before| {
                            before.known(endpoint.address, endpoint.workload.as_ref())
                        });
                        known.unwrap_or_else(|| {
                            LocalEndpoint::new(
                                &cluster,
                                endpoint.address,
                                endpoint.workload.clone(),
                                metrics,
                            )
                        })
                    })
                    .collect();
                let same = eligible.windows(2).all(|pair| match pair {
                    [a, b] => a.weight == b.weight,
                    _ => true,
                });
                let sums = eligible.iter().scan(0_u64, |sum, endpoint| {
                    *sum += u64::from(endpoint.weight);
                    Some(*sum)
                });
                EndpointSet {
                    weights: (!same).then(|| sums.collect()),
                    endpoints,
                    resolved: None,
                }
            }
            Source::Dns(_) | Source::OriginalDestination => EndpointSet::default(),
        };
        let destinations = match (&cluster.source, before) {
            (Source::OriginalDestination, Some(before)) => before.destinations.take(),
            _ => FxHashMap::default(),
        };
        let local = Self {
            set: RefCell::new(Rc::new(set)),
            destinations: RefCell::new(destinations),
            next: Cell::new(before.map_or(0, |before| before.next.get())),
            unserved: OnceCell::new(),
            cluster,
        };
        if let (Source::Dns(_), Some(before)) = (&local.cluster.source, before) {
            local.set.replace(before.set.borrow().clone());
        }
        local
    }

    fn known(&self, address: SocketAddr, workload: Option<&Workload>) -> Option<Rc<LocalEndpoint>> {
        let set = self.set.borrow();
        let known = set
            .endpoints
            .iter()
            .find(|endpoint| endpoint.address == address)?;
        (known.workload.as_ref() == workload).then(|| known.clone())
    }

    /// Chooses an endpoint that `avoid` does not hold, if one is found within so many attempts, else any.
    pub fn pick(
        &self,
        destination: Option<SocketAddr>,
        avoid: &[SocketAddr],
        attempts: u32,
        metrics: &MetricsContext,
        mut random: impl FnMut() -> u64,
    ) -> Option<Rc<LocalEndpoint>> {
        if let Source::OriginalDestination = self.cluster.source {
            return Some(self.destination(destination?, metrics));
        }
        let set = self.endpoints(metrics);
        let mut picked = None;
        for _ in 0..=attempts {
            let next = self.next.get();
            self.next.set(next.wrapping_add(1));
            let how = self.cluster.config.client.balancing;
            let endpoint = set
                .endpoints
                .get(balance::pick(how, &*set, next, &mut random)?)?;
            picked = Some(endpoint.clone());
            if !avoid.contains(&endpoint.address) {
                break;
            }
        }
        picked
    }

    /// The endpoints as of now.
    fn endpoints(&self, metrics: &MetricsContext) -> Rc<EndpointSet> {
        let set = self.set.borrow().clone();
        let Source::Dns(resolved) = &self.cluster.source else {
            return set;
        };
        let addresses = resolved.addresses();
        if set
            .resolved
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, &addresses))
        {
            return set;
        }
        let endpoints = addresses.iter().map(|address| {
            self.known(*address, None)
                .unwrap_or_else(|| LocalEndpoint::new(&self.cluster, *address, None, metrics))
        });
        let set = Rc::new(EndpointSet {
            endpoints: endpoints.collect(),
            weights: None,
            resolved: Some(addresses),
        });
        self.set.replace(set.clone());
        set
    }

    fn destination(&self, address: SocketAddr, metrics: &MetricsContext) -> Rc<LocalEndpoint> {
        let mut destinations = self.destinations.borrow_mut();
        if let Some(endpoint) = destinations.get(&address) {
            return endpoint.clone();
        }
        if destinations.len() >= MAX_DESTINATIONS {
            destinations.retain(|_, endpoint| Rc::strong_count(endpoint) > 1);
        }
        let endpoint = LocalEndpoint::new(&self.cluster, address, None, metrics);
        destinations.insert(address, endpoint.clone());
        endpoint
    }

    /// Closes idle connections that have been idle for too long or that the other side has closed. True if some are left.
    pub fn sweep(&self, now: Instant) -> bool {
        let limit = self
            .cluster
            .config
            .client
            .limits
            .idle_timeout
            .unwrap_or(IDLE_LIMIT);
        let mut left = false;
        let mut sweep = |endpoint: &Rc<LocalEndpoint>| left |= endpoint.sweep(now, limit);
        self.set.borrow().endpoints.iter().for_each(&mut sweep);
        self.destinations.borrow().values().for_each(&mut sweep);
        left
    }

    /// Where requests count for which there is no endpoint.
    pub fn unserved(&self, direction: Direction, metrics: &MetricsContext) -> &Series {
        self.unserved
            .get_or_init(|| metrics.series(direction, Some(&self.cluster), None))
    }
}

// === impl EndpointSet ===

impl Candidates for EndpointSet {
    fn count(&self) -> usize {
        self.endpoints.len()
    }

    fn active(&self, index: usize) -> u32 {
        self.endpoints
            .get(index)
            .map_or(u32::MAX, |endpoint| endpoint.active.get())
    }

    fn weights(&self) -> Option<&[u64]> {
        self.weights.as_deref()
    }
}

// === impl LocalEndpoint ===

impl LocalEndpoint {
    fn new(
        cluster: &Cluster,
        address: SocketAddr,
        workload: Option<Workload>,
        metrics: &MetricsContext,
    ) -> Rc<Self> {
        Rc::new(Self {
            address,
            cells: metrics.worker.host(cluster.name(), address),
            workload,
            active: Cell::new(0),
            idle: RefCell::default(),
            series: OnceCell::new(),
        })
    }

    /// The idle connection that was used last, if one is still good.
    #[inline]
    pub fn reuse(&self) -> Option<Connection> {
        loop {
            let idle = self.idle.borrow_mut().pop()?;
            if idle.is_open() {
                return Some(idle.connection);
            }
        }
    }

    /// Keeps a connection for the next request.
    #[inline]
    pub fn keep(&self, connection: Connection, now: Instant) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE {
            idle.push(Idle {
                connection,
                since: now,
            });
        }
    }

    /// A connection that was just established.
    pub fn established(&self, stream: TcpStream) -> std::io::Result<Connection> {
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        self.cells.cx_total.inc();
        self.cells.cx_active.inc();
        Ok(Connection {
            stream,
            local,
            requests: 0,
            cells: self.cells.clone(),
        })
    }

    fn sweep(&self, now: Instant, limit: Duration) -> bool {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|idle| now.duration_since(idle.since) < limit && idle.is_open());
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
    /// Whether the other side has neither closed it nor said anything. Costs no system call unless something has happened.
    fn is_open(&self) -> bool {
        let read = self.connection.stream.try_read(&mut [0]);
        matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
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

// === impl MetricsContext ===

impl MetricsContext {
    /// The worker's counters.
    #[inline]
    pub fn cells(&self) -> &WorkerCells {
        self.worker.cells()
    }

    /// The series of requests in a direction to a workload of a cluster.
    pub fn series(
        &self,
        direction: Direction,
        cluster: Option<&Cluster>,
        workload: Option<&Workload>,
    ) -> Series {
        let (source, destination) = match direction {
            Direction::Outbound => (
                self.identity.clone(),
                workload.map(|workload| Arc::new(workload.into())),
            ),
            Direction::Inbound => (None, self.identity.clone()),
        };
        self.worker.series(&SeriesKey {
            direction,
            source,
            destination,
            service: cluster.and_then(service),
            security: match direction {
                Direction::Outbound => Security::Unknown,
                Direction::Inbound => Security::None,
            },
        })
    }
}

/// The service that metrics name for a cluster.
fn service(cluster: &Cluster) -> Option<Service> {
    cluster.config.services.first().map(Into::into)
}
