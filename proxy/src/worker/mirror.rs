//! Copies of requests on their way, beside the requests that they were made of: bounded in number and time, over HTTP/1.1.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use mesh_ir::HttpProtocol;
use tokio::time::Instant;

use super::buffer::Buffer;
use super::dial;
use super::endpoint::{Active, Connection, LocalEndpoint};
use super::local::Worker;
use super::upstream::LocalCluster;
use crate::health::outlier::Outcome;
use crate::http1::{BodyDecoder, Framing, HeadLimits, HeadScan, ResponseHead, Skipped};
use crate::limits::Resource;
use crate::tls::Offer;

/// Copies of a worker that are on their way at once; what comes beyond that is not sent.
const MAX_COPIES: usize = 256;

/// A copy.
pub struct Copied {
    /// Where it goes.
    pub endpoint: Rc<LocalEndpoint>,
    /// Head and body.
    pub message: Vec<u8>,
    /// Whether it is `HEAD`.
    pub is_head: bool,
    /// Limit of the whole.
    pub limit: Duration,
    /// What the head of the answer may have.
    pub limits: HeadLimits,
}

/// Sends a copy, and forgets what comes of it.
pub fn send(worker: &Rc<Worker>, cluster: &Rc<LocalCluster>, copy: Copied) {
    let under_way = &worker.mirrored;
    let is_spoken = cluster.cluster.config.client.protocol != HttpProtocol::Http2;
    if under_way.get() >= MAX_COPIES || !is_spoken {
        worker.metrics.cells().mirror_dropped.inc();
        return;
    }
    under_way.set(under_way.get() + 1);
    let (worker, cluster) = (worker.clone(), cluster.clone());
    tokio::task::spawn_local(async move {
        let exchange = exchange(&worker, &cluster, &copy);
        let answered = tokio::time::timeout(copy.limit, exchange).await;
        if !matches!(answered, Ok(Some(()))) {
            worker.metrics.cells().mirror_dropped.inc();
        }
        worker.mirrored.set(worker.mirrored.get().saturating_sub(1));
    });
}

/// One try, as far as the limits of the cluster allow it.
async fn exchange(worker: &Rc<Worker>, cluster: &LocalCluster, copy: &Copied) -> Option<()> {
    let config = &cluster.cluster.config.client;
    let (limits, usage) = (&config.limits, &cluster.cluster.usage);
    let endpoint = &copy.endpoint;
    let _request = usage.take(limits, Resource::Requests)?;
    let _active = Active::new(endpoint);
    let mut connection = match endpoint.reuse(limits) {
        Some(connection) => connection,
        None => {
            let permit = usage.take(limits, Resource::Connections)?;
            let (slot, limit) = (endpoint.slot(permit), config.connect_timeout);
            let connecting = dial::connect(worker, cluster, endpoint, (slot, Offer::Http1), limit);
            connecting.await.ok()?
        }
    };
    connection.requests += 1;
    endpoint.cells.rq_total.inc();
    let answered = answer(&mut connection, copy).await;
    let Some((code, is_reusable)) = answered else {
        endpoint.cells.rq_error.inc();
        endpoint.report(&cluster.cluster, Outcome::Failed);
        return None;
    };
    if code < 500 {
        endpoint.cells.rq_success.inc();
    } else {
        endpoint.cells.rq_error.inc();
    }
    endpoint.report(&cluster.cluster, Outcome::Response(code));
    let most = limits.max_requests_per_connection.unwrap_or(0);
    if is_reusable && (most == 0 || connection.requests < most) {
        endpoint.keep(connection, Instant::now(), limits);
        worker.sweep_later();
    }
    Some(())
}

/// The status of the answer, once all of it has come, and whether another request may follow.
async fn answer(connection: &mut Connection, copy: &Copied) -> Option<(u16, bool)> {
    let io = &mut connection.io;
    let mut sent = 0;
    while let Some(rest) = copy.message.get(sent..)
        && !rest.is_empty()
    {
        let count = poll_fn(|cx| io.poll_write(cx, rest)).await.ok()?;
        if count == 0 {
            return None;
        }
        sent += count;
    }
    poll_fn(|cx| io.poll_flush(cx)).await.ok()?;
    let (mut buffer, mut head) = (Buffer::default(), ResponseHead::default());
    let limits = copy.limits;
    loop {
        let mut scan = HeadScan::default();
        let mut parse = |bytes: &[u8]| {
            scan.parse(bytes, limits, |bytes| {
                head.parse(bytes, limits, copy.is_head)
            })
        };
        while !parse(buffer.filled()).ok()? {
            if poll_fn(|cx| buffer.poll_read(io, cx)).await.ok()? == 0 {
                return None;
            }
        }
        buffer.consume(head.length);
        // Interim responses come before the one that counts.
        match head.code {
            101 => return None,
            200.. => break,
            _ => {}
        }
    }
    let until_close = head.framing == Framing::UntilClose;
    let mut body = BodyDecoder::new(head.framing);
    loop {
        let taken = body.pump(buffer.filled(), &mut Skipped).ok()?;
        buffer.consume(taken);
        if body.is_done() {
            let is_reusable = head.keep_alive && !until_close && buffer.is_empty();
            return Some((head.code, is_reusable));
        }
        if poll_fn(|cx| buffer.poll_read(io, cx)).await.ok()? == 0 {
            return until_close.then_some((head.code, false));
        }
    }
}
