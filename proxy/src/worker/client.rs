//! A client's connection.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mesh_ir::evaluate::ConnectionFacts;
use mesh_ir::{Direction, PathNormalization, Transport};
use tokio::time::{Instant, timeout};

use super::endpoint::LocalEndpoint;
use super::http2::is_preface;
use super::io::Io;
use super::local::{DrainGuard, Worker};
use super::scratch::Scratch;
use super::timer::Timer;
use crate::http1::{HeadScan, Refusal};
use crate::telemetry::metrics::{Peer, Series};
use crate::tls::{ClientHello, ServerSide, TlsFacts};

/// How long a head may take to come in, once it has begun.
pub const HEAD_LIMIT: Duration = Duration::from_secs(60);

/// How long a TLS handshake may take: Istio's for the connections of clients.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(15);

/// How long an answer of the proxy itself may take to go out.
const SEND_LIMIT: Duration = Duration::from_secs(30);

/// How long a client may be silent after its last answer before its connection is closed.
const LINGER: Duration = Duration::from_secs(2);

/// How long it may go on sending: one that uploads does not look for an answer before it is through.
const LINGER_LONGEST: Duration = Duration::from_secs(30);

/// A client's connection.
#[derive(Debug)]
pub struct Client {
    /// Its bytes.
    pub io: Io,
    /// What the client has told of itself by TLS; none in plaintext, and where TLS passes through.
    pub tls: Option<Rc<DownstreamTls>>,
    /// The client.
    pub remote: SocketAddr,
    /// Our side of the connection.
    pub local: SocketAddr,
    /// Which way its traffic flows, as the listener says.
    pub direction: Direction,
    /// Ends what takes too long.
    pub timer: Timer,
    /// Whether the next bytes may begin HTTP/2.
    pub may_be_http2: bool,
    /// Keeps it among the connections that are told to end.
    pub drain_guard: Option<DrainGuard>,
}

/// What a client has told of itself by TLS that ends here.
#[derive(Debug)]
pub struct DownstreamTls {
    /// What it has told.
    pub facts: TlsFacts,
    /// Where its requests count, and the endpoint that the last of them went to: in nearly all cases the next one does so, too.
    series: RefCell<Option<CountedBy>>,
}

/// The endpoint and the source of a series.
type CountedBy = (Weak<LocalEndpoint>, Option<Arc<Peer>>, Rc<Series>);

/// What came of waiting for a request.
#[derive(Debug)]
pub enum Arrival {
    /// A head has come in; it began then.
    Head(Box<Scratch>, Instant),
    /// HTTP/2 begins, as what has come in shows.
    Http2(Box<Scratch>),
    /// What has come in can never become one.
    Refused(Box<Scratch>, Instant, Refusal),
    /// The head takes too long.
    TooSlow(Box<Scratch>, Instant),
    /// There will be none.
    End,
}

// === impl Arrival ===

impl Arrival {
    /// The same with the path in the form in which it is compared and forwarded; refused if it has none.
    pub fn normalized(self, how: PathNormalization) -> Self {
        match self {
            Self::Head(mut scratch, begun) => match scratch.normalize_path(how) {
                Ok(()) => Self::Head(scratch, begun),
                Err(refusal) => Self::Refused(scratch, begun, refusal),
            },
            other => other,
        }
    }
}

// === impl DownstreamTls ===

impl DownstreamTls {
    /// Where requests count that go to an endpoint.
    #[inline]
    pub fn series(
        &self,
        endpoint: &Rc<LocalEndpoint>,
        source: Option<&Arc<Peer>>,
        make: impl FnOnce(&TlsFacts) -> Series,
    ) -> Rc<Series> {
        let mut known = self.series.borrow_mut();
        if let Some((of, peer, series)) = &*known
            && std::ptr::eq(of.as_ptr(), Rc::as_ptr(endpoint))
            && peer.as_ref().map(Arc::as_ptr) == source.map(Arc::as_ptr)
        {
            return series.clone();
        }
        let series = Rc::new(make(&self.facts));
        *known = Some((Rc::downgrade(endpoint), source.cloned(), series.clone()));
        series
    }
}

// === impl Client ===

impl Client {
    /// A connection that was just accepted.
    pub fn new(io: Io, remote: SocketAddr, local: SocketAddr, direction: Direction) -> Self {
        Self {
            io,
            tls: None,
            remote,
            local,
            direction,
            timer: Timer::default(),
            may_be_http2: false,
            drain_guard: None,
        }
    }

    /// Joins the connections that are told to end, by waking this task.
    pub async fn take_drain_guard(&mut self, worker: &Rc<Worker>) {
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        self.drain_guard = Some(worker.downstream.guard(waker));
    }

    /// Ends the client's TLS here. `scratch` holds what has come in already.
    ///
    /// # Errors
    /// When the handshake fails or takes too long.
    pub async fn accept(
        &mut self,
        worker: &Rc<Worker>,
        tls: &ServerSide,
        hello: Option<&ClientHello>,
        scratch: Option<Box<Scratch>>,
    ) -> io::Result<()> {
        let first = match scratch {
            Some(scratch) => {
                let first = scratch.input.filled().to_vec();
                worker.give_back(scratch);
                first
            }
            None => Vec::new(),
        };
        let accepting = std::mem::take(&mut self.io).accept(first, tls.config(hello));
        self.io = timeout(HANDSHAKE_LIMIT, accepting).await??;
        self.tls = Some(Rc::new(DownstreamTls {
            facts: tls.facts(self.io.session(), hello),
            series: RefCell::default(),
        }));
        Ok(())
    }

    /// What the client has told in TLS that ends here.
    pub fn tls_facts(&self) -> Option<&TlsFacts> {
        self.tls.as_ref().map(|tls| &tls.facts)
    }

