//! The end of a request: counted, and logged where that is asked for.

use std::rc::Rc;
use std::time::Duration;

use mesh_ir::evaluate::Forwarding;
use tokio::time::Instant;

use super::Exchange;
use crate::http1::{Fields, Known, RequestRef};
use crate::record::{self, Record};
use crate::telemetry::metrics::{Outcome, Protocol, Series};
use crate::worker::scratch::Scratch;
use crate::worker::upstream::LocalCluster;

// === impl Exchange ===

impl Exchange<'_> {
    /// Counts and logs the request.
    pub(super) fn report(
        &mut self,
        scratch: &Scratch,
        route: &str,
        cluster: Option<&Rc<LocalCluster>>,
        forwarding: Option<Forwarding<'_>>,
    ) {
        let ended = self.out.ended.unwrap_or_else(Instant::now);
        let request = RequestRef {
            head: &scratch.request,
            bytes: scratch.input.filled(),
        };
        let outcome = Outcome {
            protocol: if is_grpc(request) {
                Protocol::Grpc
            } else {
                Protocol::Http
            },
            code: self.out.code,
            grpc_status: self.out.grpc,
            flags: self.out.flags,
        };
        let duration = ended.saturating_duration_since(self.begun);
        let up = request.head.length as u64 + self.out.received;
        let down = self.out.reply_head + self.out.sent;
        self.series(cluster).record(outcome, duration, up, down);
        if let Some(log) = &self.terms.http.log {
            let record = self.to_record(scratch, route, cluster, forwarding, duration);
            log.write(&record);
        }
        // Last, so that whoever sees no request any more finds all of them counted.
        let cells = self.worker.naming.metrics.cells();
        cells.downstream_rq_active.dec();
    }

    fn series<'s>(&'s self, cluster: Option<&'s Rc<LocalCluster>>) -> &'s Series {
        let (naming, direction) = (&self.worker.naming, self.terms.direction);
        match (&self.out.endpoint, cluster) {
            (Some(endpoint), Some(cluster)) => endpoint.series(direction, &cluster.cluster, naming),
            (None, Some(cluster)) => cluster.unserved(direction, naming),
            (_, None) => self.view.unrouted(direction, naming),
        }
    }

    pub(super) fn to_record<'r>(
        &'r self,
        scratch: &'r Scratch,
        route: &'r str,
        cluster: Option<&'r Rc<LocalCluster>>,
        forwarding: Option<Forwarding<'r>>,
        duration: Duration,
    ) -> Record<'r> {
        let out = &self.out;
        Record {
            direction: self.terms.direction,
            request: Some(sent_request(scratch, forwarding)),
            protocol: record::Protocol::Http11,
            duration,
            code: out.code,
            flags: out.flags,
            details: &out.details,
            termination_details: None,
            transport_failure: out.transport_failure.as_deref(),
            bytes_received: out.received,
            bytes_sent: out.sent,
            request_head_bytes: scratch.request.length as u64,
            response_head_bytes: out.reply_head,
            response: if out.has_response {
                scratch.response.fields(&scratch.response_bytes)
            } else {
                Fields::default()
            },
            upstream_service_time: out.service_time,
            grpc_status: out.grpc,
            upstream_cluster: cluster.map(|cluster| &**cluster.cluster.name()),
            upstream_host: out.endpoint.as_ref().map(|endpoint| endpoint.address),
            upstream_local: out.upstream_local,
            downstream_local: self.terms.destination,
            downstream_remote: self.client.remote,
            server_name: None,
            route_name: route,
            attempts: out.attempts,
        }
    }
}

/// The request as it was sent on.
fn sent_request<'r>(
    scratch: &'r Scratch,
    forwarding: Option<Forwarding<'r>>,
) -> record::Request<'r> {
    let request = RequestRef {
        head: &scratch.request,
        bytes: scratch.input.filled(),
    };
    let written = &scratch.written;
    let fields = request.fields();
    let used = |bytes: &'r [u8]| Some(bytes).filter(|bytes| !bytes.is_empty());
    let host = forwarding.and_then(|forwarding| forwarding.host());
    let rewritten = used(&written.path);
    record::Request {
        method: request.method(),
        authority: host.map_or(request.authority(), str::as_bytes),
        path: rewritten.unwrap_or(request.path_and_query()),
        original_path: rewritten.map(|_| request.path_and_query()),
        scheme: request.scheme(),
        request_id: fields.known(Known::RequestId).or(used(&written.request_id)),
        forwarded_for: used(&written.forwarded_for).or(fields.known(Known::ForwardedFor)),
        fields,
    }
}

pub(super) fn is_grpc(request: RequestRef<'_>) -> bool {
    request
        .fields()
        .known(Known::ContentType)
        .is_some_and(|value| value.starts_with(b"application/grpc"))
}
