//! Authorizers outside of the proxy, which are asked before a request goes on. What is asked and what an answer means is `mesh-ir`'s to
//! say; here the question is put and the answer waited for.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::SystemTime;

use mesh_ir::HeaderOps;
use mesh_ir::evaluate::{
    Action, Ask, Check, CheckAnswer, CheckPeer, CheckedRequest, Decision, Denial, Granted,
};
use mesh_ir::matching::EditedRequest;
use mesh_ir::policy::{ExternalAuthorizer, ExternalAuthorizerProtocol, HttpAuthorizer};
use mesh_xds::check;

use super::Exchange;
use crate::http1::{Edit as _, FieldSink, Framing, is_request_hop_field, nominated, write_field};
use crate::record::{Protocol, ResponseFlags};
use crate::worker::call::{self, Call, CallFailure};
use crate::worker::edit::RequestEdit;
use crate::worker::local::{Worker, WorkerRuntime};
use crate::worker::reply::Reply;
use crate::worker::stream::DownstreamStream;

/// Details of the answers to what is denied, and to what nobody could be asked about, as Envoy's.
const DENIED: &str = "ext_authz_denied";
const FAILED: &str = "ext_authz_error";

/// Fields as they go out, collected.
#[derive(Default)]
struct Collector(Vec<(Vec<u8>, Vec<u8>)>);

// === impl Exchange ===

