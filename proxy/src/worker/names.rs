//! Keeps the addresses of clusters whose endpoints are host names.
//!
//! ```text
//! configuration --follow--> Names --due--> lookups, so many at once --answered--> Names --> Resolved of each cluster
//! ```
//!
//! Each name is asked for on its own: one that is slow or unknown holds up no other, and a change of configuration only asks for the
//! names that are new. A name is asked for again when its answer is not valid any more, or as often as Istio's `dnsRefreshRate` says where
//! nobody tells how long that is.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use rustc_hash::FxHashMap;
use tokio::time::{Instant, sleep_until};

use super::Shared;
use crate::dns::Found;
use crate::runtime::{Resolved, Runtime};

/// Istio's `dnsRefreshRate`.
const REFRESH: Duration = Duration::from_secs(60);

/// How soon a name is asked for again that had no address, and the least pause whatever an answer says.
const RETRY: Duration = Duration::from_secs(5);

/// The longest pause.
const MAX_REFRESH: Duration = Duration::from_secs(300);

/// Lookups at once.
const MAX_LOOKUPS: usize = 32;

/// The names of one configuration, and what is known of them.
#[derive(Debug, Default)]
struct Names {
    clusters: Vec<Arc<Resolved>>,
    hosts: FxHashMap<Arc<str>, Host>,
}

#[derive(Debug)]
struct Host {
    addresses: Vec<IpAddr>,
    /// When it is to be asked for; none while it is.
    due: Option<Instant>,
}

/// A name that is being looked up.
type Lookup = BoxFuture<'static, (Arc<str>, Found)>;

/// Looks names up for as long as it is not aborted.
pub async fn keep(shared: Arc<Shared>) {
    let lookup = |host: Arc<str>| -> Lookup {
        let lookup = shared.options.lookup.clone();
        Box::pin(async move {
            let found = lookup.find(&host).await;
            (host, found)
        })
    };
    let mut names = Names::default();
    let mut asking = FuturesUnordered::new();
    loop {
        names.follow(clusters(&shared.runtime.load()), Instant::now());
        run(&mut names, &mut asking, &lookup, shared.changed.notified()).await;
    }
}

/// The clusters of host names.
fn clusters(runtime: &Runtime) -> Vec<Arc<Resolved>> {
    let named = runtime.named_clusters();
    named.map(|(_, resolved)| resolved.clone()).collect()
}

/// Asks for what is due until `changed` says that there may be other names.
async fn run(
    names: &mut Names,
    asking: &mut FuturesUnordered<Lookup>,
    lookup: &(impl Fn(Arc<str>) -> Lookup + Sync),
    changed: impl Future<Output = ()>,
) {
    tokio::pin!(changed);
    loop {
        let now = Instant::now();
        for host in names.due(now, MAX_LOOKUPS.saturating_sub(asking.len())) {
            asking.push(lookup(host));
        }
        let next = names.next().filter(|_| asking.len() < MAX_LOOKUPS);
        tokio::select! {
            Some((host, found)) = asking.next(), if !asking.is_empty() => {
                names.answered(&host, found, Instant::now());
            }
            () = sleep_until(next.unwrap_or(now)), if next.is_some() => {}
            () = &mut changed => return,
        }
    }
}

// === impl Names ===

impl Names {
    /// Takes over the clusters of a configuration. Names that were known before stay known.
    fn follow(&mut self, clusters: Vec<Arc<Resolved>>, now: Instant) {
        let mut before = std::mem::take(&mut self.hosts);
        let hosts = clusters.iter().flat_map(|cluster| &cluster.hosts);
        for (host, _) in hosts {
            if self.hosts.contains_key(host) {
                continue;
            }
            let known = before.remove(host).unwrap_or(Host {
                addresses: Vec::new(),
                due: Some(now),
            });
            self.hosts.insert(host.clone(), known);
        }
        self.clusters = clusters;
        for cluster in &self.clusters {
            self.store(cluster);
        }
    }

    /// Up to `room` names that are to be asked for now.
    fn due(&mut self, now: Instant, room: usize) -> Vec<Arc<str>> {
        let is_due = |host: &Host| host.due.is_some_and(|due| due <= now);
        let due = self.hosts.iter_mut().filter(|(_, host)| is_due(host));
        due.take(room)
            .map(|(name, host)| {
                host.due = None;
                name.clone()
            })
            .collect()
    }

    /// When the next name is to be asked for.
    fn next(&self) -> Option<Instant> {
        self.hosts.values().filter_map(|host| host.due).min()
    }

