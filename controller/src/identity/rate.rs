//! How much each identity may ask for in a minute.

use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

/// Length of the time in which is counted.
const WINDOW: Duration = Duration::from_secs(60);

/// Counts by owner. It holds the owners of one window only.
#[derive(Debug)]
pub(super) struct Rate<K> {
    most: u32,
    window: Mutex<(Instant, FxHashMap<K, u32>)>,
}

// === impl Rate ===

impl<K: Eq + Hash + Clone> Rate<K> {
    /// So many for each owner and minute.
    pub(super) fn new(most: u32) -> Self {
        Self {
            most,
            window: Mutex::new((Instant::now(), FxHashMap::default())),
        }
    }

    /// Whether an owner may have one more now.
    pub(super) fn take(&self, owner: &K) -> bool {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, counts) = &mut *window;
        if since.elapsed() >= WINDOW {
            *since = Instant::now();
            counts.clear();
        }
        let count = counts.entry(owner.clone()).or_default();
        *count = count.saturating_add(1);
        *count <= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_owner_has_its_share_of_each_minute() {
        let rate = Rate::new(2);
        let takes = |owner| (0..3).map(|_| rate.take(&owner)).collect::<Vec<_>>();
        assert_eq!(takes("a"), [true, true, false]);
        assert_eq!(takes("b"), [true, true, false]);
        tokio::time::advance(WINDOW).await;
        assert_eq!(takes("a"), [true, true, false]);
    }
}
