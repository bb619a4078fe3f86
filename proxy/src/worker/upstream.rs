//! One worker's side of the clusters: which endpoints may be chosen, and what is kept of those that were.
//!
//! Everything here belongs to one worker and is found by position, so that a request takes no lock and hashes nothing. What the worker
//! keeps of an endpoint outlives configurations: it is found again by the cluster's name and the endpoint's address. What a new
//! configuration has no endpoint for is let go of at once, with its idle connections.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use mesh_ir::policy::PeerIdentity;
use mesh_ir::{Direction, Workload};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::endpoint::LocalEndpoint;
use crate::balance::{Balancer, Draw};
use crate::runtime::{Cluster, Membership, Source, Transport};
use crate::telemetry::metrics::{
    Peer, Security, Series, SeriesKey, Service, TagValues, WorkerCells, WorkerMetrics,
};
use crate::tls::TlsFacts;

/// Endpoints that are kept for a cluster of original destinations.
const MAX_DESTINATIONS: usize = 1024;

/// How often a new endpoint is passed over at most before it is taken all the same.
const MAX_PASSED: u32 = 32;

/// A cluster as one worker sees it.
#[derive(Debug)]
pub struct LocalCluster {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// None before the first pick.
    set: RefCell<Option<Rc<EndpointSet>>>,
    /// The endpoints that have been chosen so far, which is what configurations that follow each other hand on.
    used: RefCell<FxHashMap<SocketAddr, Rc<LocalEndpoint>>>,
    /// Whether a newer configuration has taken over what is kept of the endpoints.
    superseded: Cell<bool>,
    next: Cell<usize>,
    /// Series of requests for which no endpoint was found.
    unserved: OnceCell<Series>,
}

/// The endpoints of a cluster at one moment. Those that were never chosen cost nothing but their slot.
#[derive(Debug)]
struct EndpointSet {
    slots: Vec<OnceCell<Rc<LocalEndpoint>>>,
    members: Arc<Membership>,
    balancer: Arc<Balancer>,
    /// The generation of the endpoints' health that the balancer is of.
    generation: u64,
}

