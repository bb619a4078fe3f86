//! Looks after endpoints that are ejected, so that they come back in time whether there is traffic or not.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::runtime::Runtime;

/// Most time between two looks at what the configuration asks for.
const LONGEST: Duration = Duration::from_secs(1);

/// Least time between two looks.
const SHORTEST: Duration = Duration::from_millis(20);

/// Looks for as long as it is not aborted.
pub async fn keep(runtime: impl Fn() -> Arc<Runtime>) {
    loop {
        let now = Instant::now();
        let runtime = runtime();
        let looks = runtime.clusters().iter().filter_map(|cluster| {
            let rules = cluster.config.client.outliers.as_ref()?;
            Some(cluster.hosts.look(rules, now))
        });
        let next = looks.min().unwrap_or(now + LONGEST);
        drop(runtime);
        sleep_until(next.clamp(now + SHORTEST, now + LONGEST)).await;
    }
}
