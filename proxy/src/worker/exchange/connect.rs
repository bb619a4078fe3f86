//! The connection of a try: an idle one, a new one, or the next that gets free, within the limits of the cluster.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use mesh_ir::evaluate::retry::Failure;

use super::forward::Progress;
use super::{Exchange, IDLE, UpstreamTarget};
use crate::limits::{Permit, Resource};
use crate::worker::dial;
use crate::worker::endpoint::{LocalEndpoint, Slot};
use crate::worker::stream::{AttemptResult, DownstreamStream, UpstreamProtocol};

/// A connection that a request may use.
pub(super) struct Connected<C> {
    pub(super) connection: C,
    /// Whether it has served another request before.
    pub(super) reused: bool,
    /// The request among those of the cluster.
    pub(super) permit: Permit,
}

const OVERFLOW: AttemptResult = AttemptResult::Failed(Failure::Overflow);

// === impl Exchange ===

impl<D: DownstreamStream> Exchange<'_, D> {
    /// A connection to an endpoint; `Failure::Overflow` where limits do not allow it.
    pub(super) async fn connected<P: UpstreamProtocol>(
        &mut self,
        endpoint: &Rc<LocalEndpoint>,
        target: UpstreamTarget<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<Connected<P::Connection>, AttemptResult> {
        let cluster = &target.cluster.cluster;
        let limits = &cluster.config.client.limits;
        let permit = cluster.usage.take(limits, Resource::Requests);
        // Those that have come before are first.
        let idle = if progress.fresh || permit.is_none() || endpoint.has_waiting() {
            None
        } else {
            P::reuse(endpoint, limits)
        };
        let (connection, reused, permit) = match (idle, permit) {
            (Some(connection), permit) => (connection, true, permit),
            // Only who may have to wait for a connection finds others gone then.
            (None, None) if limits.max_connections.is_none() => {
                endpoint.cells.rq_pending_overflow.inc();
                return Err(OVERFLOW);
            }
            (None, permit) => {
                drop(permit);
                let next = self.next_connection::<P>(endpoint, target, progress);
                let (connection, reused) = next.await?;
                let permit = cluster.usage.take(limits, Resource::Requests);
                (connection, reused, permit)
            }
        };
        let Some(permit) = permit else {
            endpoint.cells.rq_pending_overflow.inc();
            return Err(OVERFLOW);
        };
        Ok(Connected {
            connection,
            reused,
            permit,
        })
    }

    /// A connection that is not there yet, and whether it has served another request before.
    async fn next_connection<P: UpstreamProtocol>(
        &mut self,
        endpoint: &Rc<LocalEndpoint>,
        target: UpstreamTarget<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<(P::Connection, bool), AttemptResult> {
        let cluster = &target.cluster.cluster;
        let limits = &cluster.config.client.limits;
        let Some(_pending) = cluster.usage.take(limits, Resource::Pending) else {
            endpoint.cells.rq_pending_overflow.inc();
            return Err(OVERFLOW);
        };
        let _waiting = endpoint.pending();
        let mut again = false;
        loop {
            let permit = cluster.usage.take(limits, Resource::Connections);
            if permit.is_none() {
                endpoint.cells.cx_overflow.inc();
            }
            // As in Envoy, an endpoint without any connection gets one all the same.
            let permit = permit.or_else(|| {
                let forced = || cluster.usage.force(limits, Resource::Connections);
                endpoint.has_no_connections().then(forced)
            });
            if let Some(permit) = permit {
                let slot = endpoint.slot(permit);
                let connection = self.connect::<P>(endpoint, target, progress, slot).await?;
                return Ok((connection, false));
            }
            // New connections are rare, and so is waiting for one.
            Box::pin(self.freed(endpoint, progress, again)).await?;
            again = true;
            if let Some(connection) = P::reuse(endpoint, limits) {
                return Ok((connection, true));
            }
        }
    }

    /// Waits until a connection of the endpoint gets free, or ends, so that a new one may be possible.
    async fn freed(
        &mut self,
        endpoint: &Rc<LocalEndpoint>,
        progress: &mut Progress<'_>,
        again: bool,
    ) -> Result<(), AttemptResult> {
        let is_complete = self.stream.is_complete();
        if is_complete {
            progress.deadlines.begin();
        }
        let (limit, whole) = progress.deadlines.within(IDLE);
        let mut freed = endpoint.wait(again);
        let next = poll_fn(|cx| match std::pin::Pin::new(&mut freed).poll(cx) {
            Poll::Ready(_) => Poll::Ready(Ok(())),
            Poll::Pending if is_complete && self.stream.poll_gone(cx) => {
                Poll::Ready(Err(AttemptResult::Client(None)))
            }
            Poll::Pending => Poll::Pending,
        });
        match tokio::time::timeout(limit, next).await {
            Ok(next) => next,
            Err(_) if whole => Err(AttemptResult::Timeout),
            Err(_) => Err(AttemptResult::Idle),
        }
    }

    /// A new connection to an endpoint.
    async fn connect<P: UpstreamProtocol>(
        &mut self,
        endpoint: &Rc<LocalEndpoint>,
        target: UpstreamTarget<'_>,
        progress: &Progress<'_>,
        slot: Slot,
    ) -> Result<P::Connection, AttemptResult> {
        let timeout = target.cluster.cluster.config.client.connect_timeout;
        let (limit, whole) = progress.deadlines.within(timeout);
        let connecting = P::connect(self.worker, target.cluster, endpoint, slot, limit);
        // New connections are rare, and their room is not needed once they are there.
        match Box::pin(connecting).await {
            Ok(connection) => Ok(connection),
            Err(dial::Failure::Timeout) if whole => Err(AttemptResult::Timeout),
            Err(failure) => {
                self.info.transport_failure = Some(failure.to_string().into());
                Err(AttemptResult::Failed(Failure::Connect))
            }
        }
    }
}
