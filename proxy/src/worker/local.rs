//! What one worker has at hand for every request: its runtime of the runtime, memory to work in, the time of day.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use mesh_ir::Direction;
use mesh_token::TokenCache;
use tokio::time::Instant;

use super::Shared;
use super::date_cache::DateCache;
use super::scratch::{Scratch, Scratches};
use super::upstream::{LocalCluster, MetricsContext};
use crate::runtime::{ClusterId, Runtime};
use crate::telemetry::metrics::{KnownPeers, Series};

/// How often idle connections are looked at.
const SWEEP: Duration = Duration::from_secs(5);

/// How long connections may go on by chains that newer configurations do not have: Istio's `drainDuration`.
const RETIRED_CHAINS: Duration = Duration::from_secs(45);

/// Most configurations that are kept for that.
const MAX_RETIRED: usize = 8;

/// One worker.
#[derive(Debug)]
pub struct Worker {
    /// Tokens that were verified lately.
    pub tokens: RefCell<TokenCache>,
    /// What all workers share.
    pub shared: Arc<Shared>,
    /// Where it counts.
    pub metrics: MetricsContext,
    /// The workloads that other proxies have told of.
    pub peers: KnownPeers,
    /// Connections to clients.
    pub downstream: Rc<Downstreams>,
    /// Date for answers.
    pub date_cache: DateCache,
    runtime: RefCell<Rc<WorkerRuntime>>,
    /// Runtimes with chains that newer ones do not have, the oldest first.
    retired: RefCell<VecDeque<Rc<WorkerRuntime>>>,
    scratches: Scratches,
    random: Cell<u64>,
    sweeping: Cell<bool>,
    /// Copies of requests that are on their way.
    pub mirrored: Cell<usize>,
    /// Calls of the proxy itself that are on their way.
    pub calls: Cell<usize>,
}

/// A runtime with what one worker keeps of its clusters.
#[derive(Debug)]
pub struct WorkerRuntime {
    /// What all workers share.
    pub shared: Arc<Runtime>,
    clusters: Vec<OnceCell<Rc<LocalCluster>>>,
    unrouted: [OnceCell<Series>; 2],
}

/// The connections to clients, so that they can be told to end.
#[derive(Debug, Default)]
pub struct Downstreams {
    /// Those whose answers are the last ones.
    draining: Cell<Draining>,
    /// Those that end when they are idle.
    ending: Cell<Draining>,
    wakers: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
}

/// Which connections are to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Draining {
    /// None.
    #[default]
    No,
    /// Those to the local workload. What it sends is still carried, since it may need others to answer what is in flight.
    Inbound,
    /// All.
    All,
}

/// Keeps a connection among those that are told to end, until this is dropped.
#[derive(Debug)]
pub struct DrainGuard {
    downstreams: Rc<Downstreams>,
    index: usize,
}

// === impl Worker ===

impl Worker {
    /// A worker that has seen nothing yet.
    pub fn new(shared: Arc<Shared>) -> Rc<Self> {
        let metrics = MetricsContext {
            identity: shared.options.identity.clone(),
            worker: shared.options.metrics.worker(),
        };
        let runtime = shared.runtime.load_full();
        Rc::new(Self {
            metrics,
            downstream: Rc::default(),
            date_cache: DateCache::default(),
            runtime: RefCell::new(Rc::new(WorkerRuntime::new(runtime))),
            retired: RefCell::default(),
            scratches: Scratches::default(),
            tokens: RefCell::default(),
            peers: KnownPeers::default(),
            random: Cell::new(rand::random::<u64>() | 1),
            sweeping: Cell::new(false),
            mirrored: Cell::new(0),
            calls: Cell::new(0),
            shared,
        })
    }

    /// The runtime as of now. One load where nothing has changed.
    ///
    /// The one before is let go of, unless connections may belong to chains that this one does not have: then it is kept until those
    /// have had time to end.
    #[inline]
    pub fn runtime(self: &Rc<Self>) -> Rc<WorkerRuntime> {
        let runtime = self.runtime.borrow().clone();
        if runtime.shared.generation == self.shared.generation.load(Ordering::Acquire) {
            return runtime;
        }
        self.next_runtime(&runtime)
    }

    #[cold]
    fn next_runtime(self: &Rc<Self>, before: &Rc<WorkerRuntime>) -> Rc<WorkerRuntime> {
        let runtime = WorkerRuntime::new(self.shared.runtime.load_full());
        for (index, cell) in before.clusters.iter().enumerate() {
            let (Some(local), Some(cluster)) = (cell.get(), before.shared.clusters().get(index))
            else {
                continue;
            };
            let Some(id) = runtime.shared.cluster_id(cluster.name()) else {
                local.retire();
                continue;
            };
            let (Some(cell), Some(now)) =
                (runtime.clusters.get(id.index()), runtime.shared.cluster(id))
            else {
                continue;
            };
            let kept = if Arc::ptr_eq(now, cluster) {
                local.clone()
            } else {
                Rc::new(LocalCluster::new(now.clone(), Some(local)))
            };
            // The cell is new, so it is empty.
            let _ = cell.set(kept);
        }
        let runtime = Rc::new(runtime);
        self.runtime.replace(runtime.clone());
        if before.shared.has_more_chains_than(&runtime.shared) {
            self.retire_later(before.clone());
        }
        runtime
    }

