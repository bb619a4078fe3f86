//! Keeps the addresses of clusters whose endpoints are host names.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::{Shared, resolve};
use crate::runtime::{Resolved, Source};

/// Istio's `dnsRefreshRate`.
const REFRESH: Duration = Duration::from_secs(60);

/// How soon names are asked for again that had no address.
const RETRY: Duration = Duration::from_secs(5);

/// Asks for all names at once when configurations change, and now and then, for as long as the workers live.
pub async fn keep(shared: Weak<Shared>) {
    loop {
        let Some(strong) = shared.upgrade() else {
            return;
        };
        let complete = refresh(&strong).await;
        let pause = if complete { REFRESH } else { RETRY };
        let changed = strong.clone();
        drop(strong);
        // A change of configuration ends the pause. The workers' end is noticed at the latest when it is over.
        let _ = tokio::time::timeout(pause, changed.changed.notified()).await;
    }
}

/// True if every name has an address.
async fn refresh(shared: &Shared) -> bool {
    let runtime = shared.runtime.load_full();
    let names: Vec<Arc<Resolved>> = runtime
        .clusters()
        .iter()
        .filter_map(|cluster| match &cluster.source {
            Source::Dns(resolved) => Some(resolved.clone()),
            Source::Known { .. } | Source::OriginalDestination => None,
        })
        .collect();
    drop(runtime);
    let mut complete = true;
    for resolved in names {
        let mut addresses = Vec::new();
        for (host, port) in &resolved.hosts {
            let found = resolve::host_addresses(shared.options.hosts.as_deref(), host).await;
            complete &= !found.is_empty();
            addresses.extend(found.into_iter().map(|ip| SocketAddr::new(ip, *port)));
        }
        // Addresses that worked are better than none.
        if !addresses.is_empty() {
            resolved.store(addresses);
        }
    }
    complete
}
