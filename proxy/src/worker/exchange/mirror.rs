//! Copies of requests for other clusters (`mirror`), whose answers are thrown away.

use std::time::Duration;

use mesh_ir::evaluate::Forwarding;

use super::Exchange;
use crate::http1::{RequestLine, write_request};
use crate::worker::edit::RequestEdit;
use crate::worker::mirror;
use crate::worker::stream::DownstreamStream;
use crate::worker::upstream::Wanted;

/// Longest time for a copy where the route has no limit.
const LIMIT: Duration = Duration::from_secs(60);

// === impl Exchange ===

impl<D: DownstreamStream> Exchange<'_, D> {
    /// Sends copies of a request that is complete, each with the share of the requests that its route says. `body` is framed as the request
    /// is. Nothing is waited for.
    #[cold]
    pub(super) fn mirror(&self, forwarding: Forwarding<'_>, body: &[u8]) {
        let runtime = self.runtime;
        for mirror in &forwarding.forward.mirrors {
            if !mirror.fraction.holds(self.worker.random()) {
                continue;
            }
            let id = runtime.shared.cluster_id(&mirror.cluster);
            let Some(cluster) = id.and_then(|id| runtime.cluster(id)) else {
                self.worker.metrics.cells().mirror_dropped.inc();
                continue;
            };
            let (worker, wanted) = (self.worker, Wanted::default());
            let Some(endpoint) = cluster.pick(wanted, &worker.metrics, || worker.random()) else {
                worker.metrics.cells().mirror_dropped.inc();
                continue;
            };
            let (line, edit) = self.outgoing(Some(forwarding));
            let host = shadow(line.host);
            let line = RequestLine {
                host: &host,
                ..line
            };
            let edit = RequestEdit {
                attempt: None,
                metadata: self.told_to(&endpoint),
                ..edit
            };
            let request = self.stream.head();
            let mut message = Vec::new();
            write_request(&mut message, request, line, &edit);
            message.extend_from_slice(body);
            let copy = mirror::Copied {
                endpoint,
                message,
                is_head: request.head.is_head,
                limit: forwarding.forward.timeout.unwrap_or(LIMIT),
                limits: self
                    .worker
                    .shared
                    .options
                    .response_limits(self.context.direction),
            };
            mirror::send(self.worker, cluster, copy);
        }
    }
}

/// The host with the suffix by which servers tell copies, before the port.
fn shadow(host: &[u8]) -> Vec<u8> {
    let colon = host.iter().position(|byte| *byte == b':');
    // More than one colon is an address, whose end is not a port for Envoy either.
    let is_port = |at: &usize| !host.iter().skip(at + 1).any(|byte| *byte == b':');
    let (name, port) = host.split_at(colon.filter(is_port).unwrap_or(host.len()));
    [name, b"-shadow", port].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_comes_before_the_port() {
        assert_eq!(*shadow(b"reviews"), *b"reviews-shadow");
        assert_eq!(*shadow(b"reviews:9080"), *b"reviews-shadow:9080");
        assert_eq!(*shadow(b"[::1]:80"), *b"[::1]:80-shadow");
    }
}