impl<'a, D: DownstreamStream> Exchange<'a, D> {
    /// Asks the authorizers that a decision names, one after the other, until there is one that names none. None if the request was
    /// answered.
    pub(super) async fn ask(&mut self, first: Decision<'a>) -> Option<Decision<'a>> {
        let mut granted = Granted::default();
        let mut decision = first;
        loop {
            let Action::Ask(ask) = decision.action else {
                let set = std::mem::take(&mut granted.response);
                if !set.is_empty() {
                    let remove = Vec::new();
                    self.add_shared(HeaderOps { remove, set });
                }
                return Some(decision);
            };
            if let Some(authorized) = decision.authorized {
                self.worker.count_policies(authorized);
            }
            let has_body = !self.stream.is_complete() || self.buffered.is_some();
            if let Some(limit) = ask.provider.body.filter(|_| has_body)
                && !self.buffer(limit).await
            {
                return None;
            }
            self.identify();
            let check = self.check(ask.provider, &granted);
            let (worker, runtime) = (self.worker, self.runtime);
            let asking = put(worker, runtime, ask.provider, &check);
            let Some(answer) = self.unless_gone(asking).await else {
                self.leave();
                return None;
            };
            if !self.obey(ask, answer, &mut granted).await {
                return None;
            }
            decision = self.decide_granted(&granted);
        }
    }

    /// Waits for an answer as long as the client does. Nothing tells whether one that still has to send its body is there.
    pub(super) async fn unless_gone<T>(&mut self, asking: impl Future<Output = T>) -> Option<T> {
        let mut asking = pin!(asking);
        let stream = &mut self.stream;
        poll_fn(|cx| {
            if let Poll::Ready(answer) = asking.as_mut().poll(cx) {
                return Poll::Ready(Some(answer));
            }
            if stream.is_complete() && stream.poll_gone(cx) {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }

    /// What becomes of the request by an answer. False if it was answered.
    async fn obey(
        &mut self,
        ask: Ask<'_>,
        answer: Result<CheckAnswer, CallFailure>,
        granted: &mut Granted,
    ) -> bool {
        let provider = ask.provider;
        let failure = match answer {
            Ok(CheckAnswer::Allowed(grant)) => {
                let head = self.stream.head();
                let edited = EditedRequest {
                    request: &head,
                    edits: &granted.edits.clone(),
                    tokens: mesh_ir::evaluate::Tokens::None,
                };
                granted.allow(ask, grant, &edited);
                return true;
            }
            Ok(CheckAnswer::Denied(denial)) => {
                self.deny(&denial).await;
                return false;
            }
            Ok(CheckAnswer::Error) => None,
            Err(failure) => Some(failure),
        };
        let reason = failure.map(|failure| failure.to_string());
        tracing::debug!(
            provider = &*provider.name,
            reason,
            "an authorizer cannot tell"
        );
        if provider.fail_open {
            granted.pass(ask);
            return true;
        }
        let reply = Reply::new(
            provider.status_on_error,
            ResponseFlags::DIRECT_REJECT,
            FAILED,
        );
        self.answer(reply, "", None).await;
        false
    }

    async fn deny(&mut self, denial: &Denial) {
        let Denial {
            code,
            headers,
            body,
        } = denial;
        let body = String::from_utf8_lossy(body);
        let reply = Reply {
            headers,
            ..Reply::new(*code, ResponseFlags::DIRECT_REJECT, DENIED).with_body(&body)
        };
        self.answer(reply, "", None).await;
    }

    /// What an authorizer is told.
    fn check(&self, provider: &ExternalAuthorizer, granted: &Granted) -> Check {
        let request = self.stream.head();
        let (line, edit) = self.outgoing(None);
        let edit = RequestEdit {
            policies: Some(&granted.edits),
            attempt: None,
            ..edit
        };
        let fields = request.fields();
        let mut told = Collector::default();
        for span in fields.spans() {
            let (name, value) = (span.name(fields.bytes()), span.value(fields.bytes()));
            let stays = !is_request_hop_field(span.known);
            if stays
                && !edit.drops(span, name)
                && !(request.head.nominates && nominated(fields, name))
            {
                told.field(name, value);
            }
        }
        edit.add(&mut told);
        let mut path = line.path.to_vec();
        if let Some(query) = &granted.edits.query {
            path = request.path().to_vec();
            if let Some(query) = query {
                path.push(b'?');
                path.extend_from_slice(query);
            }
        }
        let id = told
            .0
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(b"x-request-id"));
        let mut checked = CheckedRequest {
            id: id.map_or(String::new(), |(_, value)| {
                String::from_utf8_lossy(value).into()
            }),
            method: request.method().to_vec(),
            scheme: request.scheme().to_vec(),
            host: request.authority().to_vec(),
            path,
            protocol: match self.stream.protocol() {
                Protocol::Http2 => "HTTP/2",
                _ => "HTTP/1.1",
            },
            size: match request.head.framing {
                Framing::None => Some(0),
                Framing::Length(length) => Some(length),
                Framing::Chunked | Framing::UntilClose => None,
            },
            ..CheckedRequest::default()
        };
        let fields = told.0.iter();
        let fields = fields.map(|(name, value)| (name.as_slice(), value.as_slice()));
        checked.add_headers(provider, fields);
        if let (Some(limit), Some(buffered)) = (provider.body, &self.buffered) {
            let most = limit.max_bytes as usize;
            let is_partial = buffered.body.len() > most;
            let body = buffered.body.get(..most).unwrap_or(&buffered.body);
            checked.add_body(body.to_vec(), is_partial);
        }
        let connection = self.stream.facts(self.context.destination);
        let tls = self.stream.tls().map(|tls| &tls.facts);
        sides(&connection, tls, Some(checked))
    }
}

/// A question about a connection, or about a request on it.
pub fn sides(
    connection: &mesh_ir::evaluate::ConnectionFacts<'_>,
    tls: Option<&crate::tls::TlsFacts>,
    request: Option<CheckedRequest>,
) -> Check {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let own = tls.and_then(crate::tls::TlsFacts::own_uri);
    Check {
        source: CheckPeer {
            address: connection.source,
            principal: connection.peer.map(ToString::to_string).unwrap_or_default(),
        },
        destination: CheckPeer {
            address: connection.destination,
            principal: own.map_or_else(String::new, ToString::to_string),
        },
        time: now.unwrap_or_default(),
        request,
    }
}

/// Puts a question.
pub async fn put(
    worker: &std::rc::Rc<Worker>,
    runtime: &WorkerRuntime,
    provider: &ExternalAuthorizer,
    check: &Check,
) -> Result<CheckAnswer, CallFailure> {
    match (&provider.protocol, &check.request) {
        (ExternalAuthorizerProtocol::Grpc { authority }, _) => {
            let as_bytes = provider.body.is_some_and(|body| body.as_bytes);
            let message = check::encode(check, as_bytes);
            let answer = call::unary(
                worker,
                runtime,
                (&provider.cluster, authority),
                check::CHECK_PATH,
                &message,
                provider.timeout,
            );
            let answer = Box::pin(answer).await?;
            check::decode(&answer)
                .map_err(|_| CallFailure::Broken("the answer is no CheckResponse"))
        }
        (ExternalAuthorizerProtocol::Http(http), Some(request)) => {
            let call = over_http(http, request, provider.timeout);
            let answer = Box::pin(call::http(worker, runtime, &provider.cluster, call)).await?;
            let headers = answer.headers.iter();
            let headers = headers.map(|(name, value)| (name.as_slice(), value.as_slice()));
            Ok(CheckAnswer::of_http(
                http,
                answer.code,
                headers,
                answer.body,
            ))
        }
        (ExternalAuthorizerProtocol::Http(_), None) => Err(CallFailure::Broken(
            "it cannot be asked about connections over HTTP",
        )),
    }
}

fn over_http(http: &HttpAuthorizer, request: &CheckedRequest, limit: std::time::Duration) -> Call {
    let body = request.body.clone().unwrap_or_default();
    let mut head = Vec::new();
    head.extend_from_slice(&request.method);
    head.push(b' ');
    head.extend_from_slice(&request.http_path(http));
    head.extend_from_slice(b" HTTP/1.1\r\n");
    write_field(&mut head, b"host", &request.host);
    for (name, value) in request.http_headers(http) {
        write_field(&mut head, name.as_bytes(), value);
    }
    head.number(b"content-length", body.len() as u64);
    head.extend_from_slice(b"\r\n");
    Call { head, body, limit }
}

// === impl Collector ===

impl FieldSink for Collector {
    fn field(&mut self, name: &[u8], value: &[u8]) {
        self.0.push((name.to_vec(), value.to_vec()));
    }

    fn number(&mut self, name: &[u8], number: u64) {
        self.field(name, number.to_string().as_bytes());
    }
}
