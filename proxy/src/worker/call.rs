//! Calls of the proxy itself to services that it asks about requests (authorizers, rate limit services): bounded in number, time and
//! size, through the same pools and with the same TLS as the requests of clients.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use mesh_ir::HttpProtocol;
use tokio::time::Instant;

use super::dial;
use super::edit::RequestEdit;
use super::endpoint::{Active, LocalEndpoint};
use super::grpc;
use super::local::{Worker, WorkerRuntime};
use super::scratch::UpstreamRoom;
use super::stream::{Http1, Http2, UpstreamProtocol, UpstreamStream};
use super::upstream::{LocalCluster, Wanted};
use crate::health::outlier::Outcome;
use crate::http1::{BodySink, Fields, HeadLimits, RequestHead, RequestLine, RequestRef};
use crate::limits::Resource;

/// Calls of a worker that are on their way at once; what comes beyond that fails.
const MAX_CALLS: usize = 1024;

/// Longest body of an answer.
const MAX_ANSWER: usize = 1 << 20;

/// Bytes before a message of gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// A call.
#[derive(Debug)]
pub struct Call {
    /// The head, as HTTP/1.1 writes it.
    pub head: Vec<u8>,
    /// The body, whose length the head names.
    pub body: Vec<u8>,
    /// Limit of the whole.
    pub limit: Duration,
}

/// An answer.
#[derive(Debug)]
pub struct CallAnswer {
    /// Status code.
    pub code: u16,
    /// Headers.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Body.
    pub body: Vec<u8>,
    /// gRPC's status, of the head or behind the body.
    pub grpc_status: Option<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallFailure {
    /// The cluster does not exist.
    #[error("there is no cluster {0}")]
    NoCluster(String),
    /// No endpoint could be chosen.
    #[error("no healthy upstream")]
    NoEndpoint,
    /// A limit of the cluster or of the worker was reached.
    #[error("too many at once")]
    Overflow,
    /// No connection.
    #[error("{0}")]
    Connect(String),
    /// It took too long.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// What came is none.
    #[error("{0}")]
    Broken(&'static str),
}

/// Collects a body up to a limit.
#[derive(Debug, Default)]
struct Collected {
    body: Vec<u8>,
    ended: bool,
    too_long: bool,
}

/// A call among those of the worker, until this is dropped.
struct CallGuard<'w>(&'w Worker);

/// Calls a service by HTTP, in the version that its cluster is configured for.
///
/// # Errors
/// When there is no answer.
pub async fn http(
    worker: &Rc<Worker>,
    runtime: &WorkerRuntime,
    cluster: &str,
    call: Call,
) -> Result<CallAnswer, CallFailure> {
    let cluster = find(runtime, cluster)?;
    match cluster.cluster.config.client.protocol {
        HttpProtocol::Http1 | HttpProtocol::AsClient => run::<Http1>(worker, cluster, &call).await,
        HttpProtocol::Http2 => run::<Http2>(worker, cluster, &call).await,
    }
}

/// Makes a unary call by gRPC, with the encoded message. Returns that of the answer.
///
/// # Errors
/// When there is no answer, or it has a status other than OK.
pub async fn unary(
    worker: &Rc<Worker>,
    runtime: &WorkerRuntime,
    (cluster, authority): (&str, &str),
    path: &str,
    message: &[u8],
    limit: Duration,
) -> Result<Vec<u8>, CallFailure> {
    let local = find(runtime, cluster)?;
    let authority = if authority.is_empty() {
        host_of(cluster)
    } else {
        authority
    };
    let call = Call {
        head: format!(
            "POST {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/grpc\r\nte: trailers\r\n\
             grpc-timeout: {}m\r\ncontent-length: {}\r\n\r\n",
            limit.as_millis().min(99_999_999),
            PREFIX + message.len(),
        )
        .into_bytes(),
        body: framed(message),
        limit,
    };
    let answer = run::<Http2>(worker, local, &call).await?;
    if answer.code != 200 {
        return Err(CallFailure::Broken("the answer is none of gRPC"));
    }
    match answer.grpc_status {
        Some(0) => unframed(&answer.body).ok_or(CallFailure::Broken("the answer has no message")),
        Some(_) => Err(CallFailure::Broken("the call has failed")),
        None => Err(CallFailure::Broken("the answer has no grpc-status")),
    }
}

fn find<'r>(runtime: &'r WorkerRuntime, name: &str) -> Result<&'r Rc<LocalCluster>, CallFailure> {
    let id = runtime.shared.cluster_id(name);
    id.and_then(|id| runtime.cluster(id))
        .ok_or_else(|| CallFailure::NoCluster(name.to_owned()))
}

