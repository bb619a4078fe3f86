//! Keys of tokens, fetched from where RequestAuthentications say (`jwksUri`), so that proxies need to reach nobody.
//!
//! ```text
//! published snapshot --addresses--> fetch (bounded, no private networks) --changed--> Event::KeySet --> event loop
//! ```
//!
//! Keys are fetched again every twenty minutes. After a failure it is tried again, with pauses that double up to a minute; keys that there
//! were before stay in force meanwhile.

mod fetcher;
mod networks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::Event;
use crate::publish::Published;
pub use fetcher::Fetcher;
pub use networks::Networks;

/// How often keys are fetched again.
const REFRESH: Duration = Duration::from_secs(20 * 60);
/// Pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Most addresses that are asked at a time.
const AT_A_TIME: usize = 8;
/// Most addresses in all.
const MOST: usize = 1_000;

/// What is known of an address.
struct Source {
    due: Instant,
    pause: Duration,
    keys: Option<Arc<str>>,
    asked: bool,
}

/// Keeps the keys of all addresses until nobody listens any more.
pub async fn run(
    fetcher: Fetcher,
    mut snapshots: watch::Receiver<Arc<Published>>,
    events: mpsc::Sender<Event>,
) {
    let fetcher = Arc::new(fetcher);
    let mut sources: BTreeMap<Arc<str>, Source> = BTreeMap::new();
    let mut running: JoinSet<(Arc<str>, anyhow::Result<String>)> = JoinSet::new();
    loop {
        let wanted = wanted(&snapshots.borrow_and_update());
        follow(&mut sources, &wanted);
        for (address, source) in &mut sources {
            if running.len() < AT_A_TIME && !source.asked && source.due <= Instant::now() {
                source.asked = true;
                let (fetcher, address) = (Arc::clone(&fetcher), Arc::clone(address));
                running.spawn(async move {
                    let keys = fetcher.fetch(&address).await;
                    (address, keys)
                });
            }
        }
        let idle = sources.values().filter(|source| !source.asked);
        let next = idle.map(|source| source.due).min();
        let has_room = running.len() < AT_A_TIME;
        let due = async {
            match next {
                Some(due) if has_room => tokio::time::sleep_until(due).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() { return },
            () = due => {}
            Some(fetched) = running.join_next() => {
                let Ok((address, outcome)) = fetched else { continue };
                let Some(source) = sources.get_mut(&address) else { continue };
                if let Some(keys) = source.settle(&address, outcome)
                    && events.send(Event::KeySet(address, keys)).await.is_err()
                {
                    return;
                }
            }
        }
    }
}

fn wanted(published: &Published) -> BTreeSet<Arc<str>> {
    let addresses = published.translator.snapshot().key_addresses();
    let count = addresses.len();
    if count > MOST {
        tracing::warn!(
            count,
            most = MOST,
            "too many addresses of keys (jwksUri); the others are not asked"
        );
    }
    addresses.into_iter().take(MOST).map(Arc::from).collect()
}

/// Forgets what nobody wants any more, and notes what is new.
fn follow(sources: &mut BTreeMap<Arc<str>, Source>, wanted: &BTreeSet<Arc<str>>) {
    sources.retain(|address, _| wanted.contains(address));
    for address in wanted {
        sources
            .entry(Arc::clone(address))
            .or_insert_with(|| Source {
                due: Instant::now(),
                pause: FIRST_PAUSE,
                keys: None,
                asked: false,
            });
    }
}

// === impl Source ===

impl Source {
    /// Notes what came of asking; gives the keys if they are others than before.
    fn settle(&mut self, address: &str, outcome: anyhow::Result<String>) -> Option<Arc<str>> {
        self.asked = false;
        match outcome {
            Ok(keys) => {
                self.due = Instant::now() + REFRESH;
                self.pause = FIRST_PAUSE;
                if self.keys.as_deref() == Some(keys.as_str()) {
                    return None;
                }
                tracing::info!(address, "fetched keys of tokens");
                let keys: Arc<str> = keys.into();
                self.keys = Some(Arc::clone(&keys));
                Some(keys)
            }
            Err(error) => {
                tracing::warn!(
                    address,
                    error = format!("{error:#}"),
                    again_in = ?self.pause,
                    "failed to fetch keys of tokens"
                );
                self.due = Instant::now() + self.pause;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_again_and_keys_stay() {
        let mut sources = BTreeMap::new();
        let address: Arc<str> = "https://a.example/keys".into();
        follow(&mut sources, &BTreeSet::from([Arc::clone(&address)]));
        let source = sources.get_mut(&address).unwrap();
        assert_eq!(source.settle("", Ok("one".into())).as_deref(), Some("one"));
        assert_eq!(source.due, Instant::now() + REFRESH);
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(source.settle("", Err(anyhow::anyhow!("away"))), None);
            assert_eq!(source.due, Instant::now() + Duration::from_secs(pause));
        }
        assert_eq!(source.keys.as_deref(), Some("one"));
        assert_eq!(source.settle("", Ok("one".into())), None);
        assert_eq!(source.settle("", Ok("two".into())).as_deref(), Some("two"));
        follow(&mut sources, &BTreeSet::new());
        assert!(sources.is_empty());
    }
}
