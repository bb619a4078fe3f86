//! Which endpoints a client prefers by where it is: `localityLbSetting` of the DestinationRule, else `trafficDistribution` of the service,
//! else the mesh's setting.
//!
//! ```text
//! endpoints by locality --distribute--> shares of localities
//!                       --failover, failoverPriority, with outlierDetection, or trafficDistribution--> priorities
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use mesh_ir::{Endpoint, Locality, LocalityEndpoints};

use crate::model::{LocalityDistribute, LocalityLbSetting};
use crate::snapshot::policy::EffectiveTrafficPolicy;
use crate::snapshot::{
    Instance, NODE_LABEL, SAME_NODE_LABELS, SAME_ZONE_LABELS, TrafficDistribution,
    with_topology_labels,
};

/// The label that, where it comes first, counts apart from those that follow.
const NETWORK_LABEL: &str = "topology.istio.io/network";

/// Where a client is. Two clients of one namespace for which this is equal prefer the same endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientTopology {
    /// Region, zone and subzone.
    pub locality: Locality,
    /// Labels by which some rule orders endpoints (`failoverPriority`), with those that the topology gives.
    pub labels: BTreeMap<String, String>,
}

/// What holds for the endpoints of a cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalityPolicy<'a> {
    setting: &'a LocalityLbSetting,
    /// Whether there are priorities: without ejection no endpoint is ever unhealthy, so that they would only take endpoints out of use.
    /// Who asks for nearness by the service itself means it even so.
    has_priorities: bool,
}

/// What a service says of itself, as settings of a rule.
static SAME_ZONE: LazyLock<LocalityLbSetting> = LazyLock::new(|| nearest(&SAME_ZONE_LABELS));
static SAME_NODE: LazyLock<LocalityLbSetting> = LazyLock::new(|| nearest(&SAME_NODE_LABELS));

fn nearest(labels: &[&str]) -> LocalityLbSetting {
    LocalityLbSetting {
        failover_priority: labels.iter().map(|label| (*label).to_owned()).collect(),
        ..LocalityLbSetting::default()
    }
}

// === impl LocalityPolicy ===

impl<'a> LocalityPolicy<'a> {
    /// The policy of a cluster, if localities count at all: that of the rule, else of the service, else of the mesh.
    pub(super) fn of(
        policy: &EffectiveTrafficPolicy<'a>,
        service: TrafficDistribution,
        mesh: &'a LocalityLbSetting,
    ) -> Option<Self> {
        let balancer = policy.load_balancer;
        if balancer.is_some_and(|balancer| balancer.zone_aware_lb_setting.is_some()) {
            return None;
        }
        let own = balancer.and_then(|balancer| balancer.locality_lb_setting.as_ref());
        let near = match service {
            TrafficDistribution::Any => None,
            TrafficDistribution::SameZone => Some(&*SAME_ZONE),
            TrafficDistribution::SameNode => Some(&*SAME_NODE),
        };
        let setting = own.or(near).unwrap_or(mesh);
        (setting.enabled != Some(false)).then_some(Self {
            setting,
            has_priorities: policy.outlier_detection.is_some() || own.is_none() && near.is_some(),
        })
    }

    /// Whether localities are chosen by their weights before endpoints are.
    pub(super) fn is_weighted(self) -> bool {
        let LocalityLbSetting {
            distribute,
            failover,
            failover_priority,
            enabled: _,
        } = self.setting;
        let fails_over = !failover.is_empty() || !failover_priority.is_empty();
        !distribute.is_empty() || self.has_priorities && fails_over
    }

