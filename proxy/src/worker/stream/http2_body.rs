//! A body on its way into a stream of HTTP/2, as fast as the other side's windows let it.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{RecvStream, SendStream};

use crate::http1::{BodySink, Fields, Trailers};
use crate::http2;

/// A body, of which nothing is forgotten until that is said, so that it can be sent again.
#[derive(Debug, Default)]
pub struct Http2Body {
    chunks: Vec<Bytes>,
    /// Length of all chunks.
    length: usize,
    /// The chunk that goes out next, and how much of it has gone.
    next: usize,
    offset: usize,
    ended: bool,
    trailers: Trailers,
    /// Whether the end has gone out.
    finished: bool,
}

/// The stream takes no more.
#[derive(Debug)]
pub struct Broken;

// === impl Http2Body ===

impl Http2Body {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.forget();
        self.ended = false;
        self.trailers.clear();
        self.finished = false;
    }

    /// Forgets what has been taken so far.
    pub fn forget(&mut self) {
        self.chunks.clear();
        self.length = 0;
        self.next = 0;
        self.offset = 0;
    }

    /// Begins again with the first byte.
    pub fn rewind(&mut self) {
        self.next = 0;
        self.offset = 0;
        self.finished = false;
    }

    /// There is no body: the head was the end.
    pub fn is_none(&mut self) {
        self.ended = true;
        self.finished = true;
    }

    /// Bytes that are kept.
    pub fn kept(&self) -> usize {
        self.length
    }

    /// Whether the end has been taken.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether something is still to be sent.
    pub fn is_pending(&self) -> bool {
        self.next < self.chunks.len() || (self.ended && !self.finished)
    }

    /// Ready when all that was taken is the library's to send, which holds no more than the windows of the other side allow.
    pub fn poll_send(
        &mut self,
        stream: &mut SendStream<Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        while let Some(chunk) = self.chunks.get(self.next) {
            let left = chunk.len().saturating_sub(self.offset);
            if left == 0 {
                self.next += 1;
                self.offset = 0;
                continue;
            }
            stream.reserve_capacity(left);
            while stream.capacity() == 0 {
                match ready!(stream.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Poll::Ready(Err(Broken)),
                }
            }
            let count = left.min(stream.capacity());
            let piece = chunk.slice(self.offset..self.offset + count);
            self.offset += count;
            let last = count == left && self.next + 1 == self.chunks.len();
            let ends = last && self.ended && self.trailers.fields().spans().is_empty();
            if stream.send_data(piece, ends).is_err() {
                return Poll::Ready(Err(Broken));
            }
            self.finished |= ends;
        }
        if self.ended && !self.finished {
            self.finished = true;
            let trailers = self.trailers.fields();
            let sent = if trailers.spans().is_empty() {
                stream.send_data(Bytes::new(), true)
            } else {
                stream.send_trailers(http2::trailers(trailers))
            };
            if sent.is_err() {
                return Poll::Ready(Err(Broken));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl BodySink for &mut Http2Body {
    fn begin(&mut self, _most: usize) {}

    fn data(&mut self, bytes: &[u8]) {
        self.chunk(Bytes::copy_from_slice(bytes));
    }

    fn chunk(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.length += bytes.len();
            self.chunks.push(bytes);
        }
    }

    fn pause(&mut self) {}

    fn end(&mut self, trailers: Fields<'_>) {
        if !self.ended {
            self.trailers.extend(trailers);
            self.ended = true;
        }
    }
}

/// Hands on what comes next of a body: data, or its end with the fields behind it, which are kept in `trailers`. How many bytes came,
/// and whether the body has ended.
pub fn poll_receive(
    stream: &mut RecvStream,
    trailers: &mut Trailers,
    cx: &mut Context<'_>,
    sink: &mut impl BodySink,
) -> Poll<Result<(usize, bool), h2::Error>> {
    if let Some(data) = ready!(stream.poll_data(cx)) {
        let data = data?;
        let length = data.len();
        // The window opens again for what the other side is about to take; more is not asked for before it has.
        stream.flow_control().release_capacity(length)?;
        sink.begin(length);
        sink.chunk(data);
        sink.pause();
        let ends = stream.is_end_stream();
        if ends {
            sink.end(Fields::default());
        }
        return Poll::Ready(Ok((length, ends)));
    }
    if let Some(fields) = ready!(stream.poll_trailers(cx))?
        && http2::read_trailers(trailers, &fields).is_err()
    {
        return Poll::Ready(Err(h2::Reason::ENHANCE_YOUR_CALM.into()));
    }
    sink.end(trailers.fields());
    Poll::Ready(Ok((0, true)))
}
