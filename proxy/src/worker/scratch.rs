//! The memory of one exchange, handed from request to request: a connection that waits for its next request holds none of it.

use std::cell::{Cell, RefCell};

use mesh_ir::PathNormalization;

use mesh_ir::HeaderOps;
use mesh_ir::matching::HeadEdits;

use super::buffer::Buffer;
use super::stream::Http2Body;
use crate::http1::{HeadLimits, Refusal, RequestHead, ResponseHead, Trailers};

/// Sets that are kept for the next requests.
const KEPT: usize = 64;

/// A buffer that has grown beyond this is not kept.
const LARGE: usize = 64 << 10;

/// Everything that a request needs room for.
#[derive(Debug, Default)]
pub struct Scratch {
    /// What came from the client: the head, what came with it, and the beginning of the next request.
    pub input: Buffer,
    /// The request's body, as it comes.
    pub body: Buffer,
    /// What goes to the client.
    pub reply: Vec<u8>,
    /// The request's head, which lies at the front of `input`.
    pub request: RequestHead,
    /// What the upstream's side needs.
    pub upstream: UpstreamRoom,
    /// Values of fields that the proxy has written.
    pub written: Written,
}

/// What the upstream's side of an exchange needs room for, from one try to the next.
#[derive(Debug, Default)]
pub struct UpstreamRoom {
    /// What goes out: the head and, as long as the request may be tried again, the body.
    pub outgoing: Vec<u8>,
    /// Length of the head in it; 0 before the first try.
    pub head: usize,
    /// What the answer's head may have.
    pub limits: HeadLimits,
    /// What comes in.
    pub answer: Buffer,
    /// The response's head, which lies, or lay, at the front of `answer`.
    pub response: ResponseHead,
    /// The bytes of the response's head, as long as they are needed for the log.
    pub response_bytes: Vec<u8>,
    /// The request's body where HTTP/2 is spoken to the endpoint.
    pub body: Http2Body,
    /// The fields behind the response's body, where HTTP/2 is spoken.
    pub trailers: Trailers,
}

/// Values of fields that the proxy has written into the request.
#[derive(Debug, Default)]
pub struct Written {
    /// `x-request-id`.
    pub request_id: Vec<u8>,
    /// `x-forwarded-for`.
    pub forwarded_for: Vec<u8>,
    /// `x-forwarded-client-cert`.
    pub client_certificate: Vec<u8>,
    /// The path with query, if it was rewritten.
    pub path: Vec<u8>,
    /// The route's changes to request headers, where their values have command operators.
    pub ops: Option<Box<[HeaderOps; 2]>>,
    /// What policies change in the head; none where nothing is changed.
    pub edits: Option<Box<HeadEdits>>,
    /// Whether what tells whose request it is has been computed.
    pub identified: bool,
}

// === impl Scratch ===

impl Scratch {
    /// Brings the request's path into the form in which it is compared and forwarded, once and before anything looks at it.
    ///
    /// # Errors
    /// When the path has no such form.
    pub fn normalize_path(&mut self, how: PathNormalization) -> Result<(), Refusal> {
        self.request.normalize_path(self.input.filled_mut(), how)
    }
}

/// The sets that nobody uses.
#[derive(Debug, Default)]
pub struct Scratches {
    #[expect(clippy::vec_box, reason = "sets move between connections, by pointer")]
    /// Warmest last.
    sets: RefCell<Vec<Box<Scratch>>>,
    /// The fewest that there were since it was last looked: so many were of no use.
    least: Cell<usize>,
}

// === impl Scratches ===

impl Scratches {
    /// A set.
    #[inline]
    pub fn take(&self) -> Box<Scratch> {
        let mut sets = self.sets.borrow_mut();
        let set = sets.pop();
        self.least.set(self.least.get().min(sets.len()));
        set.unwrap_or_default()
    }

    /// Takes a set back, unless there are enough.
    #[inline]
    pub fn give_back(&self, mut scratch: Box<Scratch>) {
        let mut sets = self.sets.borrow_mut();
        if sets.len() < KEPT {
            scratch.clear();
            sets.push(scratch);
        }
    }

    /// Whether there are more than the next request needs.
    #[inline]
    pub fn has_spare(&self) -> bool {
        self.sets.borrow().len() > 1
    }

    /// Frees the sets that were of no use since this was done before, but for one.
    pub fn trim(&self) {
        let mut sets = self.sets.borrow_mut();
        let unused = self.least.get().min(sets.len().saturating_sub(1));
        // The coldest come first.
        sets.drain(..unused);
        sets.shrink_to_fit();
        self.least.set(sets.len());
    }
}

// === impl UpstreamRoom ===

impl UpstreamRoom {
    /// Forgets the request before.
    pub fn begin(&mut self, limits: HeadLimits) {
        self.limits = limits;
        self.outgoing.clear();
        self.head = 0;
        self.body.clear();
    }
}

// === impl Written ===

impl Written {
    /// Whether something was taken out of the query, which must not be told to anybody.
    pub fn hides_query(&self) -> bool {
        self.edits
            .as_ref()
            .is_some_and(|edits| edits.query.is_some())
    }

    /// Forgets the values of the request before.
    pub fn clear(&mut self) {
        let Self {
            request_id,
            forwarded_for,
            client_certificate,
            path,
            ops,
            edits,
            identified,
        } = self;
        request_id.clear();
        forwarded_for.clear();
        client_certificate.clear();
        path.clear();
        *ops = None;
        *edits = None;
        *identified = false;
    }
}

// === impl Scratch ===

impl Scratch {
    fn clear(&mut self) {
        let UpstreamRoom {
            outgoing,
            head: _,
            limits: _,
            answer,
            response: _,
            response_bytes,
            body,
            trailers,
        } = &mut self.upstream;
        body.clear();
        trailers.clear();
        for buffer in [&mut self.input, &mut self.body, answer] {
            buffer.clear();
            if buffer.capacity() >= LARGE {
                *buffer = Buffer::default();
            }
        }
        for bytes in [outgoing, &mut self.reply, response_bytes] {
            bytes.clear();
            if bytes.capacity() >= LARGE {
                *bytes = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_that_are_of_no_use_are_freed() {
        let scratches = Scratches::default();
        let count = || scratches.sets.borrow().len();
        let burst: Vec<_> = (0..10).map(|_| scratches.take()).collect();
        burst.into_iter().for_each(|set| scratches.give_back(set));
        scratches.trim();
        assert_eq!(count(), 10);
        // Two at a time are in use from now on.
        let both = [scratches.take(), scratches.take()];
        both.into_iter().for_each(|set| scratches.give_back(set));
        scratches.trim();
        assert_eq!(count(), 2);
        scratches.trim();
        assert_eq!((count(), scratches.has_spare()), (1, false));
        scratches.trim();
        assert_eq!(count(), 1);
    }
}
