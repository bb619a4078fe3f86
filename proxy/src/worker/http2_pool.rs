//! Connections of HTTP/2 to an endpoint, which requests share: each is a stream on the first connection that has room for it.
//!
//! ```text
//! request --reuse--> connection with room ------------------> StreamPermit
//!            `--none--> wait for the one that is being made, or make one
//! ```
//!
//! A connection is driven by a task of its own, which ends when the connection does: when the endpoint goes away, or when the pool and the
//! last request have let go of it.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use mesh_ir::Limits;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use super::dial::{self, Failure};
use super::endpoint::{IDLE_LIMIT, LocalEndpoint, Pool, Slot};
use super::local::Worker;
use super::upstream::LocalCluster;
use crate::http1::HeadLimits;
use crate::tls::Offer;

/// What an endpoint may send on one stream before it is read: the memory that a slow client costs.
const STREAM_WINDOW: u32 = 256 << 10;

/// The same of a whole connection.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// What the library keeps of one stream until the endpoint takes it.
const SEND_BUFFER: usize = 64 << 10;

/// The connections to one endpoint.
#[derive(Debug, Default)]
pub struct Http2Pool {
    connections: RefCell<Vec<Rc<Shared>>>,
    /// The connection that is being made, for which other requests wait.
    connecting: RefCell<Option<Rc<Connecting>>>,
    retired: Cell<bool>,
}

/// A connection that requests share.
#[derive(Debug)]
struct Shared {
    sender: SendRequest<Bytes>,
    local: SocketAddr,
    /// Requests on their way.
    active: Cell<u32>,
    /// Requests so far.
    requests: Cell<u32>,
    /// Most requests at once, as the cluster says.
    most: u32,
    /// Whether it takes no more requests.
    used_up: Cell<bool>,
    since: Instant,
    idle_since: Cell<Instant>,
    /// Those who wait for room.
    pool: Rc<Pool>,
}

/// A connection that is being made.
#[derive(Debug, Default)]
struct Connecting {
    ended: Notify,
    failure: RefCell<Option<String>>,
}

/// Tells those who wait that the try is over, also when the request that made it has gone.
struct ConnectingGuard<'p> {
    pool: &'p Http2Pool,
    connecting: Rc<Connecting>,
}

/// A request's share of a connection, until this is dropped.
#[derive(Debug)]
pub struct StreamPermit {
    shared: Rc<Shared>,
    sender: SendRequest<Bytes>,
}

// === impl Http2Pool ===

impl Http2Pool {
    /// A share of a connection that has room.
    pub fn reuse(&self, limits: &Limits) -> Option<StreamPermit> {
        let connections = self.connections.borrow();
        let mut permits = connections.iter();
        permits.find_map(|shared| StreamPermit::new(shared, limits))
    }

    /// Lets go of all connections, and keeps none from now on. Requests on their way come to their end.
    pub fn retire(&self) {
        self.retired.set(true);
        self.connections.take();
    }

    /// Closes connections that have been idle or there for too long, and forgets those that have ended. True if some are left.
    pub fn sweep(&self, now: Instant, limits: &Limits) -> bool {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|shared| {
            let idle = now.saturating_duration_since(shared.idle_since.get());
            let limit = limits.idle_timeout.unwrap_or(IDLE_LIMIT);
            let stays = idle < limit && shared.is_young(limits);
            shared.active.get() > 0 || (stays && shared.is_open())
        });
        !connections.is_empty()
    }
}

/// A share of a new connection. Requests that come while one is being made wait for it.
///
/// # Errors
/// When there is none within `limit`.
pub async fn connect(
    worker: &Worker,
    cluster: &LocalCluster,
    endpoint: &Rc<LocalEndpoint>,
    slot: Slot,
    limit: Duration,
) -> Result<StreamPermit, Failure> {
    let limits = &cluster.cluster.config.client.limits;
    let pool = &endpoint.http2;
    let deadline = Instant::now() + limit;
    loop {
        let Some(connecting) = pool.connecting.borrow().clone() else {
            break;
        };
        let ended = connecting.ended.notified();
        if timeout_at(deadline, ended).await.is_err() {
            return Err(Failure::Timeout);
        }
        if let Some(failure) = &*connecting.failure.borrow() {
            return Err(Failure::Shared(failure.clone()));
        }
        if let Some(permit) = pool.reuse(limits) {
            return Ok(permit);
        }
    }
    let guard = ConnectingGuard::new(pool);
    let left = deadline.saturating_duration_since(Instant::now());
    let made = Box::pin(establish(worker, cluster, endpoint, slot, left)).await;
    match made {
        Ok(shared) => {
            if !pool.retired.get() {
                pool.connections.borrow_mut().push(shared.clone());
            }
            let permit = StreamPermit::new(&shared, limits);
            // There is room for many of them.
            endpoint.pool().wake_all();
            permit.ok_or_else(|| Failure::Io(io::ErrorKind::NotConnected.into()))
        }
        Err(failure) => {
            *guard.connecting.failure.borrow_mut() = Some(failure.to_string());
            Err(failure)
        }
    }
}