    /// Keeps a runtime for connections that belong to its chains, for a while; then those that are idle end.
    fn retire_later(self: &Rc<Self>, runtime: Rc<WorkerRuntime>) {
        let weak = Rc::downgrade(&runtime);
        let mut retired = self.retired.borrow_mut();
        if retired.len() >= MAX_RETIRED {
            retired.pop_front();
        }
        retired.push_back(runtime);
        let worker = self.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(RETIRED_CHAINS).await;
            let is_other =
                |kept: &Rc<WorkerRuntime>| !std::ptr::eq(Rc::as_ptr(kept), weak.as_ptr());
            worker.retired.borrow_mut().retain(is_other);
            worker.downstream.wake();
        });
    }

    /// Whether the answer that is about to be sent is the last one on its connection. Then who asks counts among those who still come.
    #[inline]
    pub fn is_last_answer(&self, direction: Direction) -> bool {
        let is_last = self.downstream.draining(direction);
        if is_last {
            self.shared.arrive(direction);
        }
        is_last
    }

    /// Memory for one exchange.
    #[inline]
    pub fn scratch(&self) -> Box<Scratch> {
        self.scratches.take()
    }

    /// Gives it back.
    #[inline]
    pub fn give_back(self: &Rc<Self>, scratch: Box<Scratch>) {
        self.scratches.give_back(scratch);
        if !self.sweeping.get() && self.scratches.has_spare() {
            self.sweep_later();
        }
    }

    /// Closes all idle connections to endpoints. Whether there were any.
    #[cold]
    pub fn close_idle(&self) -> bool {
        let runtime = self.runtime.borrow();
        let clusters = runtime.clusters.iter().filter_map(OnceCell::get);
        clusters.fold(false, |any, cluster| cluster.close_idle() | any)
    }

    /// A number that is evenly spread; not for secrets. (Wang Yi's generator.)
    #[inline]
    pub fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0xa076_1d64_78bd_642f);
        self.random.set(state);
        let product = u128::from(state) * u128::from(state ^ 0xe703_7ed1_a0b4_28db);
        (product >> 64) as u64 ^ product as u64
    }

    /// Looks after idle connections to upstreams and spare memory for as long as there are any.
    pub fn sweep_later(self: &Rc<Self>) {
        if self.sweeping.replace(true) {
            return;
        }
        let worker = self.clone();
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let runtime = worker.runtime();
                let now = Instant::now();
                let clusters = runtime.clusters.iter().filter_map(OnceCell::get);
                let left = clusters.fold(false, |left, cluster| cluster.sweep(now) | left);
                worker.scratches.trim();
                if !left && !worker.scratches.has_spare() {
                    break;
                }
            }
            worker.sweeping.set(false);
        });
    }
}

// === impl WorkerRuntime ===

impl WorkerRuntime {
    fn new(shared: Arc<Runtime>) -> Self {
        let clusters = shared.clusters().iter().map(|_| OnceCell::new()).collect();
        Self {
            shared,
            clusters,
            unrouted: Default::default(),
        }
    }

    /// A cluster.
    #[inline]
    pub fn cluster(&self, id: ClusterId) -> Option<&Rc<LocalCluster>> {
        let cell = self.clusters.get(id.index())?;
        if let Some(cluster) = cell.get() {
            return Some(cluster);
        }
        let cluster = self.shared.cluster(id)?.clone();
        Some(cell.get_or_init(|| Rc::new(LocalCluster::new(cluster, None))))
    }

    /// Where requests count that no route takes.
    pub fn unrouted(&self, direction: Direction, metrics: &MetricsContext) -> &Series {
        let [inbound, outbound] = &self.unrouted;
        match direction {
            Direction::Inbound => inbound,
            Direction::Outbound => outbound,
        }
        .get_or_init(|| metrics.series(direction, None, None, (None, None)))
    }
}

// === impl Downstreams ===

impl Downstreams {
    /// Whether answers are the last ones on connections of a direction.
    #[inline]
    pub fn draining(&self, direction: Direction) -> bool {
        self.draining.get().covers(direction)
    }

    /// Whether connections of a direction are to end when they are idle.
    pub fn ending(&self, direction: Direction) -> bool {
        self.ending.get().covers(direction)
    }

    /// Makes answers the last ones on their connections.
    pub fn announce(&self, which: Draining) {
        self.draining.set(which);
        self.wake();
    }

    /// Lets idle connections end.
    pub fn end(&self, which: Draining) {
        self.ending.set(which);
        self.wake();
    }

    /// Lets idle connections look whether they are to end.
    fn wake(&self) {
        for waker in self.wakers.borrow().iter().flatten() {
            waker.wake_by_ref();
        }
    }

    /// Adds a connection, whose task is waked when it is to end.
    pub fn guard(self: &Rc<Self>, waker: Waker) -> DrainGuard {
        let mut wakers = self.wakers.borrow_mut();
        let index = match self.free.borrow_mut().pop() {
            Some(index) => {
                if let Some(slot) = wakers.get_mut(index) {
                    *slot = Some(waker);
                }
                index
            }
            None => {
                wakers.push(Some(waker));
                wakers.len() - 1
            }
        };
        DrainGuard {
            downstreams: self.clone(),
            index,
        }
    }
}

// === impl DrainGuard ===

impl Drop for DrainGuard {
    fn drop(&mut self) {
        let Downstreams { wakers, free, .. } = &*self.downstreams;
        if let Some(waker) = wakers.borrow_mut().get_mut(self.index) {
            *waker = None;
        }
        free.borrow_mut().push(self.index);
    }
}