/// The host in a cluster's name, `outbound|PORT|SUBSET|HOST`; other names as they are.
fn host_of(cluster: &str) -> &str {
    cluster.rsplit('|').next().unwrap_or(cluster)
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(PREFIX + message.len());
    body.push(0);
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(message);
    body
}

/// The one message of a body; none if there is none, or it is compressed, which was not offered.
fn unframed(body: &[u8]) -> Option<Vec<u8>> {
    let (prefix, message) = body.split_at_checked(PREFIX)?;
    let [0, length @ ..] = prefix else {
        return None;
    };
    let length = u32::from_be_bytes(length.try_into().ok()?);
    (usize::try_from(length).ok()? == message.len()).then(|| message.to_vec())
}

async fn run<P: UpstreamProtocol>(
    worker: &Rc<Worker>,
    cluster: &LocalCluster,
    call: &Call,
) -> Result<CallAnswer, CallFailure> {
    let _guard = CallGuard::new(worker).ok_or(CallFailure::Overflow)?;
    let mut parsed = RequestHead::default();
    match parsed.parse(&call.head, HeadLimits::MOST) {
        Ok(true) => {}
        Ok(false) | Err(_) => return Err(CallFailure::Broken("the question is no request")),
    }
    let request = RequestRef {
        head: &parsed,
        bytes: &call.head,
    };
    let tries = async {
        let mut fresh = false;
        loop {
            let outcome = attempt::<P>(worker, cluster, request, &call.body, fresh).await;
            match outcome {
                // The connection had ended before: nobody has seen the question.
                Err(Attempted::Stale) if !fresh => fresh = true,
                Err(Attempted::Stale) => return Err(CallFailure::Broken("connection termination")),
                Err(Attempted::Failed(failure)) => return Err(failure),
                Ok(answer) => return Ok(answer),
            }
        }
    };
    match tokio::time::timeout(call.limit, tries).await {
        Ok(outcome) => outcome,
        Err(_) => Err(CallFailure::Timeout(call.limit)),
    }
}

/// How a try has failed.
enum Attempted {
    /// On a connection that had been idle, without any answer.
    Stale,
    Failed(CallFailure),
}

/// One try, as far as the limits of the cluster allow it.
async fn attempt<P: UpstreamProtocol>(
    worker: &Rc<Worker>,
    cluster: &LocalCluster,
    request: RequestRef<'_>,
    body: &[u8],
    fresh: bool,
) -> Result<CallAnswer, Attempted> {
    let config = &cluster.cluster.config.client;
    let (limits, usage) = (&config.limits, &cluster.cluster.usage);
    let failed = |failure| Err(Attempted::Failed(failure));
    let picked = cluster.pick(Wanted::default(), &worker.metrics, || worker.random());
    let Some(endpoint) = picked else {
        return failed(CallFailure::NoEndpoint);
    };
    let Some(_request) = usage.take(limits, Resource::Requests) else {
        return failed(CallFailure::Overflow);
    };
    let _active = Active::new(&endpoint);
    let idle = if fresh {
        None
    } else {
        P::reuse(&endpoint, limits)
    };
    let reused = idle.is_some();
    let connection = match idle {
        Some(connection) => connection,
        None => {
            let Some(permit) = usage.take(limits, Resource::Connections) else {
                return failed(CallFailure::Overflow);
            };
            let slot = endpoint.slot(permit);
            let limit = config.connect_timeout;
            let made = Box::pin(P::connect(worker, cluster, &endpoint, slot, limit)).await;
            match made {
                Ok(connection) => connection,
                Err(error) => return failed(not_connected(cluster, &endpoint, &error)),
            }
        }
    };
    endpoint.cells.rq_total.inc();
    let mut room = UpstreamRoom::default();
    room.begin(HeadLimits::MOST);
    let mut up = P::stream(connection, &mut room, request);
    let line = RequestLine {
        path: request.path_and_query(),
        query: None,
        host: request.authority(),
    };
    up.request(request, line, &RequestEdit::UNCHANGED);
    let mut sink = up.sink();
    sink.begin(body.len());
    sink.data(body);
    sink.pause();
    sink.end(Fields::default());
    drop(sink);
    let outcome = exchange(&mut up).await;
    match outcome {
        Ok((answer, sent)) => {
            count(cluster, &endpoint, &answer);
            if sent && up.release(&endpoint, limits, Instant::now()) {
                worker.sweep_later();
            }
            Ok(answer)
        }
        Err(None) if reused => Err(Attempted::Stale),
        Err(failure) => {
            endpoint.cells.rq_error.inc();
            endpoint.report(&cluster.cluster, Outcome::Failed);
            failed(failure.unwrap_or(CallFailure::Broken("connection termination")))
        }
    }
}

