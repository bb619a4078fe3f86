//! Answers of the API server that count for a minute, so that it is not asked again by each stream of the same proxy.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an answer counts.
const TIME: Duration = Duration::from_secs(60);
/// Most answers that are remembered; more are asked for each time.
const MOST: usize = 4096;

/// Answers by what was asked.
pub(super) struct Remembered<K, V>(Mutex<BTreeMap<K, (Instant, V)>>);

// === impl Remembered ===

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord, V: Clone> Remembered<K, V> {
    /// The answer to a question, while it counts.
    pub(super) fn get(&self, key: &K) -> Option<V> {
        let answers = self.answers();
        let (at, answer) = answers.get(key)?;
        (at.elapsed() < TIME).then(|| answer.clone())
    }

    /// Remembers an answer, if there is room.
    pub(super) fn insert(&self, key: K, answer: V) {
        let mut answers = self.answers();
        if answers.len() >= MOST {
            answers.retain(|_, (at, _)| at.elapsed() < TIME);
        }
        if answers.len() < MOST {
            answers.insert(key, (Instant::now(), answer));
        }
    }

    /// Answers are inserted whole, so they stay usable after a panic elsewhere.
    fn answers(&self) -> MutexGuard<'_, BTreeMap<K, (Instant, V)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
