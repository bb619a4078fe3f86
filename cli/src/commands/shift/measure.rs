//! Measuring with the proxies' own counters: what they counted before and after, added up over all proxies.
//!
//! ```text
//! pods with a proxy --15090/stats/prometheus--> Counters before .. Counters now --> Tally
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::resource::{Kind, Object};
use mesh_core::shift::{Counters, Section, Tally};
use mesh_core::snapshot::Snapshot;
use tokio::time::Instant;

use super::probe::Probe;
use crate::context::Cluster;
use crate::mesh::{PodRef, Silent, has_proxy, scrape};
use crate::reporter::Step;

/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(500);
/// So many rounds without a change mean that nothing more comes.
const STILL: u32 = 2;

/// The proxies of a cluster and what they have counted.
pub struct Meter<'a> {
    cluster: &'a Cluster,
    hosts: Vec<Arc<str>>,
    section: Section,
    pods: Vec<PodRef>,
    /// By the position of the pod. A proxy that could not be asked yet is missing.
    before: BTreeMap<usize, Counters>,
    now: BTreeMap<usize, Counters>,
}

// === impl Meter ===

impl<'a> Meter<'a> {
    /// The proxies of all running pods that have one.
    pub fn new(
        cluster: &'a Cluster,
        snapshot: &Snapshot,
        hosts: Vec<Arc<str>>,
        section: Section,
    ) -> Self {
        let pods =
            snapshot
                .resources(Kind::Pod)
                .iter()
                .filter_map(|resource| match &resource.object {
                    Object::Pod(pod) if !resource.meta.deleting && has_proxy(pod) => Some(PodRef {
                        namespace: resource.key.namespace.to_string(),
                        name: resource.key.name.to_string(),
                    }),
                    _ => None,
                });
        Self {
            cluster,
            hosts,
            section,
            pods: pods.collect(),
            before: BTreeMap::new(),
            now: BTreeMap::new(),
        }
    }

    /// How many proxies there are.
    pub fn proxies(&self) -> usize {
        self.pods.len()
    }

    /// Takes what is counted now as the beginning.
    pub async fn begin(&mut self) -> Silent {
        self.before.clear();
        self.now.clear();
        self.scrape().await
    }

    /// What was counted since the beginning.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for (position, now) in &self.now {
            if let Some(before) = self.before.get(position) {
                tally.add(before, now);
            }
        }
        tally
    }

    /// Watches until a time has passed or enough requests were counted, and the probe (if any) has sent all of its requests and
    /// they have been counted, or it is bad already. The step is told what happens.
    pub async fn watch(
        &mut self,
        window: Duration,
        enough: Option<u64>,
        mut probe: Option<Probe>,
        step: Option<&Step>,
        is_bad: impl Fn(&Tally) -> bool,
    ) -> (Silent, Option<Probe>) {
        let end = Instant::now() + window;
        let (mut counted, mut still) = (0, 0);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            tokio::time::sleep(PAUSE.min(left)).await;
            let sent_all = probe.as_mut().is_some_and(Probe::is_over);
            let trouble = self.scrape().await;
            let tally = self.tally();
            let total = tally.total();
            if let Some(step) = step {
                step.say(&watching(total, end, probe.as_ref()));
            }
            let complete = enough.is_some_and(|enough| total >= enough);
            still = if sent_all && total == counted {
                still + 1
            } else {
                0
            };
            // Counters follow the answers by a moment: when they stand still, all are counted.
            let settled = still >= STILL;
            let over = (complete && probe.is_none()) || settled || Instant::now() >= end;
            if over || is_bad(&tally) {
                return (trouble, probe);
            }
            counted = total;
        }
    }

    async fn scrape(&mut self) -> Silent {
        let read = |page: &str| Counters::parse(page, &self.hosts, self.section);
        let (pages, silent) = scrape(self.cluster, &self.pods, read).await;
        for (position, counters) in pages {
            self.before
                .entry(position)
                .or_insert_with(|| counters.clone());
            self.now.insert(position, counters);
        }
        silent
    }
}

fn watching(total: u64, end: Instant, probe: Option<&Probe>) -> String {
    let left = end.saturating_duration_since(Instant::now()).as_secs();
    let sent = probe
        .map(|probe| format!(", {} sent", probe.answered()))
        .unwrap_or_default();
    format!("measuring: {total} requests counted{sent}, {left} s left")
}
