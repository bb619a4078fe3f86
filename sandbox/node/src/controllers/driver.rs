//! The driver: the only controller code that touches the API server.

use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tokio_util::sync::CancellationToken;

use super::action::is_race;
use super::cache::Caches;
use super::observed::Observed;
use super::{Action, CONTROLLERS};

/// Time passes too: deadlines and minimum ready times are looked at this often.
const TICK: Duration = Duration::from_secs(1);

/// How soon a failed write is repeated at first, and at last when it goes on failing: a webhook that is not served yet is soon.
const RETRY: (Duration, Duration) = (Duration::from_millis(25), Duration::from_secs(1));

/// Runs all controllers until `stop` is cancelled: a pass after every change, and one per tick.
pub async fn run(client: Client, caches: Caches, stop: CancellationToken) {
    let mut changes = caches.changes();
    let mut retry = RETRY.0;
    loop {
        let failed = caches.are_synced() && pass(&client, &caches, retry).await;
        let pause = retry;
        retry = match failed {
            true => (retry * 2).min(RETRY.1),
            false => RETRY.0,
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause), if failed => {}
            _ = changes.changed(), if !failed => {}
            () = tokio::time::sleep(TICK) => {}
        }
        changes.mark_unchanged();
    }
}

/// One pass over all controllers, each on a fresh look at the caches; true when a write failed. `retry` is when it will be repeated.
async fn pass(client: &Client, caches: &Caches, retry: Duration) -> bool {
    let mut failed = false;
    for controller in CONTROLLERS {
        let observed = Observed::read(caches, now());
        for action in (controller.reconcile)(&observed) {
            failed |= !perform(client, caches, controller.name, &action, retry).await;
        }
    }
    failed
}

async fn perform(
    client: &Client,
    caches: &Caches,
    controller: &str,
    action: &Action,
    retry: Duration,
) -> bool {
    let outcome = action.perform(client, caches).await;
    match outcome {
        Ok(()) => true,
        Err(error) if is_race(&error) => {
            tracing::trace!(controller, %error, "lost a race, the next pass decides anew");
            true
        }
        Err(error) if retry < RETRY.1 => {
            tracing::debug!(controller, %error, "failed to write, the next pass repeats it");
            false
        }
        Err(error) => {
            tracing::warn!(controller, %error, "failed to write again and again, the next pass repeats it");
            false
        }
    }
}

/// The present time in whole seconds, as the API server stores times.
fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or(Timestamp::UNIX_EPOCH)
}
