//! Asks endpoints whether they are well, where their cluster says so, whether there is traffic or not.

mod grpc;
mod probe;

use std::sync::Arc;
use std::time::Duration;

use mesh_ir::HostView;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

use super::CheckOutcome;
use crate::runtime::{Cluster, Runtime};
use probe::Target;

/// Most checks at once; what is due beyond that waits.
const MAX_CHECKS: usize = 64;

/// Most time between two looks at what the configuration asks for.
const LONGEST: Duration = Duration::from_secs(1);

/// Least time between two looks.
const SHORTEST: Duration = Duration::from_millis(20);

/// Asks for as long as it is not aborted.
pub async fn keep(runtime: impl Fn() -> Arc<Runtime>, view: Arc<HostView>) {
    let room = Arc::new(Semaphore::new(MAX_CHECKS));
    // Dropped with this, so that no check outlives it.
    let mut checks = tokio::task::JoinSet::new();
    loop {
        while checks.try_join_next().is_some() {}
        let now = Instant::now();
        let mut next = now + LONGEST;
        for cluster in runtime().clusters() {
            if let Some(due) = look(cluster, now, &room, &view, &mut checks) {
                next = next.min(due);
            }
        }
        sleep_until(next.max(now + SHORTEST)).await;
    }
}

/// Begins the checks that are due. When the next one is.
fn look(
    cluster: &Arc<Cluster>,
    now: Instant,
    room: &Arc<Semaphore>,
    view: &Arc<HostView>,
    checks: &mut tokio::task::JoinSet<()>,
) -> Option<Instant> {
    // Several are refused.
    let rules = cluster.config.client.health_checks.first()?;
    let members = cluster.members()?;
    let mut next = None;
    for index in 0..members.count() {
        let (Some(endpoint), Some(host)) = (members.get(index), members.host(index)) else {
            continue;
        };
        let Some(due) = host.check_due(now) else {
            continue;
        };
        if due > now {
            next = Some(next.map_or(due, |next: Instant| next.min(due)));
            continue;
        }
        let Ok(permit) = room.clone().try_acquire_owned() else {
            return Some(now);
        };
        host.begin_check();
        let target = Target {
            address: endpoint.address,
            view: view.clone(),
            transport: cluster.transport(endpoint.offers_mtls).clone(),
            authority: cluster.name().clone(),
        };
        let (host, rules, hosts) = (host.clone(), rules.clone(), cluster.hosts.clone());
        checks.spawn(async move {
            let checked = timeout(rules.timeout, probe::check(&rules.probe, &target)).await;
            let outcome = checked.unwrap_or(CheckOutcome::Failed);
            hosts.checked(&host, &rules, outcome);
            drop(permit);
        });
    }
    next
}
