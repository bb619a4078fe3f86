//! The connections of one listener: bounded, and when all are taken, the one that has been idle longest makes room. So nobody who only
//! holds connections keeps others out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Who has said or heard something within this time is not idle.
const BUSY: Duration = Duration::from_secs(1);

/// The open connections.
#[derive(Debug)]
pub struct Connections {
    most: usize,
    began: Instant,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    last: u64,
    by_number: BTreeMap<u64, Arc<Activity>>,
}

/// When something last went over a connection.
#[derive(Debug)]
pub struct Activity {
    began: Instant,
    /// Milliseconds since then.
    at: AtomicU64,
    /// Ends it.
    pub stop: CancellationToken,
}

/// One open connection, which ends with its value.
#[derive(Debug)]
pub struct Place {
    number: u64,
    connections: Arc<Connections>,
    pub activity: Arc<Activity>,
}

// === impl Connections ===

impl Connections {
    /// Room for so many.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            began: Instant::now(),
            open: Mutex::default(),
        })
    }

    /// A place for one more; none while all are taken and busy. An idle one that makes room ends with `stop` of its activity.
    pub fn place(self: &Arc<Self>) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.by_number.len() >= self.most {
            let idlest = open
                .by_number
                .iter()
                .min_by_key(|(_, activity)| activity.last());
            let (number, activity) = idlest?;
            if activity.idle() < BUSY {
                return None;
            }
            let number = *number;
            activity.stop.cancel();
            open.by_number.remove(&number);
        }
        open.last += 1;
        let number = open.last;
        let activity = Arc::new(Activity {
            began: self.began,
            at: AtomicU64::new(0),
            stop: CancellationToken::new(),
        });
        activity.note();
        open.by_number.insert(number, activity.clone());
        Some(Place {
            number,
            connections: self.clone(),
            activity,
        })
    }
}

// === impl Activity ===

impl Activity {
    /// Something goes over the connection now.
    pub fn note(&self) {
        let now = self.began.elapsed().as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        self.at.store(now, Ordering::Relaxed);
    }

    fn last(&self) -> u64 {
        self.at.load(Ordering::Relaxed)
    }

    fn idle(&self) -> Duration {
        self.began
            .elapsed()
            .saturating_sub(Duration::from_millis(self.last()))
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        let open = self.connections.open.lock();
        let mut open = open.unwrap_or_else(PoisonError::into_inner);
        open.by_number.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_idlest_makes_room_and_busy_ones_stay() {
        let connections = Connections::new(2);
        let first = connections.place().unwrap();
        tokio::time::advance(Duration::from_millis(10)).await;
        let second = connections.place().unwrap();
        assert!(connections.place().is_none(), "both are busy");
        tokio::time::advance(BUSY * 2).await;
        first.activity.note();
        let third = connections.place().unwrap();
        assert!(second.activity.stop.is_cancelled());
        assert!(!first.activity.stop.is_cancelled());
        assert!(connections.place().is_none(), "both are busy again");
        drop(third);
        assert!(connections.place().is_some());
    }
}