async fn establish(
    worker: &Worker,
    cluster: &LocalCluster,
    endpoint: &Rc<LocalEndpoint>,
    slot: Slot,
    limit: Duration,
) -> Result<Rc<Shared>, Failure> {
    let begun = Instant::now();
    let mut connection =
        dial::connect(worker, cluster, endpoint, (slot, Offer::Http2), limit).await?;
    let agreed = connection.io.session().and_then(|tls| tls.alpn_protocol());
    if agreed.is_some_and(|name| name != b"h2") {
        let text = "the server speaks no HTTP/2";
        return Err(Failure::Tls(io::Error::other(text)));
    }
    let local = connection.local;
    let io = std::mem::take(&mut connection.io);
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HeadLimits::MOST.bytes as u32)
        .max_send_buffer_size(SEND_BUFFER);
    let left = limit.saturating_sub(begun.elapsed());
    let (sender, driver) = match timeout(left, builder.handshake(io)).await {
        Ok(made) => made.map_err(|error| Failure::Io(io::Error::other(error)))?,
        Err(_) => return Err(Failure::Timeout),
    };
    tokio::task::spawn_local(async move {
        if let Err(error) = driver.await {
            tracing::debug!(%error, "a connection of HTTP/2 has broken");
        }
        // Counted as open until here.
        drop(connection);
    });
    let limits = &cluster.cluster.config.client.limits;
    Ok(Rc::new(Shared {
        sender,
        local,
        active: Cell::new(0),
        requests: Cell::new(0),
        most: limits.max_concurrent_streams.unwrap_or(u32::MAX),
        used_up: Cell::new(false),
        since: begun,
        idle_since: Cell::new(Instant::now()),
        pool: endpoint.pool().clone(),
    }))
}

// === impl Shared ===

impl Shared {
    /// Whether it still takes requests: neither side has said that it ends.
    fn is_open(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let mut sender = self.sender.clone();
        !self.used_up.get() && !matches!(sender.poll_ready(&mut cx), std::task::Poll::Ready(Err(_)))
    }

    /// Whether it may still be used by its age.
    fn is_young(&self, limits: &Limits) -> bool {
        let life = limits.max_connection_duration;
        life.is_none_or(|life| self.since.elapsed() < life)
    }

    fn has_room(&self) -> bool {
        let active = self.active.get();
        active < self.most && (active as usize) < self.sender.current_max_send_streams()
    }
}

// === impl ConnectingGuard ===

impl<'p> ConnectingGuard<'p> {
    fn new(pool: &'p Http2Pool) -> Self {
        let connecting = Rc::new(Connecting::default());
        *pool.connecting.borrow_mut() = Some(connecting.clone());
        Self { pool, connecting }
    }
}

impl Drop for ConnectingGuard<'_> {
    fn drop(&mut self) {
        self.pool.connecting.take();
        self.connecting.ended.notify_waiters();
    }
}

// === impl StreamPermit ===

impl StreamPermit {
    fn new(shared: &Rc<Shared>, limits: &Limits) -> Option<Self> {
        if !shared.has_room() || !shared.is_young(limits) || !shared.is_open() {
            return None;
        }
        shared.active.set(shared.active.get() + 1);
        shared.requests.set(shared.requests.get().saturating_add(1));
        Some(Self {
            sender: shared.sender.clone(),
            shared: shared.clone(),
        })
    }

    /// Our side of the connection.
    pub fn local(&self) -> SocketAddr {
        self.shared.local
    }

    /// Where the request is sent.
    pub fn sender(&mut self) -> &mut SendRequest<Bytes> {
        &mut self.sender
    }

    /// The request has come to its end. After as many as the limits say the connection takes no more.
    pub fn release(self, limits: &Limits, now: Instant) {
        let limit = limits.max_requests_per_connection;
        let requests = self.shared.requests.get();
        if limit.is_some_and(|limit| limit > 0 && requests >= limit) {
            self.shared.used_up.set(true);
        }
        self.shared.idle_since.set(now);
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let active = self.shared.active.get();
        self.shared.active.set(active.saturating_sub(1));
        self.shared.pool.wake();
    }
}