    /// Takes in what a name was resolved to. Addresses that worked are better than none.
    fn answered(&mut self, name: &str, found: Found, now: Instant) {
        let Some(host) = self.hosts.get_mut(name) else {
            // The configuration has gone on without it.
            return;
        };
        let Found {
            addresses: found,
            valid,
        } = found;
        let pause = match (found.is_empty(), valid) {
            (true, _) => RETRY,
            (false, None) => REFRESH,
            (false, Some(valid)) => valid.clamp(RETRY, MAX_REFRESH),
        };
        host.due = now.checked_add(pause);
        if found.is_empty() || found == host.addresses {
            return;
        }
        host.addresses = found;
        let concerned = |cluster: &&Arc<Resolved>| {
            let mut hosts = cluster.hosts.iter();
            hosts.any(|(host, _)| **host == *name)
        };
        for cluster in self.clusters.iter().filter(concerned) {
            self.store(cluster);
        }
    }

    /// Lets workers see the addresses of a cluster.
    fn store(&self, cluster: &Resolved) {
        let mut addresses = Vec::new();
        for (host, port) in &cluster.hosts {
            let known = self.hosts.get(host);
            let known = known.map_or(&[][..], |host| &host.addresses);
            addresses.extend(known.iter().map(|ip| SocketAddr::new(*ip, *port)));
        }
        if !addresses.is_empty() {
            cluster.store(&addresses);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(names: impl IntoIterator<Item = String>) -> Vec<Arc<Resolved>> {
        let resolved = |name: String| Arc::new(Resolved::new(vec![(name.into(), 80)]));
        names.into_iter().map(resolved).collect()
    }

    fn addresses(cluster: &Resolved) -> Vec<SocketAddr> {
        let endpoints = cluster.endpoints();
        let all = endpoints.localities.iter().flat_map(|it| &it.endpoints);
        all.map(|endpoint| endpoint.address).collect()
    }

    fn one_address(valid: Option<Duration>) -> Found {
        Found {
            addresses: vec![[10, 0, 0, 1].into()],
            valid,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn names_are_asked_for_beside_each_other() {
        let clusters = resolved((0..100).map(|index| format!("host-{index}")));
        let mut names = Names::default();
        names.follow(clusters.clone(), Instant::now());
        let lookup = |host: Arc<str>| -> Lookup {
            Box::pin(async move {
                // One name never gets an answer, and each of the others takes a second.
                let pause = if *host == *"host-7" {
                    u64::MAX >> 32
                } else {
                    1
                };
                tokio::time::sleep(Duration::from_secs(pause)).await;
                (host, one_address(None))
            })
        };
        let mut asking = FuturesUnordered::new();
        let limit = tokio::time::sleep(Duration::from_secs(5));
        run(&mut names, &mut asking, &lookup, limit).await;
        let with_address = |cluster: &&Arc<Resolved>| !addresses(cluster).is_empty();
        assert_eq!(clusters.iter().filter(with_address).count(), 99);
        assert_eq!(asking.len(), 1);
    }

    #[test]
    fn names_stay_known_across_configurations_and_failures() {
        let begin = Instant::now();
        let mut names = Names::default();
        names.follow(resolved(["a".into(), "b".into()]), begin);
        assert_eq!(names.due(begin, 1).len(), 1);
        assert_eq!(names.due(begin, 9).len(), 1);
        assert_eq!(names.next(), None);
        names.answered("a", one_address(None), begin);
        names.answered("b", Found::default(), begin);
        assert_eq!(names.next(), Some(begin + RETRY));
        let after = resolved(["a".into(), "c".into()]);
        names.follow(after.clone(), begin);
        assert_eq!(addresses(&after[0]), ["10.0.0.1:80".parse().unwrap()]);
        assert_eq!(names.due(begin, 9), ["c".into()]);
        let later = begin + REFRESH;
        assert_eq!(names.due(later, 9), ["a".into()]);
        names.answered("a", Found::default(), later);
        assert_eq!(addresses(&after[0]).len(), 1);
    }

    #[test]
    fn names_are_asked_for_again_when_answers_expire() {
        let begin = Instant::now();
        for (seconds, pause) in [(0, 5), (42, 42), (86_400, 300)] {
            let mut names = Names::default();
            names.follow(resolved(["a".into()]), begin);
            names.due(begin, 1);
            names.answered("a", one_address(Some(Duration::from_secs(seconds))), begin);
            assert_eq!(names.next(), Some(begin + Duration::from_secs(pause)));
        }
    }
}