fn not_connected(
    cluster: &LocalCluster,
    endpoint: &LocalEndpoint,
    error: &dial::Failure,
) -> CallFailure {
    endpoint.cells.rq_error.inc();
    endpoint.report(&cluster.cluster, Outcome::Failed);
    CallFailure::Connect(error.to_string())
}

fn count(cluster: &LocalCluster, endpoint: &LocalEndpoint, answer: &CallAnswer) {
    if answer.code < 500 {
        endpoint.cells.rq_success.inc();
    } else {
        endpoint.cells.rq_error.inc();
    }
    let code = answer.grpc_status.map_or(answer.code, grpc::http_status);
    endpoint.report(&cluster.cluster, Outcome::Response(code));
}

/// Sends what is to go out and takes the answer; also whether all has gone out. Without any answer the error is none.
async fn exchange(up: &mut impl UpstreamStream) -> Result<(CallAnswer, bool), Option<CallFailure>> {
    let mut sent = false;
    let answered = poll_fn(|cx| {
        sent = up.poll_send(cx).is_ready() && !up.is_broken();
        up.poll_response(cx)
    })
    .await;
    if answered.is_err() {
        return Err(None);
    }
    let broken = || Some(CallFailure::Broken("the answer breaks off"));
    let (head, bytes) = up.response();
    let fields = head.fields(bytes);
    let mut answer = CallAnswer {
        code: head.code,
        headers: fields
            .iter()
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .collect(),
        body: Vec::new(),
        grpc_status: grpc::status(fields),
    };
    let mut collected = Collected::default();
    up.first_data(&mut collected).map_err(|_| broken())?;
    while !collected.ended {
        if collected.too_long {
            return Err(Some(CallFailure::Broken("the answer is too long")));
        }
        let next = poll_fn(|cx| up.poll_data(cx, &mut collected)).await;
        next.map_err(|_| broken())?;
    }
    answer.body = collected.body;
    if answer.grpc_status.is_none() {
        answer.grpc_status = grpc::status(up.trailers());
    }
    Ok((answer, sent))
}

// === impl Collected ===

impl BodySink for Collected {
    fn begin(&mut self, _most: usize) {}

    fn data(&mut self, bytes: &[u8]) {
        if self.body.len() + bytes.len() > MAX_ANSWER {
            self.too_long = true;
        } else {
            self.body.extend_from_slice(bytes);
        }
    }

    fn pause(&mut self) {}

    fn end(&mut self, _trailers: Fields<'_>) {
        self.ended = true;
    }
}

// === impl CallGuard ===

impl<'w> CallGuard<'w> {
    fn new(worker: &'w Worker) -> Option<Self> {
        let calls = worker.calls.get();
        (calls < MAX_CALLS).then(|| {
            worker.calls.set(calls + 1);
            Self(worker)
        })
    }
}

impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        self.0.calls.set(self.0.calls.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_framed_once_and_nothing_else_is_taken_for_one() {
        let body = framed(b"abc");
        assert_eq!(body, b"\0\0\0\0\x03abc");
        assert_eq!(unframed(&body).as_deref(), Some(&b"abc"[..]));
        for bad in [
            &b""[..],
            b"\0\0\0",
            b"\x01\0\0\0\x03abc",
            b"\0\0\0\0\x04abc",
            b"\0\0\0\0\x02abc",
        ] {
            assert_eq!(unframed(bad), None, "{bad:?}");
        }
        assert_eq!(
            host_of("outbound|9000||authz.default.svc.cluster.local"),
            "authz.default.svc.cluster.local"
        );
        assert_eq!(host_of("authz"), "authz");
    }
}
