//! The end of traffic, in two phases.
//!
//! ```text
//! announce: answers are the last on their connections, new connections are served --nobody comes any more--> end: nothing new, idle ones closed
//! ```
//!
//! Others learn late that this proxy is about to end, and send to it as long as they do not know. So it refuses last.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mesh_ir::{Direction, ProxyKind};
use tokio::time::{Instant, timeout, timeout_at};

use super::Workers;
use super::local::Draining;
use super::thread::Command;
use crate::lifecycle::Drain;

/// How often draining looks whether something has changed.
const TICK: Duration = Duration::from_millis(10);

/// When nobody has come for so long, nobody is expected any more.
const QUIET: Duration = Duration::from_secs(1);

// === impl Workers ===

impl Workers {
    /// Lets connections end after their next answer; takes new ones as long as somebody comes, but no longer than four fifths of the
    /// limit, and waits for those that there are until the limit has passed. True if all have ended.
    ///
    /// A sidecar does so with inbound connections first: until those have ended, its workload may need others to answer what is
    /// in flight.
    pub async fn drain(&self, how: Drain, limit: Duration) -> bool {
        let first = if how.inbound_only || self.shared.options.kind == ProxyKind::Sidecar {
            Draining::Inbound
        } else {
            Draining::All
        };
        let accepting = Instant::now() + limit * 4 / 5;
        let ended = async {
            self.announce(first);
            if how.grace {
                // When the time is over, they have to come elsewhere.
                let _ = timeout_at(accepting, self.quiet(first)).await;
            }
            self.end(first).await;
            self.ended(first).await;
            if first == Draining::Inbound && !how.inbound_only {
                self.announce(Draining::All);
                self.end(Draining::All).await;
                self.ended(Draining::All).await;
            }
        };
        timeout(limit, ended).await.is_ok()
    }

    /// Makes answers the last ones on their connections, or no longer.
    pub fn announce(&self, which: Draining) {
        self.tell(|| Command::Announce(which));
    }

    /// Waits until nobody has come for a while.
    async fn quiet(&self, which: Draining) {
        let mut since = Instant::now();
        let mut seen = self.arrivals(which);
        while since.elapsed() < QUIET {
            tokio::time::sleep(TICK).await;
            let now = self.arrivals(which);
            if now != seen {
                seen = now;
                since = Instant::now();
            }
        }
    }

    /// Takes no more connections, and closes those that are idle. Returns when that has been done.
    async fn end(&self, which: Draining) {
        {
            let mut bound = self.bound();
            bound.closed = bound.closed.and(which);
        }
        let (done, mut all_done) = tokio::sync::mpsc::channel(1);
        self.tell(|| Command::End(which, done.clone()));
        drop(done);
        // Nothing is ever sent: the last worker drops the channel.
        let _ = all_done.recv().await;
    }

    /// Waits until all connections have ended.
    async fn ended(&self, which: Draining) {
        let count = |direction| self.shared.connections(direction).load(Ordering::Relaxed);
        while which.directions().map(count).sum::<usize>() > 0 {
            tokio::time::sleep(TICK).await;
        }
    }

    fn arrivals(&self, which: Draining) -> usize {
        let count = |direction| self.shared.arrivals(direction).load(Ordering::Relaxed);
        which.directions().map(count).fold(0, usize::wrapping_add)
    }
}

// === impl Draining ===

impl Draining {
    /// Whether it is about connections of a direction.
    #[inline]
    pub fn covers(self, direction: Direction) -> bool {
        match self {
            Self::No => false,
            Self::Inbound => direction == Direction::Inbound,
            Self::All => true,
        }
    }

    /// What either is about.
    fn and(self, other: Self) -> Self {
        self.max(other)
    }

    fn directions(self) -> impl Iterator<Item = Direction> {
        [Direction::Inbound, Direction::Outbound]
            .into_iter()
            .filter(move |direction| self.covers(*direction))
    }
}