/// Which endpoint is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'w> {
    /// The connection's original destination, where that is an address.
    pub destination: Option<SocketAddr>,
    /// The request's hash.
    pub hash: Option<u64>,
    /// Endpoints that are not wanted again.
    pub avoid: &'w [SocketAddr],
    /// How often another one is looked for when one of those comes up.
    pub attempts: u32,
}

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
    /// A cluster, with what is known of its endpoints from before. Costs no more than a look at each endpoint, since a request may wait
    /// for it.
    pub fn new(cluster: Arc<Cluster>, before: Option<&LocalCluster>) -> Self {
        let used = before.map(LocalCluster::supersede).unwrap_or_default();
        let used = match &cluster.source {
            Source::Known(members) => keep(used, members.as_deref()),
            // Endpoints that are gone are let go of when it is used.
            Source::Dns(..) | Source::OriginalDestination => used,
        };
        Self {
            set: RefCell::default(),
            used: RefCell::new(used),
            superseded: Cell::new(false),
            next: Cell::new(before.map_or(0, |before| before.next.get())),
            unserved: OnceCell::new(),
            cluster,
        }
    }

    /// Hands on what is kept of the endpoints. Requests that still go by this value keep no connections for others.
    fn supersede(&self) -> FxHashMap<SocketAddr, Rc<LocalEndpoint>> {
        self.superseded.set(true);
        self.used.take()
    }

    /// Lets go of all endpoints: there is no such cluster any more.
    pub fn retire(&self) {
        for endpoint in self.supersede().values() {
            endpoint.retire();
        }
    }

    /// Chooses an endpoint that is not to be avoided, if one is found within so many attempts, else any.
    pub fn pick(
        &self,
        wanted: Wanted<'_>,
        metrics: &MetricsContext,
        mut random: impl FnMut() -> u64,
    ) -> Option<Rc<LocalEndpoint>> {
        if let Source::OriginalDestination = self.cluster.source {
            return Some(self.destination(wanted.destination?, metrics));
        }
        let set = self.endpoints()?;
        let mut picked = None;
        for attempt in 0..=wanted.attempts {
            let index = self.draw(&set, wanted.hash, attempt, &mut random)?;
            let endpoint = self.at(&set, index, metrics)?;
            picked = Some(endpoint.clone());
            if !wanted.avoid.contains(&endpoint.address) {
                break;
            }
        }
        picked
    }

    /// The position of the next endpoint. New ones are passed over as often as their weight is to be less.
    fn draw(
        &self,
        set: &EndpointSet,
        hash: Option<u64>,
        attempt: u32,
        random: &mut impl FnMut() -> u64,
    ) -> Option<usize> {
        let slow_start = &self.cluster.config.client.slow_start;
        let mut left = if slow_start.is_some() { MAX_PASSED } else { 0 };
        loop {
            let next = self.next.get();
            self.next.set(next.wrapping_add(1));
            let draw = Draw {
                hash,
                attempt,
                next,
            };
            let index = set.balancer.pick(draw, random, |index| set.active(index))?;
            let (Some(slow_start), Some(host)) = (slow_start, set.members.host(index)) else {
                return Some(index);
            };
            if left == 0 || !falls_out(random(), host.warmth(slow_start, Instant::now())) {
                return Some(index);
            }
            left -= 1;
        }
    }

    /// The endpoint at a position.
    #[inline]
    fn at<'s>(
        &self,
        set: &'s EndpointSet,
        index: usize,
        metrics: &MetricsContext,
    ) -> Option<&'s Rc<LocalEndpoint>> {
        let slot = set.slots.get(index)?;
        if let Some(endpoint) = slot.get() {
            return Some(endpoint);
        }
        let endpoint = set.members.get(index)?;
        let offers = endpoint.offers_mtls;
        let transport = (self.cluster.transport(offers), offers);
        let workload = endpoint.workload.as_ref();
        Some(slot.get_or_init(|| {
            let local = self.endpoint(endpoint.address, transport, workload, metrics);
            local.watch(set.members.host(index));
            local
        }))
    }

    /// What is kept of an endpoint.
    fn endpoint(
        &self,
        address: SocketAddr,
        (transport, offers_mtls): (&Transport, bool),
        workload: Option<&Workload>,
        metrics: &MetricsContext,
    ) -> Rc<LocalEndpoint> {
        let mut used = self.used.borrow_mut();
        if let Some(known) = used.get(&address) {
            if known.is_of((transport, offers_mtls), workload) {
                return known.clone();
            }
            known.retire();
        }
        let endpoint = LocalEndpoint::new(
            &self.cluster,
            address,
            (transport.clone(), offers_mtls),
            workload.cloned(),
            metrics,
        );
        if self.superseded.get() {
            endpoint.retire();
        } else {
            used.insert(address, endpoint.clone());
        }
        endpoint
    }

    /// The endpoints as of now; none as long as there are none.
    fn endpoints(&self) -> Option<Rc<EndpointSet>> {
        let known = self.set.borrow().clone();
        let is_fixed = matches!(self.cluster.source, Source::Known(_));
        let generation = self.cluster.hosts.generation();
        if let Some(set) = &known
            && is_fixed
            && set.generation == generation
        {
            return known;
        }
        let members = self.cluster.members()?;
        match known {
            Some(set) if Arc::ptr_eq(&set.members, &members) && set.generation == generation => {
                return Some(set);
            }
            _ if is_fixed => {}
            _ => {
                let used = self.used.take();
                self.used.replace(keep(used, Some(&members)));
            }
        }
        let set = Rc::new(EndpointSet {
            slots: (0..members.count()).map(|_| OnceCell::new()).collect(),
            balancer: members.balancer(&self.cluster.hosts),
            members,
            generation,
        });
        self.set.replace(Some(set.clone()));
        Some(set)
    }

    fn destination(&self, address: SocketAddr, metrics: &MetricsContext) -> Rc<LocalEndpoint> {
        let mut used = self.used.borrow_mut();
        if used.len() >= MAX_DESTINATIONS && !used.contains_key(&address) {
            used.retain(|_, endpoint| Rc::strong_count(endpoint) > 1);
        }
        drop(used);
        self.endpoint(
            address,
            (self.cluster.transport(false), false),
            None,
            metrics,
        )
    }

    /// Closes idle connections that have been idle for too long or that the other side has closed. True if some are left.
    pub fn sweep(&self, now: Instant) -> bool {
        let limits = &self.cluster.config.client.limits;
        // Names may have other addresses now, whose endpoints take the place of those that are gone.
        let _ = self.endpoints();
        let used = self.used.borrow();
        let sweep = |left: bool, endpoint: &Rc<LocalEndpoint>| endpoint.sweep(now, limits) | left;
        used.values().fold(false, sweep)
    }

    /// Closes all idle connections. Whether there were any.
    pub fn close_idle(&self) -> bool {
        let used = self.used.borrow();
        let endpoints = used.values();
        endpoints.fold(false, |any, endpoint| endpoint.close_idle() | any)
    }

    /// Where requests count for which there is no endpoint.
    pub fn unserved(&self, direction: Direction, metrics: &MetricsContext) -> &Series {
        self.unserved
            .get_or_init(|| metrics.series(direction, Some(&self.cluster), None, (None, None)))
    }
}

