//! The end of a request: counted, and logged where that is asked for.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mesh_ir::Direction;
use mesh_ir::evaluate::Forwarding;
use tokio::time::Instant;

use super::Exchange;
use crate::http1::{Fields, Known, RequestRef};
use crate::record::{self, Record};
use crate::telemetry::metrics::{Outcome, PEER_METADATA, Peer, Protocol, Series, TagValues};
use crate::worker::grpc::is_grpc;
use crate::worker::scratch::Written;
use crate::worker::stream::DownstreamStream;
use crate::worker::upstream::LocalCluster;

// === impl Exchange ===

impl<D: DownstreamStream> Exchange<'_, D> {
    /// Counts and logs the request.
    pub(super) fn report(
        &mut self,
        response: Fields<'_>,
        route: &str,
        cluster: Option<&Rc<LocalCluster>>,
        forwarding: Option<Forwarding<'_>>,
    ) {
        let ended = self.info.ended.unwrap_or_else(Instant::now);
        let request = self.stream.head();
        let outcome = Outcome {
            protocol: if is_grpc(request) {
                Protocol::Grpc
            } else {
                Protocol::Http
            },
            code: self.info.code,
            grpc_status: self.info.grpc,
            flags: self.info.flags,
        };
        let duration = ended.saturating_duration_since(self.begun);
        let up = request.head.length as u64 + self.info.received;
        let down = self.info.reply_head + self.info.sent;
        let telemetry = &self.context.http.telemetry;
        let mut tags = None;
        if telemetry.needs_head() {
            let record = self.to_record(response, route, cluster, forwarding, duration);
            telemetry.report(&record, self.trace.as_deref());
            tags = telemetry.metrics.as_ref().map(|it| it.values(&record));
        }
        self.count(cluster, tags, |series| {
            series.record(outcome, duration, up, down)
        });
        // Last, so that whoever sees no request any more finds all of them counted.
        let cells = self.worker.metrics.cells();
        cells.downstream_rq_active.dec();
    }

    /// The workload that asks, as its proxy tells. One that has proven to be of another namespace is not believed.
    fn source(&self) -> Option<Arc<Peer>> {
        if self.context.direction != Direction::Inbound {
            return None;
        }
        let told = self.stream.head().fields().get(PEER_METADATA)?;
        let peer = self.worker.peers.get(told)?;
        let tls = self.stream.tls().filter(|tls| tls.facts.is_mutual());
        let proven = tls.and_then(|tls| tls.facts.identity.as_ref());
        let is_other = proven.is_some_and(|proven| proven.namespace() != &*peer.workload.namespace);
        (!is_other).then_some(peer)
    }

    fn count(
        &self,
        cluster: Option<&Rc<LocalCluster>>,
        tags: Option<TagValues>,
        record: impl FnOnce(&Series),
    ) {
        let (metrics, direction) = (&self.worker.metrics, self.context.direction);
        let tls = self.stream.tls();
        let source = self.source();
        if tags.is_some() {
            let endpoint = self.info.endpoint.as_ref();
            let facts = tls.map(|tls| &tls.facts);
            let cluster = cluster.map(|cluster| &*cluster.cluster);
            return record(&metrics.tagged(direction, cluster, endpoint, (facts, source), tags));
        }
        if let (Some(endpoint), Some(cluster)) = (&self.info.endpoint, cluster) {
            let client = (tls, source.as_ref());
            return record(&endpoint.series(direction, &cluster.cluster, metrics, client));
        }
        let verified = tls.map(|tls| &tls.facts).filter(|tls| tls.is_mutual());
        match (verified, cluster) {
            (Some(_), cluster) if direction == Direction::Inbound => {
                let cluster = cluster.map(|cluster| &*cluster.cluster);
                record(&metrics.series(direction, cluster, None, (verified, source)));
            }
            (_, Some(cluster)) => record(cluster.unserved(direction, metrics)),
            (_, None) => record(self.runtime.unrouted(direction, metrics)),
        }
    }

    pub(super) fn to_record<'r>(
        &'r self,
        response: Fields<'r>,
        route: &'r str,
        cluster: Option<&'r Rc<LocalCluster>>,
        forwarding: Option<Forwarding<'r>>,
        duration: Duration,
    ) -> Record<'r> {
        let info = &self.info;
        Record {
            direction: self.context.direction,
            request: Some(sent_request(self.stream.head(), self.written, forwarding)),
            protocol: self.stream.protocol(),
            duration,
            code: info.code,
            flags: info.flags,
            details: &info.details,
            termination_details: None,
            transport_failure: info.transport_failure.as_deref(),
            bytes_received: info.received,
            bytes_sent: info.sent,
            request_head_bytes: self.stream.head().head.length as u64,
            response_head_bytes: info.reply_head,
            response: if info.has_response {
                response
            } else {
                Fields::default()
            },
            upstream_service_time: info.service_time,
            grpc_status: info.grpc,
            upstream_cluster: cluster.map(|cluster| &**cluster.cluster.name()),
            upstream_host: info.endpoint.as_ref().map(|endpoint| endpoint.address),
            upstream_local: info.upstream_local,
            downstream_local: self.context.destination,
            downstream_remote: self.stream.remote(),
            tls: self.stream.tls().map(|tls| &tls.facts),
            upstream_tls: info
                .endpoint
                .as_ref()
                .and_then(|endpoint| endpoint.tls_facts()),
            route_name: route,
            attempts: info.attempts,
            service: cluster.and_then(|cluster| {
                let service = cluster.cluster.config.services.first()?;
                Some(&*service.host)
            }),
            trace: self
                .trace
                .as_ref()
                .map(|trace| (trace.context.trace, trace.context.span)),
        }
    }
}

/// The request as it was sent on.
fn sent_request<'r>(
    request: RequestRef<'r>,
    written: &'r Written,
    forwarding: Option<Forwarding<'r>>,
) -> record::Request<'r> {
    let fields = request.fields();
    let used = |bytes: &'r [u8]| Some(bytes).filter(|bytes| !bytes.is_empty());
    let host = forwarding.and_then(|forwarding| forwarding.host());
    let rewritten = used(&written.path);
    record::Request {
        method: request.method(),
        authority: host.map_or(request.authority(), str::as_bytes),
        path: rewritten.unwrap_or(request.path_and_query()),
        original_path: rewritten
            .filter(|_| !written.hides_query())
            .map(|_| request.path_and_query()),
        scheme: request.scheme(),
        request_id: used(&written.request_id).or(fields.known(Known::RequestId)),
        forwarded_for: used(&written.forwarded_for).or(fields.known(Known::ForwardedFor)),
        fields,
    }
}