    /// What is known of the connection.
    pub fn facts(&self, destination: SocketAddr) -> ConnectionFacts<'_> {
        let plain = ConnectionFacts::plaintext(self.remote, destination);
        match self.tls_facts() {
            None => plain,
            Some(tls) => ConnectionFacts {
                transport: Transport::Tls,
                server_name: tls.server_name.as_deref(),
                peer: tls.identity.as_ref(),
                ..plain
            },
        }
    }

    /// Waits for the next request's head. `scratch` holds what has come in already; without it no memory is held until something
    /// comes in. `ends` tells whether a connection that is idle is to end, and is asked when the task is waked.
    pub async fn arrival(
        &mut self,
        worker: &Rc<Worker>,
        scratch: Option<Box<Scratch>>,
        idle: Option<Duration>,
        ends: impl Fn() -> bool,
    ) -> Arrival {
        let mut scratch = scratch;
        let now = Instant::now();
        let mut begun = scratch.is_some().then_some(now);
        let limits = worker.shared.options.request_limits(self.direction);
        let mut scan = HeadScan::default();
        self.timer.set_after(
            now,
            if scratch.is_some() {
                Some(HEAD_LIMIT)
            } else {
                idle
            },
        );
        poll_fn(|cx| {
            loop {
                if let Some(mut taken) = scratch.take() {
                    let parsed = match self.begins_http2(&taken) {
                        Some(true) => return Poll::Ready(Arrival::Http2(taken)),
                        Some(false) => {
                            let Scratch { input, request, .. } = &mut *taken;
                            let parse = |bytes: &[u8]| request.parse(bytes, limits);
                            scan.parse(input.filled(), limits, parse)
                        }
                        None => Ok(false),
                    };
                    let since = begun.unwrap_or(now);
                    match parsed {
                        Ok(true) => return Poll::Ready(Arrival::Head(taken, since)),
                        Ok(false) => scratch = Some(taken),
                        Err(refusal) => {
                            return Poll::Ready(Arrival::Refused(taken, since, refusal));
                        }
                    }
                }
                let begins = begun.is_none();
                match self.poll_more(worker, &mut scratch, cx) {
                    Poll::Ready(Ok(count)) if count > 0 => {
                        if begins {
                            let now = Instant::now();
                            begun = Some(now);
                            self.timer.set_after(now, Some(HEAD_LIMIT));
                        }
                    }
                    Poll::Ready(_) => return Poll::Ready(Arrival::End),
                    Poll::Pending => break,
                }
            }
            if begun.is_none() && (worker.downstream.ending(self.direction) || ends()) {
                return Poll::Ready(Arrival::End);
            }
            ready!(self.timer.poll(cx));
            Poll::Ready(match (scratch.take(), begun) {
                (Some(scratch), Some(begun)) => Arrival::TooSlow(scratch, begun),
                _ => Arrival::End,
            })
        })
        .await
    }

    /// Whether HTTP/2 begins; none if too little has come in to tell.
    #[inline]
    fn begins_http2(&mut self, scratch: &Scratch) -> Option<bool> {
        if !self.may_be_http2 {
            return Some(false);
        }
        let begins = is_preface(scratch.input.filled())?;
        self.may_be_http2 = false;
        Some(begins)
    }

    fn poll_more(
        &mut self,
        worker: &Rc<Worker>,
        scratch: &mut Option<Box<Scratch>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut taken = match scratch.take() {
            Some(taken) => taken,
            None => {
                ready!(self.io.poll_read_ready(cx))?;
                worker.scratch()
            }
        };
        let read = taken.input.poll_read(&mut self.io, cx);
        if taken.input.is_empty() {
            worker.give_back(taken);
        } else {
            *scratch = Some(taken);
        }
        read
    }

    /// Sends all of it, unless that takes too long.
    ///
    /// # Errors
    /// What the socket says, or that it has taken too long.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut sent = 0;
        self.timer.set_after(Instant::now(), Some(SEND_LIMIT));
        poll_fn(|cx| {
            while let Some(rest) = bytes.get(sent..)
                && !rest.is_empty()
            {
                match self.io.poll_write(cx, rest) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(count)) => sent += count,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        ready!(self.timer.poll(cx));
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                }
            }
            match self.io.poll_flush(cx) {
                Poll::Ready(flushed) => Poll::Ready(flushed),
                Poll::Pending => {
                    ready!(self.timer.poll(cx));
                    Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
                }
            }
        })
        .await
    }

    /// Ends the connection so that the client can still read the last answer: with unread bytes the kernel would reset it.
    pub async fn linger(&mut self, worker: &Rc<Worker>) {
        self.timer.set_after(Instant::now(), Some(LINGER));
        // The end of TLS has to be written, which a client that reads nothing must not hold up.
        let shut = poll_fn(|cx| match self.io.poll_shutdown(cx) {
            Poll::Ready(shut) => Poll::Ready(shut.is_ok()),
            Poll::Pending => self.timer.poll(cx).map(|()| false),
        });
        if !shut.await {
            return;
        }
        let mut scratch = worker.scratch();
        let end = Instant::now() + LINGER_LONGEST;
        poll_fn(|cx| {
            loop {
                scratch.body.clear();
                match scratch.body.poll_read(&mut self.io, cx) {
                    Poll::Ready(Ok(count)) if count > 0 => {
                        let now = Instant::now();
                        if now >= end {
                            return Poll::Ready(());
                        }
                        self.timer.set(Some(end.min(now + LINGER)));
                    }
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return self.timer.poll(cx),
                }
            }
        })
        .await;
        worker.give_back(scratch);
    }
}
