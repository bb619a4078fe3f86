//! The two sides of an exchange as streams: heads, data and ends, whatever the protocol of each side.
//!
//! ```text
//! DownstreamStream --data--> BodySink of the UpstreamStream --> endpoint
//!        ^                                  |
//!        +---- BodySink <------data---------+
//! ```
//!
//! An exchange is compiled for each pair of implementations. A side hands its data to the other one's sink, which writes it as its own
//! protocol wants it, so that between two sides of HTTP/1 bytes are copied once, from buffer to buffer. Heads are looked at in one form,
//! bytes with the places of their fields in them, and changes to them are data that each protocol writes in its own way.
//!
//! A side that is dropped before its end is broken off: a stream is reset, a connection of HTTP/1.1 is closed.

mod http1_downstream;
mod http1_upstream;
mod http2_body;
mod http2_downstream;
mod http2_upstream;
mod transfer;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use mesh_ir::evaluate::ConnectionFacts;
use mesh_ir::evaluate::retry::Failure;
use mesh_ir::{HeaderOps, Limits};
use tokio::time::Instant;

use super::client::DownstreamTls;
use super::date_cache::DateCache;
use super::dial;
use super::edit::{RequestEdit, ResponseEdit};
use super::endpoint::{LocalEndpoint, Slot};
use super::io::Io;
use super::local::Worker;
use super::reply::Reply;
use super::scratch::UpstreamRoom;
use super::timer::Timer;
use super::upstream::LocalCluster;
use crate::http1::{BodySink, Fields, Refusal, RequestLine, RequestRef, ResponseHead};
use crate::record::Protocol;

pub use http1_downstream::{Http1Downstream, Next};
pub use http1_upstream::Http1;
pub use http2_body::Http2Body;
pub use http2_downstream::Http2Downstream;
pub use http2_upstream::Http2;
pub use transfer::{AttemptResult, Deadlines, End, RequestUpload};

/// The client is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// How an answer of the proxy itself is sent.
#[derive(Clone, Copy, Debug)]
pub struct ReplyContext<'a> {
    /// The date of today.
    pub dates: &'a DateCache,
    /// `server`.
    pub server: &'static [u8],
    /// More fields.
    pub more: Option<&'a HeaderOps>,
    /// Whether the proxy is about to end, so that nothing should follow on the connection.
    pub draining: bool,
}

/// Why the answer to a client is broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The client has gone.
    Gone,
    /// The upstream broke its answer off.
    Upstream,
    /// What the upstream sent is no HTTP.
    Protocol,
    /// It takes too long.
    Timeout,
}

/// A client's request, and the way of its answer.
pub trait DownstreamStream {
    /// What the end of the exchange means to the connection.
    type End;

    /// What the client speaks.
    fn protocol(&self) -> Protocol;

    /// The request's head.
    fn head(&self) -> RequestRef<'_>;

    /// The client.
    fn remote(&self) -> SocketAddr;

    /// What is known of its connection.
    fn facts(&self, destination: SocketAddr) -> ConnectionFacts<'_>;

    /// What it has told in TLS that ends here.
    fn tls(&self) -> Option<&DownstreamTls>;

    /// What ends the stream if it takes too long.
    fn timer(&mut self) -> &mut Timer;

    /// Whether the whole request has come in.
    fn is_complete(&self) -> bool;

    /// Bytes of its body that have come in.
    fn received(&self) -> u64;

    /// Whether the client waits to be told that it may send the body.
    fn awaits_continue(&self) -> bool;

    /// Tells it so.
    ///
    /// # Errors
    /// When it does not take that.
    async fn proceed(&mut self) -> io::Result<()>;

    /// Hands on what of the body has come with the head. Nothing when it is asked again.
    ///
    /// # Errors
    /// When that is no body.
    fn first_data(&mut self, sink: &mut impl BodySink) -> Result<(), Refusal>;

