//! A connection on which requests come, one after the other.

use std::rc::Rc;
use std::time::Duration;

use mesh_ir::{Direction, HttpCodec};
use tokio::time::Instant;

use super::binding::Binding;
use super::client::{Arrival, Client};
use super::exchange::Exchange;
use super::http2;
use super::local::Worker;
use super::reply::Reply;
use super::scratch::Scratch;
use super::stream::Next;
use crate::http1::Refusal;
use crate::record::{Protocol, Record, ResponseFlags};
use crate::runtime::{Http, Network};
use crate::telemetry::metrics::Outcome;

/// Envoy's limit for connections without requests.
pub const IDLE: Duration = Duration::from_secs(3600);

/// Serves a connection until it ends. `scratch` holds what has come in already.
pub async fn serve(
    worker: &Rc<Worker>,
    client: &mut Client,
    binding: Binding,
    scratch: Option<Box<Scratch>>,
) {
    let mut current = binding;
    let mut scratch = scratch;
    let agreed = client.io.session().and_then(|tls| tls.alpn_protocol());
    let http2 = agreed == Some(b"h2");
    if let Network::Http(http) = &current.chain.network {
        match http.config.codec {
            HttpCodec::Http2 => {
                return Box::pin(http2::serve(worker, client, current, scratch)).await;
            }
            HttpCodec::Auto if http2 => {
                return Box::pin(http2::serve(worker, client, current, scratch)).await;
            }
            HttpCodec::Auto => client.may_be_http2 = true,
            HttpCodec::Http1 => {}
        }
    }
    loop {
        let idle = current.idle_timeout().unwrap_or(IDLE);
        let resting = current.rest();
        let ends = || resting.is_gone(worker);
        let mut arrival = client
            .arrival(worker, scratch.take(), Some(idle), ends)
            .await;
        let Some(binding) = resting.resume(worker) else {
            return;
        };
        let Network::Http(http) = &binding.chain.network else {
            return;
        };
        if let Arrival::Http2(scratch) = arrival {
            return Box::pin(http2::serve(worker, client, binding, Some(scratch))).await;
        }
        arrival = arrival.normalized(http.config.normalization);
        let Some((mut arrived, begun)) =
            head(worker, client, http, binding.destination(), arrival).await
        else {
            return;
        };
        // What the client says of itself counts only where it asks for other servers.
        arrived.request.https = client.tls.is_some();
        if binding.retired {
            arrived.request.keep_alive = false;
        }
        let context = binding.context(http);
        let next = Exchange::serve_http1(
            worker,
            &binding.runtime,
            client,
            context,
            begun,
            &mut arrived,
        )
        .await;
        match next {
            Next::Keep if arrived.input.is_empty() => worker.give_back(arrived),
            Next::Keep => scratch = Some(arrived),
            Next::Close => {
                worker.give_back(arrived);
                return client.linger(worker).await;
            }
            Next::Abort => return worker.give_back(arrived),
        }
        current = binding;
    }
}

/// The head that has arrived; none if there is none, after the client was told why.
pub async fn head(
    worker: &Rc<Worker>,
    client: &mut Client,
    http: &Http,
    destination: std::net::SocketAddr,
    arrival: Arrival,
) -> Option<(Box<Scratch>, Instant)> {
    let (mut scratch, begun, reply) = match arrival {
        Arrival::Head(scratch, begun) => return Some((scratch, begun)),
        Arrival::Http2(_) | Arrival::End => return None,
        Arrival::Refused(scratch, begun, Refusal { code, details }) => {
            worker.metrics.cells().downstream_protocol_error.inc();
            let reply = Reply::new(code, ResponseFlags::PROTOCOL_ERROR, details);
            (scratch, begun, reply.with_body(super::reply::reason(code)))
        }
        Arrival::TooSlow(scratch, begun) => (scratch, begun, Reply::IDLE),
    };
    scratch.reply.clear();
    let out = &mut scratch.reply;
    worker.date_cache.with(Instant::now(), |date| {
        reply.write(out, date, b"istio-envoy", None, false, true);
    });
    let sent = client.send(&scratch.reply).await;
    report_refused(
        worker,
        client,
        http,
        destination,
        begun,
        reply,
        Protocol::Http11,
    );
    worker.give_back(scratch);
    if sent.is_ok() {
        client.linger(worker).await;
    }
    None
}

/// Counts and logs what was no request.
pub fn report_refused(
    worker: &Rc<Worker>,
    client: &Client,
    http: &Http,
    destination: std::net::SocketAddr,
    begun: Instant,
    reply: Reply<'_>,
    protocol: Protocol,
) {
    let direction = http.config.direction;
    let record = Record {
        protocol,
        ..refused(client, direction, destination, begun, reply)
    };
    let outcome = Outcome::http(reply.code, reply.flags);
    worker
        .runtime()
        .unrouted(direction, &worker.metrics)
        .record(outcome, record.duration, 0, record.bytes_sent);
    http.telemetry.report(&record, None);
}

/// The record of what was no request.
fn refused<'a>(
    client: &'a Client,
    direction: Direction,
    destination: std::net::SocketAddr,
    begun: Instant,
    reply: Reply<'a>,
) -> Record<'a> {
    Record {
        direction,
        request: None,
        protocol: Protocol::Http11,
        duration: begun.elapsed(),
        code: reply.code,
        flags: reply.flags,
        details: reply.details,
        termination_details: None,
        transport_failure: None,
        bytes_received: 0,
        bytes_sent: reply.body.len() as u64,
        request_head_bytes: 0,
        response_head_bytes: 0,
        response: crate::http1::Fields::default(),
        upstream_service_time: None,
        grpc_status: None,
        upstream_cluster: None,
        upstream_host: None,
        upstream_local: None,
        downstream_local: destination,
        downstream_remote: client.remote,
        tls: client.tls_facts(),
        upstream_tls: None,
        route_name: "",
        attempts: 0,
        service: None,
        trace: None,
    }
}
