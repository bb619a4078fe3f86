//! The handle through which a worker counts.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::cells::{HttpCells, TcpCells};
use super::key::Outcome;
use super::shard::{Entry, Shard};
use crate::record::ResponseFlags;

/// Who talks to whom, resolved to cells. Belongs to one worker: it can be moved there, but not shared.
#[derive(Debug)]
pub struct Series {
    shard: Arc<Shard>,
    state: RefCell<State>,
}

/// What happened on a TCP connection since it was last counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpBytes {
    /// Whether the connection was opened.
    pub opened: bool,
    /// Whether it was closed.
    pub closed: bool,
    /// Bytes to the client.
    pub sent: u64,
    /// Bytes from the client.
    pub received: u64,
}

/// The entry with the outcomes that came up already; there are few in practice.
#[derive(Debug)]
struct State {
    entry: Arc<Entry>,
    http: SmallVec<[(Outcome, Arc<HttpCells>); 2]>,
    tcp: SmallVec<[(Outcome, Arc<TcpCells>); 1]>,
}

// === impl Series ===

impl Series {
    pub(super) fn new((shard, entry): (Arc<Shard>, Arc<Entry>)) -> Self {
        Self {
            shard,
            state: RefCell::new(State::new(entry)),
        }
    }

    /// Counts a request that has ended.
    #[inline]
    pub fn record(
        &self,
        outcome: Outcome,
        duration: Duration,
        request_bytes: u64,
        response_bytes: u64,
    ) {
        let mut state = self.fresh();
        let State { entry, http, .. } = &mut *state;
        let position = http.iter().position(|(known, _)| *known == outcome);
        let index = position.unwrap_or_else(|| {
            http.push((outcome, entry.http(outcome)));
            http.len() - 1
        });
        if let Some((_, cells)) = http.get(index) {
            let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
            cells.duration.record(micros);
            cells
                .request_bytes
                .record(request_bytes.saturating_mul(1000));
            cells
                .response_bytes
                .record(response_bytes.saturating_mul(1000));
        }
    }

    /// Counts what happened on a TCP connection: when it opens, now and then while it lives, and when it closes.
    pub fn record_tcp(&self, flags: ResponseFlags, bytes: TcpBytes) {
        let outcome = Outcome::tcp(flags);
        let mut state = self.fresh();
        let State { entry, tcp, .. } = &mut *state;
        let position = tcp.iter().position(|(known, _)| *known == outcome);
        let index = position.unwrap_or_else(|| {
            tcp.push((outcome, entry.tcp(outcome)));
            tcp.len() - 1
        });
        let TcpBytes {
            opened,
            closed,
            sent,
            received,
        } = bytes;
        if let Some((_, cells)) = tcp.get(index) {
            cells.opened.add(opened.into());
            cells.closed.add(closed.into());
            cells.sent.add(sent);
            cells.received.add(received);
        }
    }

    /// The cells, resolved again if they were dropped because nothing was counted for long. A request that is counted in the very
    /// moment in which they are dropped is lost, which nobody can tell from its having come a moment later.
    #[inline]
    fn fresh(&self) -> std::cell::RefMut<'_, State> {
        let mut state = self.state.borrow_mut();
        if state.entry.is_retired() {
            let (_, entry) = Shard::series(&self.shard, &state.entry.key);
            *state = State::new(entry);
        }
        state
    }
}

// === impl State ===

impl State {
    fn new(entry: Arc<Entry>) -> Self {
        Self {
            entry,
            http: SmallVec::new(),
            tcp: SmallVec::new(),
        }
    }
}
