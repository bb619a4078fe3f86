//! The beginning of a request's trace: whether it is recorded, and what the request is given of it.

use super::{Exchange, uuid};
use crate::http1::Known;
use crate::telemetry::tracing::{Wishes, tell};
use crate::worker::stream::DownstreamStream;

// === impl Exchange ===

impl<D: DownstreamStream> Exchange<'_, D> {
    /// Begins the trace where the chain has a tracer. The request id carries the decision on.
    #[inline]
    pub(super) fn begin_trace(&mut self) {
        if self.context.http.telemetry.tracer.is_some() {
            self.trace_request();
        }
    }

    #[cold]
    fn trace_request(&mut self) {
        let http = self.context.http;
        let Some(tracer) = &http.telemetry.tracer else {
            return;
        };
        let worker = self.worker;
        let fields = self.stream.head().fields();
        let mut id = match fields.known(Known::RequestId) {
            Some(id) => id.to_vec(),
            None => {
                let mut id = Vec::new();
                uuid::write(&mut id, [worker.random(), worker.random()]);
                id
            }
        };
        // Nobody outside of the mesh may ask for a trace.
        let at_edge = http.config.trust.use_remote_address;
        let wishes = Wishes {
            request_id: &id,
            client: fields.get("x-client-trace-id").is_some(),
            force: !at_edge && fields.get("x-envoy-force-trace").is_some(),
        };
        let (traced, reason) = tracer.decide(wishes, worker.random());
        let random = [worker.random(), worker.random(), worker.random()];
        let trace = tracer.begin(fields, traced, random);
        let told = reason.is_some_and(|reason| tell(&mut id, reason));
        if told || fields.known(Known::RequestId).is_none() {
            self.written.request_id = id;
        }
        self.trace = Some(Box::new(trace));
    }
}
