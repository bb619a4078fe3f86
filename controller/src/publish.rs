//! The event loop: it owns the store, waits for quiet, and publishes a snapshot.
//!
//! ```text
//! events -> Store -> (debounce) -> Snapshot -> watch::Sender<Arc<Published>>
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::diag::Diagnostic;
use mesh_core::resource::Kind;
use mesh_core::snapshot::{Snapshot, SnapshotOptions};
use mesh_core::translate::Translator;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::config::Event;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::versions::Versions;

/// What all streams work from.
pub struct Published {
    /// Counts up with every publication; 0 means nothing has been published yet.
    pub generation: u64,
    /// When it was published.
    pub at: Instant,
    /// Translates for any scope, each part once.
    pub translator: Translator,
    /// What is wrong with the configuration as a whole.
    pub diagnostics: Vec<Diagnostic>,
}

/// When changes are published.
#[derive(Clone, Copy, Debug)]
pub struct Debounce {
    /// Quiet time after a change.
    pub after: Duration,
    /// Longest time that a change waits.
    pub max: Duration,
}

// === impl Published ===

impl Published {
    /// What there is before the first publication.
    pub fn nothing(options: &SnapshotOptions) -> Self {
        let (snapshot, diagnostics) = Snapshot::build(Vec::new(), options);
        let translator = Translator::new(Arc::new(snapshot));
        Self {
            generation: 0,
            at: Instant::now(),
            translator,
            diagnostics,
        }
    }
}

/// Who is told what the loop does.
pub struct Observers {
    /// Which snapshot holds which version of an object.
    pub versions: Arc<Versions>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// Runs the event loop until all sources are gone or nobody listens any more.
///
/// The first publication waits until all objects of each of the `missing` kinds have arrived, so that no proxy ever sees half of a
/// cluster.
pub async fn run(
    mut events: mpsc::Receiver<Event>,
    mut missing: BTreeSet<Kind>,
    debounce: Debounce,
    options: SnapshotOptions,
    published: watch::Sender<Arc<Published>>,
    observers: Observers,
) {
    let mut store = Store::new(Arc::clone(&observers.versions));
    let mut pending: Option<Pending> = None;
    loop {
        let due = async {
            match &pending {
                Some(pending) if missing.is_empty() => {
                    tokio::time::sleep_until(pending.due(debounce)).await
                }
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = events.recv() => {
                let Some(event) = event else { return };
                observers.metrics.event();
                match &event {
                    Event::Replace(kind, _) => drop(missing.remove(kind)),
                    Event::ReplaceAll(_) => missing.clear(),
                    Event::Apply(_) | Event::Delete(..) => {}
                }
                // The first snapshot waits for all sources, and for nothing else.
                let first = published.borrow().generation == 0 && missing.is_empty();
                if store.apply(event) || first {
                    let now = if first { Instant::now() - debounce.after } else { Instant::now() };
                    pending = Some(Pending { first: pending.map_or(now, |pending| pending.first), last: now });
                }
            }
            () = due => {
                let waited = pending.take().map(|pending| pending.first.elapsed()).unwrap_or_default();
                let generation = publish(&store, &options, &published);
                observers.versions.publish(generation);
                observers.metrics.published(waited);
                if published.is_closed() {
                    return;
                }
            }
        }
    }
}

/// When the changes that wait came in.
#[derive(Clone, Copy, Debug)]
struct Pending {
    first: Instant,
    last: Instant,
}

// === impl Pending ===

impl Pending {
    fn due(self, debounce: Debounce) -> Instant {
        (self.last + debounce.after).min(self.first + debounce.max)
    }
}

fn publish(
    store: &Store,
    options: &SnapshotOptions,
    published: &watch::Sender<Arc<Published>>,
) -> u64 {
    let started = Instant::now();
    let (snapshot, diagnostics) = Snapshot::build(store.resources(), options);
    let previous = published.borrow().clone();
    let next = Published {
        generation: previous.generation + 1,
        at: Instant::now(),
        translator: previous.translator.next(Arc::new(snapshot)),
        diagnostics,
    };
    tracing::info!(
        generation = next.generation,
        findings = next.diagnostics.len(),
        took = ?started.elapsed(),
        "publishing a snapshot"
    );
    let generation = next.generation;
    published.send_replace(Arc::new(next));
    generation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_snapshot_waits_for_each_kind() {
        let options = SnapshotOptions::default();
        let (published, mut snapshots) = watch::channel(Arc::new(Published::nothing(&options)));
        let (events, receiver) = mpsc::channel(8);
        let debounce = Debounce {
            after: Duration::ZERO,
            max: Duration::ZERO,
        };
        let observers = Observers {
            versions: Arc::default(),
            metrics: Arc::default(),
        };
        let kinds = BTreeSet::from([Kind::Service, Kind::Pod]);
        let running = tokio::spawn(run(
            receiver, kinds, debounce, options, published, observers,
        ));
        // A watch that breaks lists its kind again; that says nothing about the others.
        for kind in [Kind::Service, Kind::Service, Kind::Node] {
            events.send(Event::Replace(kind, Vec::new())).await.unwrap();
        }
        while events.capacity() < events.max_capacity() {
            tokio::task::yield_now().await;
        }
        assert_eq!(snapshots.borrow().generation, 0);
        events
            .send(Event::Replace(Kind::Pod, Vec::new()))
            .await
            .unwrap();
        snapshots.changed().await.unwrap();
        assert_eq!(snapshots.borrow().generation, 1);
        running.abort();
    }

    #[test]
    fn a_change_waits_for_quiet_but_not_for_ever() {
        let debounce = Debounce {
            after: Duration::from_millis(100),
            max: Duration::from_secs(1),
        };
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(
            Pending {
                first: start,
                last: at(50)
            }
            .due(debounce),
            at(150)
        );
        assert_eq!(
            Pending {
                first: start,
                last: at(990)
            }
            .due(debounce),
            at(1000)
        );
    }
}