/// Those of the endpoints that are among the members; the others are let go of.
fn keep(
    used: FxHashMap<SocketAddr, Rc<LocalEndpoint>>,
    members: Option<&Membership>,
) -> FxHashMap<SocketAddr, Rc<LocalEndpoint>> {
    let mut used = used;
    if used.is_empty() {
        return used;
    }
    let addresses = members.into_iter().flat_map(Membership::addresses);
    let kept = addresses.filter_map(|address| used.remove_entry(&address));
    let kept = kept.collect();
    for gone in used.values() {
        gone.retire();
    }
    kept
}

/// Whether a draw lies outside of a share.
fn falls_out(draw: u64, share: f64) -> bool {
    (draw >> 11) as f64 >= share * (1_u64 << 53) as f64
}

// === impl EndpointSet ===

impl EndpointSet {
    fn active(&self, index: usize) -> u32 {
        let slot = self.slots.get(index).and_then(OnceCell::get);
        slot.map_or(0, |endpoint| endpoint.active())
    }
}

// === impl MetricsContext ===

impl MetricsContext {
    /// The worker's counters.
    #[inline]
    pub fn cells(&self) -> &WorkerCells {
        self.worker.cells()
    }

    /// The series of requests in a direction to a workload of a cluster, with a peer that has told this in TLS, and a source that is known
    /// for requests of others.
    pub fn series(
        &self,
        direction: Direction,
        cluster: Option<&Cluster>,
        workload: Option<&Workload>,
        (tls, source): (Option<&TlsFacts>, Option<Arc<Peer>>),
    ) -> Series {
        self.worker
            .series(&self.key(direction, cluster, workload, (tls, source)))
    }

    /// The same with changed labels, whose values a request decides. Outbound it is the endpoint that tells something in TLS.
    pub fn tagged(
        &self,
        direction: Direction,
        cluster: Option<&Cluster>,
        endpoint: Option<&Rc<LocalEndpoint>>,
        (client, source): (Option<&TlsFacts>, Option<Arc<Peer>>),
        tags: Option<TagValues>,
    ) -> Series {
        let own = endpoint.and_then(|endpoint| endpoint.tls_facts());
        let tls = match direction {
            Direction::Inbound => client,
            Direction::Outbound => own.as_deref(),
        };
        let workload = endpoint.and_then(|endpoint| endpoint.workload());
        let key = self.key(direction, cluster, workload, (tls, source));
        self.worker.series(&SeriesKey { tags, ..key })
    }

