//! The event loop: it owns the store and publishes snapshots.
//!
//! ```text
//! events -> Store -> ChangeSet -> (debounce) -> Snapshot, Translator -> watch::Sender<Arc<Published>>
//! ```
//!
//! Snapshots are made on a thread for blocking work; events that come meanwhile wait in their queue.

use std::collections::BTreeSet;
use std::sync::Arc;

use mesh_core::diag::Diagnostic;
use mesh_core::resource::Kind;
use mesh_core::snapshot::{ChangeSet, Snapshot, SnapshotOptions};
use mesh_core::translate::Translator;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::config::Event;
use crate::debounce::{Debounce, Pace};
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

// === impl Published ===

impl Published {
    /// What there is before the first publication.
    pub fn nothing(options: &SnapshotOptions) -> Self {
        let translator = Translator::new(Arc::new(Snapshot::empty(options)));
        Self {
            generation: 0,
            at: Instant::now(),
            translator,
            diagnostics: Vec::new(),
        }
    }

    /// What there is after a change.
    fn next(&self, changes: &ChangeSet) -> Self {
        let started = Instant::now();
        let snapshot = Arc::new(self.translator.snapshot().next(changes));
        let next = Self {
            generation: self.generation + 1,
            diagnostics: snapshot.diagnostics(),
            translator: self.translator.next(snapshot),
            at: Instant::now(),
        };
        tracing::info!(
            generation = next.generation,
            changes = changes.len(),
            findings = next.diagnostics.len(),
            took = ?started.elapsed(),
            "publishing a snapshot"
        );
        next
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
    published: watch::Sender<Arc<Published>>,
    observers: Observers,
) {
    let mut store = Store::new(Arc::clone(&observers.versions));
    let mut pace = Pace::new(debounce);
    let mut pending: Option<Pending> = None;
    loop {
        let due = async {
            match &pending {
                Some(pending) if missing.is_empty() => {
                    tokio::time::sleep_until(pace.due(pending.first)).await;
                }
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = due => {
                let Some(Pending { first, changes }) = pending.take() else { continue };
                let waited = first.elapsed();
                let previous = published.borrow().clone();
                let made = tokio::task::spawn_blocking(move || previous.next(&changes)).await;
                let next = match made {
                    Ok(next) => next,
                    Err(error) => {
                        tracing::error!(%error, "failed to make a snapshot; stopping");
                        return;
                    }
                };
                observers.versions.publish(next.generation);
                observers.metrics.published(waited);
                published.send_replace(Arc::new(next));
                pace.published(first, Instant::now());
                if published.is_closed() {
                    return;
                }
            }
            event = events.recv() => {
                let Some(event) = event else { return };
                observers.metrics.event();
                match &event {
                    Event::Replace(kind, _) => drop(missing.remove(kind)),
                    Event::ReplaceAll(_) => missing.clear(),
                    Event::Apply(_)
                    | Event::Delete(..)
                    | Event::KeySet(..)
                    | Event::Several(_) => {}
                }
                let changes = store.apply(event);
                // The first snapshot waits for all sources, and for nothing else.
                let is_first = published.borrow().generation == 0 && missing.is_empty();
                if !changes.is_empty() || is_first {
                    pending.get_or_insert_with(Pending::now).changes.merge(changes);
                }
            }
        }
    }
}

/// Changes that wait.
struct Pending {
    /// When the first of them came in.
    first: Instant,
    changes: ChangeSet,
}

// === impl Pending ===

impl Pending {
    fn now() -> Self {
        Self {
            first: Instant::now(),
            changes: ChangeSet::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        let running = tokio::spawn(run(receiver, kinds, debounce, published, observers));
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
}
