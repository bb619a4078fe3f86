//! What the counters should show once a plan is carried out, and whose requests a series of a counter are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::counters::Series;
use super::target::WorkloadVersion;
use super::weights::gcd;
use super::{Measured, Plan, Share, Tally, Target, WeightRequest};
use crate::metrics::Histogram;

/// What is expected of each subset.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The subsets that are routed, sorted by name.
    pub subsets: Vec<Expected>,
}

/// What is expected of one subset.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Its name.
    pub subset: Arc<str>,
    /// Its weight; none if the changed rules differ in it.
    pub weight: Option<u32>,
    /// Its share of the service's requests, from 0 to 1; none if the changed rules differ in it.
    pub share: Option<f64>,
    /// Whether it was named by the user.
    pub named: bool,
    workloads: BTreeSet<WorkloadVersion>,
}

// === impl Expectation ===

impl Expectation {
    /// What the plan leads to.
    pub fn new(target: &Target, ask: &WeightRequest, plan: &Plan) -> Self {
        let mut names: BTreeSet<Arc<str>> =
            ask.shares().iter().map(|(name, _)| name.clone()).collect();
        let shares = plan.rules.iter().flat_map(|rule| &rule.after);
        names.extend(shares.filter_map(|share| share.subset.clone()));
        let subsets = names
            .into_iter()
            .map(|subset| {
                let (weight, share) = agreed(plan, &subset);
                // Counters do not tell which requests had a header.
                let share = share.filter(|_| ask.first().is_none());
                let seen = target.subsets.get(&subset);
                Expected {
                    weight,
                    share,
                    named: ask.share(&subset).is_some(),
                    workloads: seen.map(|seen| seen.workloads.clone()).unwrap_or_default(),
                    subset,
                }
            })
            .collect();
        Self { subsets }
    }

    /// Sorts what was counted by subset.
    pub fn measure(&self, tally: &Tally) -> Measured {
        let mut measured = Measured {
            subsets: vec![(0, 0); self.subsets.len()],
            durations: vec![Histogram::default(); self.subsets.len()],
            ..Measured::default()
        };
        for (series, count) in tally.series() {
            if matches!(&*series.workload, "" | "unknown") {
                measured.unreached += count;
                continue;
            }
            match self
                .subset_of(series)
                .and_then(|of| measured.subsets.get_mut(of))
            {
                Some((requests, errors)) => {
                    *requests += count;
                    *errors += if series.failed { count } else { 0 };
                }
                None => measured.elsewhere += count,
            }
        }
        for (series, durations) in tally.durations() {
            let subset = self.subset_of(series);
            if let Some(all) = subset.and_then(|of| measured.durations.get_mut(of)) {
                all.merge(durations);
            }
        }
        measured
    }

    /// The one subset that a series can be of: by workload, and by version where several subsets share a workload.
    fn subset_of(&self, series: &Series) -> Option<usize> {
        let by_workload = |expected: &Expected| {
            expected.workloads.iter().any(|(name, namespace, _)| {
                *name == series.workload && *namespace == series.namespace
            })
        };
        let by_version = |expected: &Expected| {
            expected.workloads.iter().any(|(name, namespace, version)| {
                *name == series.workload
                    && *namespace == series.namespace
                    && *version == series.version
            })
        };
        self.only(by_workload).or_else(|| self.only(by_version))
    }

    fn only(&self, of: impl Fn(&Expected) -> bool) -> Option<usize> {
        let mut found = self
            .subsets
            .iter()
            .enumerate()
            .filter(|(_, expected)| of(expected))
            .map(|(index, _)| index);
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// Pairs of subsets that the counters cannot tell apart.
    pub fn alike(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let mut first: BTreeMap<&WorkloadVersion, &Expected> = BTreeMap::new();
        let mut alike = BTreeSet::new();
        for expected in &self.subsets {
            for workload in &expected.workloads {
                match first.get(workload) {
                    Some(other) => {
                        alike.insert((other.subset.clone(), expected.subset.clone()));
                    }
                    None => {
                        first.insert(workload, expected);
                    }
                }
            }
        }
        alike.into_iter().collect()
    }
}

/// The weight and share of a subset, where all changed rules agree.
fn agreed(plan: &Plan, subset: &str) -> (Option<u32>, Option<f64>) {
    let of_rules = plan.rules.iter().map(|rule| {
        let own = rule.after.iter().filter(|share| share.subset.is_some());
        let of_subset = |share: &&Share| share.subset.as_deref() == Some(subset);
        let all: u64 = own.clone().map(|share| share.exact).sum();
        let this: u64 = own.clone().filter(of_subset).map(|share| share.exact).sum();
        let weight: u32 = own.filter(of_subset).map(|share| share.weight).sum();
        let common = gcd(this, all).max(1);
        (weight, this / common, all / common)
    });
    let of_rules: BTreeSet<(u32, u64, u64)> = of_rules.collect();
    match of_rules.into_iter().collect::<Vec<_>>().as_slice() {
        [(weight, this, all)] if *all > 0 => (Some(*weight), Some(*this as f64 / *all as f64)),
        [(weight, ..)] => (Some(*weight), None),
        _ => (None, None),
    }
}
