//! How long a watcher waits after a failure.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use tokio::time::Instant;

/// Least pause. A watch that fails is listed again, and a kind is listed once a second at most.
const LEAST: Duration = Duration::from_secs(1);
/// Longest pause, without jitter. An API server that comes back is followed within five seconds, and that may take two attempts:
/// the watch goes on from a version that is gone, and only then a list.
const LONGEST: Duration = Duration::from_secs(2);
/// Part of a pause by which it is longer at random, so that replicas and kinds do not ask all at once.
const JITTER: f64 = 0.2;
/// Time without failures after which pauses are short again. Single successes do not count: a list may succeed and its watch
/// fail at once, again and again.
const CALM: Duration = Duration::from_secs(60);

/// Pauses from one second to two, and a little more at random.
#[derive(Clone, Debug)]
pub struct WatchBackoff {
    next: Duration,
    failed: Option<Instant>,
}

// === impl WatchBackoff ===

impl Default for WatchBackoff {
    fn default() -> Self {
        Self {
            next: LEAST,
            failed: None,
        }
    }
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        if self.failed.is_some_and(|at| now - at > CALM) {
            self.next = LEAST;
        }
        self.failed = Some(now);
        let pause = self.next.mul_f64(1.0 + JITTER * rand::random::<f64>());
        self.next = (self.next * 2).min(LONGEST);
        Some(pause)
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {}
}