    /// Hands on what comes next of the body.
    ///
    /// # Errors
    /// When it is no body, or without a reason when the client has gone.
    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut impl BodySink,
    ) -> Poll<Result<(), Option<Refusal>>>;

    /// Whether the client has gone, once the request is complete.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> bool;

    /// Begins the answer. Returns the length of its head. Nothing should follow on the connection if the proxy is `draining`.
    fn respond(
        &mut self,
        head: &ResponseHead,
        bytes: &[u8],
        draining: bool,
        edit: &ResponseEdit<'_>,
    ) -> usize;

    /// Takes the data of the answer.
    fn sink(&mut self) -> impl BodySink;

    /// Ready when all that was taken has been sent.
    ///
    /// # Errors
    /// When the client has gone.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>>;

    /// Whether something was sent since this was asked before.
    fn take_progress(&mut self) -> bool;

    /// Whether the end of the answer has been taken.
    fn is_answered(&self) -> bool;

    /// Sends an answer of the proxy itself, unless the client does not take it.
    async fn reply(&mut self, reply: &Reply<'_>, context: ReplyContext<'_>);

    /// Breaks the exchange off.
    fn reset(&mut self, reason: Reset);

    /// Sends the head of the answer, and `first` behind it, and gives the connection away with what has come in on it.
    ///
    /// # Errors
    /// When the client does not take it.
    async fn upgrade(&mut self, first: &[u8]) -> io::Result<(&mut Io, &[u8])>;

    /// The exchange is over.
    fn finish(self) -> Self::End;
}

/// A request to an endpoint, and its answer.
pub trait UpstreamStream {
    /// Our side of the connection.
    fn local(&self) -> SocketAddr;

    /// Puts the head in front of what goes out.
    fn request(&mut self, head: RequestRef<'_>, line: RequestLine<'_>, edit: &RequestEdit<'_>);

    /// Takes the data of the request.
    fn sink(&mut self) -> impl BodySink;

    /// Forgets what has gone out: there will be no other try.
    fn forget(&mut self);

    /// Bytes of the body that are kept for another try.
    fn kept(&self) -> usize;

    /// The body as HTTP/1.1 frames it, as far as it is kept; none in another protocol.
    fn kept_body(&self) -> Option<&[u8]> {
        None
    }

    /// Ready when all that was taken has been sent, or the endpoint takes no more.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Whether the endpoint takes no more.
    fn is_broken(&self) -> bool;

    /// Waits for the head of the answer.
    ///
    /// # Errors
    /// When there is none.
    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>>;

    /// The head of the answer, with the bytes that it lies in.
    fn response(&self) -> (&ResponseHead, &[u8]);

    /// Keeps the head of the answer in the room, for the log.
    fn keep_head(&mut self);

    /// Hands on what of the answer's body has come with its head, which is forgotten.
    ///
    /// # Errors
    /// When that is no body.
    fn first_data(&mut self, sink: &mut impl BodySink) -> Result<(), Refusal>;

    /// Hands on what comes next of the answer's body.
    ///
    /// # Errors
    /// Whether what has come is no body; else it was broken off.
    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut impl BodySink,
    ) -> Poll<Result<(), bool>>;

    /// Bytes of the answer's body that have come in.
    fn received(&self) -> u64;

    /// The fields behind the answer's body, once it has ended.
    fn trailers(&self) -> Fields<'_>;

    /// The connection as it was given away, with what has come in on it behind the head of the answer; none where it is shared.
    fn upgraded(&mut self) -> Option<(&mut Io, &[u8])>;

    /// The exchange has come to its end: keeps the connection for the next request, unless a limit of the cluster forbids that or nothing may
    /// follow on it. Whether there is an idle connection now.
    fn release(self, endpoint: &LocalEndpoint, limits: &Limits, now: Instant) -> bool;
}

/// A protocol that is spoken to endpoints.
pub trait UpstreamProtocol {
    /// What its streams are opened on.
    type Connection;

    /// Its streams.
    type Stream<'r>: UpstreamStream;

    /// A connection that is there and takes another request.
    fn reuse(endpoint: &LocalEndpoint, limits: &Limits) -> Option<Self::Connection>;

    /// A new connection, which holds the slot.
    ///
    /// # Errors
    /// When there is none within the limit.
    async fn connect(
        worker: &Worker,
        cluster: &LocalCluster,
        endpoint: &Rc<LocalEndpoint>,
        slot: Slot,
        limit: Duration,
    ) -> Result<Self::Connection, dial::Failure>;

    /// A stream for a request on a connection.
    fn stream<'r>(
        connection: Self::Connection,
        room: &'r mut UpstreamRoom,
        request: RequestRef<'_>,
    ) -> Self::Stream<'r>;
}

#[cfg(test)]
mod tests;