    /// The endpoints of instances, as a client prefers them.
    pub(super) fn apply<'i>(
        self,
        client: &ClientTopology,
        instances: impl Iterator<Item = &'i Instance>,
    ) -> Vec<LocalityEndpoints> {
        let mut groups: BTreeMap<(u32, &Locality), Vec<Endpoint>> = BTreeMap::new();
        for instance in instances {
            let priority = self.priority(client, instance);
            let group = groups.entry((priority, &instance.locality)).or_default();
            group.push(super::outbound::endpoint(instance));
        }
        let used: BTreeSet<u32> = groups.keys().map(|(priority, _)| *priority).collect();
        let mut localities: Vec<LocalityEndpoints> = groups
            .into_iter()
            .map(|((priority, locality), endpoints)| LocalityEndpoints {
                // Priorities have no gaps.
                priority: u32::try_from(used.range(..priority).count()).unwrap_or(u32::MAX),
                weight: self.is_weighted().then(|| total(&endpoints)),
                ..LocalityEndpoints::new(locality.clone(), endpoints)
            })
            .collect();
        let mut shares = self.setting.distribute.iter();
        if let Some(share) = shares.find(|share| covers(&share.from, &client.locality)) {
            distribute(share, &mut localities);
        }
        localities
    }

    /// The priority of an instance; smaller ones are preferred, and there may be gaps.
    fn priority(self, client: &ClientTopology, instance: &Instance) -> u32 {
        const LEVELS: u32 = 5;
        let LocalityLbSetting {
            distribute,
            failover,
            failover_priority,
            enabled: _,
        } = self.setting;
        if !self.has_priorities || !distribute.is_empty() {
            return 0;
        }
        let by_labels = label_priority(client, instance, failover_priority);
        if !failover_priority.is_empty() && failover.is_empty() {
            return by_labels;
        }
        let (own, other) = (&client.locality, &instance.locality);
        let level = if own.region != other.region {
            let chosen = failover.iter().find(|entry| *entry.from == *own.region);
            match chosen {
                Some(entry) if *entry.to != *other.region => 4,
                _ => 3,
            }
        } else if own.zone != other.zone {
            2
        } else {
            u32::from(own.subzone != other.subzone)
        };
        by_labels.saturating_mul(LEVELS) + level
    }
}

/// How early the labels of an instance stop to be the client's: 0 when all are equal. An entry `KEY=VALUE` compares with a value instead
/// of the client's.
fn label_priority(client: &ClientTopology, instance: &Instance, keys: &[String]) -> u32 {
    let mut labels = with_topology_labels(
        &instance.labels,
        &instance.locality,
        &instance.workload.cluster,
        "",
    );
    if let Some(node) = &instance.node {
        labels.insert(NODE_LABEL.to_owned(), node.to_string());
    }
    let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
    let mut elsewhere = 0;
    for (position, entry) in keys.iter().enumerate() {
        let (key, wanted) = match entry.split_once('=') {
            Some((key, wanted)) => (key, Some(wanted)),
            None => (entry.as_str(), client.labels.get(entry).map(String::as_str)),
        };
        if wanted.unwrap_or_default() == labels.get(key).map_or("", String::as_str) {
            continue;
        }
        if position == 0 && key == NETWORK_LABEL {
            // All of another network come after all of the own one, ordered alike.
            elsewhere = count;
            continue;
        }
        let left = count.saturating_sub(u32::try_from(position).unwrap_or(u32::MAX));
        return left + elsewhere;
    }
    elsewhere
}

/// Gives localities the shares that they have for clients of one; those without are not used.
fn distribute(share: &LocalityDistribute, localities: &mut Vec<LocalityEndpoints>) {
    let mut weights: Vec<Option<u32>> = vec![None; localities.len()];
    for (pattern, percent) in &share.to {
        let matches: Vec<usize> = localities
            .iter()
            .enumerate()
            .filter(|(position, group)| {
                weights.get(*position) == Some(&None) && covers(pattern, &group.locality)
            })
            .map(|(position, _)| position)
            .collect();
        let weight = |position: &usize| {
            let group = localities.get(*position);
            u64::from(group.and_then(|group| group.weight).unwrap_or(1))
        };
        let all: u64 = matches.iter().map(weight).sum();
        for position in &matches {
            let part = (weight(position) * u64::from(*percent)).div_ceil(all.max(1));
            if let Some(known) = weights.get_mut(*position) {
                *known = u32::try_from(part).ok().filter(|part| *part > 0);
            }
        }
    }
    let mut weights = weights.into_iter();
    localities.retain_mut(|group| {
        let weight = weights.next().flatten();
        group.weight = weight;
        weight.is_some()
    });
}

/// Whether a pattern `region/zone/subzone` stands for a locality; parts that are `*` or absent are any.
fn covers(pattern: &str, locality: &Locality) -> bool {
    let parts: [&Arc<str>; 3] = [&locality.region, &locality.zone, &locality.subzone];
    let mut patterns = pattern.splitn(3, '/');
    parts.into_iter().all(|part| match patterns.next() {
        None | Some("" | "*") => true,
        Some(wanted) => *wanted == **part,
    })
}

fn total(endpoints: &[Endpoint]) -> u32 {
    let weights = endpoints.iter().map(|endpoint| endpoint.weight);
    weights.fold(0u32, u32::saturating_add).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_localities() {
        let locality = Locality {
            region: "r".into(),
            zone: "z".into(),
            subzone: "s".into(),
        };
        for pattern in ["*", "r", "r/*", "r/z", "r/z/s", "r/z/*", "r//s"] {
            assert!(covers(pattern, &locality), "{pattern}");
        }
        for pattern in ["a", "r/a", "r/z/a"] {
            assert!(!covers(pattern, &locality), "{pattern}");
        }
    }
}
