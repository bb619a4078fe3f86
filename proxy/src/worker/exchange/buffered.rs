//! Bodies that are read before the request goes anywhere, because somebody has to be told of them first.

use std::future::poll_fn;
use std::task::{Poll, ready};

use mesh_ir::policy::CheckedBody;
use tokio::time::Instant;

use super::{Exchange, IDLE};
use crate::http1::{BodySink, Fields, Refusal, Trailers};
use crate::record::ResponseFlags;
use crate::worker::reply::Reply;
use crate::worker::stream::DownstreamStream;

/// What has come of a body.
#[derive(Debug, Default)]
pub(super) struct Buffered {
    pub(super) body: Vec<u8>,
    trailers: Trailers,
    ended: bool,
}

// === impl Buffered ===

impl Buffered {
    /// Hands it on.
    pub(super) fn pass_on(&self, sink: &mut impl BodySink) {
        if !self.body.is_empty() {
            sink.begin(self.body.len());
            sink.data(&self.body);
            sink.pause();
        }
        if self.ended {
            sink.end(self.trailers.fields());
        }
    }
}

impl BodySink for Buffered {
    fn begin(&mut self, _most: usize) {}

    fn data(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }

    fn pause(&mut self) {}

    fn end(&mut self, trailers: Fields<'_>) {
        if !std::mem::replace(&mut self.ended, true) {
            self.trailers.extend(trailers);
        }
    }
}

// === impl Exchange ===

impl<D: DownstreamStream> Exchange<'_, D> {
    /// Reads the body as far as it is told to an authorizer. False if the request was answered.
    pub(super) async fn buffer(&mut self, limit: CheckedBody) -> bool {
        let most = limit.max_bytes as usize;
        if self.stream.awaits_continue() && self.stream.proceed().await.is_err() {
            self.leave();
            return false;
        }
        let mut buffered = self.buffered.take().unwrap_or_default();
        let mut outcome = self
            .stream
            .first_data(&mut *buffered)
            .map_err(|refusal| Some(Some(refusal)));
        self.stream.timer().set_after(Instant::now(), Some(IDLE));
        while outcome.is_ok() && !buffered.ended && buffered.body.len() <= most {
            let stream = &mut self.stream;
            outcome = poll_fn(|cx| {
                if let Poll::Ready(read) = stream.poll_data(cx, &mut *buffered) {
                    return Poll::Ready(read.map_err(Some));
                }
                ready!(stream.timer().poll(cx));
                Poll::Ready(Err(None))
            })
            .await;
            self.stream.timer().set_after(Instant::now(), Some(IDLE));
        }
        let too_long = buffered.body.len() > most && !limit.allow_partial;
        self.buffered = Some(buffered);
        let reply = match outcome {
            Ok(()) if too_long => Reply::new(413, ResponseFlags::NONE, "request_payload_too_large")
                .with_body("Payload Too Large"),
            Ok(()) => return true,
            Err(None) => Reply::IDLE,
            Err(Some(Some(Refusal { code, details }))) => {
                Reply::new(code, ResponseFlags::PROTOCOL_ERROR, details)
            }
            Err(Some(None)) => {
                self.leave();
                return false;
            }
        };
        self.answer(reply, "", None).await;
        false
    }

    /// The client has gone before the request went anywhere.
    pub(super) fn leave(&mut self) {
        self.gone();
        self.info.received = self.stream.received();
        self.report(Fields::default(), "", None, None);
    }
}