    fn key(
        &self,
        direction: Direction,
        cluster: Option<&Cluster>,
        workload: Option<&Workload>,
        (tls, source): (Option<&TlsFacts>, Option<Arc<Peer>>),
    ) -> SeriesKey {
        let mutual = tls.filter(|tls| tls.is_mutual());
        let peer = mutual.and_then(|tls| Some(tls.identity.as_ref()?.to_string().into()));
        let own = mutual.and_then(|tls| tls.own_uri().cloned());
        let (source_principal, destination_principal) = match direction {
            Direction::Outbound => (own, peer),
            Direction::Inbound => (peer, own),
        };
        let (source, destination) = match direction {
            Direction::Outbound => (
                self.identity.clone(),
                workload.map(|workload| Arc::new(workload.into())),
            ),
            Direction::Inbound => {
                let proven = || Some(Arc::new(of_namespace(mutual?.identity.as_ref()?)));
                (source.or_else(proven), self.identity.clone())
            }
        };
        SeriesKey {
            direction,
            source,
            destination,
            service: cluster.and_then(service),
            source_principal,
            destination_principal,
            security: match direction {
                Direction::Outbound => Security::Unknown,
                Direction::Inbound if mutual.is_some() => Security::MutualTls,
                Direction::Inbound => Security::None,
            },
            tags: None,
        }
    }
}

/// A workload of which only the namespace is known.
fn of_namespace(identity: &PeerIdentity) -> Peer {
    Peer {
        workload: Workload {
            namespace: identity.namespace().into(),
            ..Workload::default()
        },
        app: "".into(),
        version: "".into(),
    }
}

/// The service that metrics name for a cluster.
fn service(cluster: &Cluster) -> Option<Service> {
    cluster.config.services.first().map(Into::into)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant as Clock};

    use mesh_ir::{ClusterKind, Endpoints, Locality, LocalityEndpoints};

    use super::*;
    use crate::telemetry::metrics::Metrics;

    fn cluster(addresses: impl Iterator<Item = u32>) -> Arc<Cluster> {
        let address = |index: u32| SocketAddr::new(index.to_be_bytes().into(), 80);
        let endpoints = addresses.map(address).map(mesh_ir::Endpoint::new).collect();
        let endpoints = Endpoints {
            cluster: "c".into(),
            localities: vec![LocalityEndpoints::new(Locality::default(), endpoints)],
        };
        let kind = ClusterKind::Static(Arc::new(endpoints));
        Arc::new(Cluster::of(mesh_ir::Cluster::new("c", kind)))
    }

    fn context() -> MetricsContext {
        MetricsContext {
            identity: None,
            worker: Metrics::new().worker(),
        }
    }

    #[test]
    fn what_is_kept_of_endpoints_outlives_configurations() {
        let metrics = context();
        let before = LocalCluster::new(cluster(1..4), None);
        let set = before.endpoints().unwrap();
        let first = before.at(&set, 0, &metrics).unwrap().clone();
        let second = before.at(&set, 1, &metrics).unwrap().clone();
        let after = LocalCluster::new(cluster(2..5), Some(&before));
        let set = after.endpoints().unwrap();
        assert!(Rc::ptr_eq(after.at(&set, 0, &metrics).unwrap(), &second));
        assert_eq!((first.is_retired(), second.is_retired()), (true, false));
        // A request that still goes by the old cluster keeps no connections to what it finds there.
        let late = before.endpoint(
            "0.0.0.9:80".parse().unwrap(),
            (&Transport::Plaintext, false),
            None,
            &metrics,
        );
        assert!(late.is_retired());
    }

    #[test]
    fn a_change_among_many_endpoints_takes_no_noticeable_time() {
        let metrics = context();
        let before = LocalCluster::new(cluster(0..20_000), None);
        let set = before.endpoints().unwrap();
        for index in 0..20_000 {
            before.at(&set, index, &metrics).unwrap();
        }
        let next = cluster(1..20_001);
        let begin = Clock::now();
        let after = LocalCluster::new(next, Some(&before));
        let took = begin.elapsed();
        assert_eq!(after.used.borrow().len(), 19_999);
        // With a search for each one it would be 200 million comparisons, which take seconds.
        assert!(took < Duration::from_millis(200), "{took:?}");
    }
}
