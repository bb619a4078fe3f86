//! Which endpoint takes the next request: a priority, a locality where those are weighted, an endpoint.
//!
//! A [`Balancer`] is made from all endpoints of a cluster whenever one comes, goes, or changes its health; picking is a matter of few
//! comparisons, without locks.

mod hash_table;
mod priorities;
mod request_hash;

use std::net::SocketAddr;
use std::sync::OnceLock;

use mesh_ir::{ConsistentHash, LoadBalancing};

use hash_table::{Entry, HashTable};
use priorities::{Count, OVERPROVISIONING, loads};

pub use request_hash::{RequestHash, request_hash};

/// Envoy's limit; endpoints beyond it get nothing.
const MAX_PRIORITY: u32 = 128;

/// An endpoint as balancing sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Address.
    pub address: SocketAddr,
    /// Relative weight.
    pub weight: u32,
    /// 0 is used first.
    pub priority: u32,
    /// Which locality it belongs to, by a number of its own.
    pub locality: u32,
    /// Weight of that locality.
    pub locality_weight: Option<u32>,
    /// Whether it is fit for traffic.
    pub is_healthy: bool,
}

/// How endpoints are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Among the endpoints of a locality.
    pub how: LoadBalancing,
    /// Whether localities are chosen first, by their weights.
    pub weighted_localities: bool,
    /// Percent of healthy endpoints below which all count as healthy; none is 50.
    pub panic_threshold: Option<u8>,
}

/// What a pick goes by beyond the endpoints.
#[derive(Clone, Copy, Debug, Default)]
pub struct Draw {
    /// The request's hash.
    pub hash: Option<u64>,
    /// How often another endpoint is asked for by the same hash.
    pub attempt: u32,
    /// Counts picks.
    pub next: usize,
}

/// The endpoints of a cluster, ready to be chosen from by their positions.
#[derive(Debug)]
pub struct Balancer {
    how: LoadBalancing,
    pools: Vec<Pool>,
}

/// The endpoints of a priority that gets traffic.
#[derive(Debug)]
struct Pool {
    /// Percent of the traffic that goes to it and those before it.
    until: u64,
    /// By locality, or all in one.
    groups: Vec<Group>,
    /// Sums of the groups' weights.
    shares: Vec<u64>,
    /// The endpoints of all groups, where hashes lead to them.
    entries: Vec<Entry>,
    /// Made when it is needed first: it is large.
    table: OnceLock<HashTable>,
}

#[derive(Debug)]
struct Group {
    /// Positions.
    members: Vec<u32>,
    /// Sums of the weights up to and including each; none if all weights are the same.
    weights: Option<Vec<u64>>,
}

// === impl Balancer ===

impl Balancer {
    /// Looks at all endpoints once, and then at those of each priority.
    pub fn new(rules: Rules, candidates: &[Candidate]) -> Self {
        let highest = candidates.iter().map(|candidate| candidate.priority).max();
        let highest = highest.map_or(0, |highest| highest.min(MAX_PRIORITY) as usize + 1);
        let mut counts = vec![Count::default(); highest];
        for candidate in candidates {
            if let Some(count) = counts.get_mut(candidate.priority as usize) {
                count.all += 1;
                count.healthy += u64::from(candidate.is_healthy);
            }
        }
        let mut until = 0;
        let mut pools = Vec::new();
        for (priority, load) in loads(&counts, rules.panic_threshold).iter().enumerate() {
            if load.percent == 0 {
                continue;
            }
            until += load.percent;
            let mine: Vec<(u32, &Candidate)> = (0..)
                .zip(candidates)
                .filter(|(_, candidate)| candidate.priority as usize == priority)
                .collect();
            pools.push(Pool::new(rules, until, load.panics, &mine));
        }
        Self {
            how: rules.how,
            pools,
        }
    }

    /// Picks an endpoint by its position; none if there is none. `random` gives numbers that are evenly spread, `active` the requests on
    /// their way to an endpoint.
    pub fn pick(
        &self,
        draw: Draw,
        random: &mut impl FnMut() -> u64,
        active: impl Fn(usize) -> u32,
    ) -> Option<usize> {
        let hashed = match self.how {
            LoadBalancing::ConsistentHash(how) => {
                Some((how, draw.hash.unwrap_or_else(&mut *random)))
            }
            _ => None,
        };
        let pool = match self.pools.as_slice() {
            [only] => only,
            pools => {
                let ticket = hashed.map_or_else(&mut *random, |(_, hash)| hash) % 100;
                pools.iter().find(|pool| ticket < pool.until)?
            }
        };
        if let Some((how, hash)) = hashed {
            return pool.find(how, hash, draw.attempt);
        }
        let group = match pool.groups.as_slice() {
            [only] => only,
            groups => groups.get(weighted(&pool.shares, random()))?,
        };
        group.pick(self.how, draw.next, random, active)
    }
}

// === impl Pool ===

impl Pool {
    fn new(rules: Rules, until: u64, panics: bool, all: &[(u32, &Candidate)]) -> Self {
        let is_eligible = |candidate: &Candidate| candidate.is_healthy || panics;
        let mut pool = Self {
            until,
            groups: Vec::new(),
            shares: Vec::new(),
            entries: Vec::new(),
            table: OnceLock::new(),
        };
        let has_weights = all
            .iter()
            .any(|(_, candidate)| candidate.locality_weight.is_some_and(|weight| weight > 0));
        let localities: Vec<&[(u32, &Candidate)]> =
            if rules.weighted_localities && has_weights && !panics {
                all.chunk_by(|(_, a), (_, b)| a.locality == b.locality)
                    .collect()
            } else {
                vec![all]
            };
        let is_whole = localities.len() == 1;
        let mut sum = 0;
        for locality in localities {
            let eligible = locality.iter().filter(|(_, it)| is_eligible(it));
            let members: Vec<(u32, &Candidate)> = eligible.copied().collect();
            let Some((_, first)) = members.first() else {
                continue;
            };
            // In thousandths of a percent, since a locality gets less when some of its endpoints are not healthy.
            let able = (OVERPROVISIONING * 1000 * members.len() as u64)
                .checked_div(locality.len() as u64)
                .unwrap_or(0)
                .min(100_000);
            let share = if is_whole {
                1
            } else {
                able * u64::from(first.locality_weight.unwrap_or(0))
            };
            if share == 0 {
                continue;
            }
            sum += share;
            pool.shares.push(sum);
            if let LoadBalancing::ConsistentHash(_) = rules.how {
                let total: f64 = members
                    .iter()
                    .map(|(_, it)| f64::from(it.weight.max(1)))
                    .sum();
                let entry = |(index, it): &(u32, &Candidate)| Entry {
                    index: *index,
                    address: it.address,
                    share: share as f64 * f64::from(it.weight.max(1)) / total,
                };
                pool.entries.extend(members.iter().map(entry));
            } else {
                pool.groups.push(Group::new(&members));
            }
        }
        for entry in &mut pool.entries {
            entry.share /= sum as f64;
        }
        pool
    }

    fn find(&self, how: ConsistentHash, hash: u64, attempt: u32) -> Option<usize> {
        let table = self
            .table
            .get_or_init(|| HashTable::new(how, &self.entries));
        table.find(hash, attempt).map(|index| index as usize)
    }
}

// === impl Group ===

impl Group {
    fn new(members: &[(u32, &Candidate)]) -> Self {
        let same = members.windows(2).all(|pair| match pair {
            [(_, a), (_, b)] => a.weight == b.weight,
            _ => true,
        });
        let sums = members.iter().scan(0_u64, |sum, (_, candidate)| {
            *sum += u64::from(candidate.weight.max(1));
            Some(*sum)
        });
        Self {
            weights: (!same).then(|| sums.collect()),
            members: members.iter().map(|(index, _)| *index).collect(),
        }
    }

    fn pick(
        &self,
        how: LoadBalancing,
        next: usize,
        random: &mut impl FnMut() -> u64,
        active: impl Fn(usize) -> u32,
    ) -> Option<usize> {
        let count = self.members.len();
        let member = |at: usize| self.members.get(at).map(|index| *index as usize);
        if count < 2 {
            return member(0);
        }
        // Requests on the way to a member, in proportion to its weight of all.
        let load = |at: usize, other: usize| -> u64 {
            let weight = self
                .weights
                .as_deref()
                .map_or(1, |sums| weight(sums, other));
            u64::from(member(at).map_or(0, &active)).saturating_mul(weight)
        };
        let less_busy = |first: usize, second: usize| {
            if load(second, first) < load(first, second) {
                second
            } else {
                first
            }
        };
        let at = match (how, self.weights.as_deref()) {
            (LoadBalancing::RoundRobin, None) => next % count,
            (LoadBalancing::LeastRequest, None) => {
                let first = below(random(), count);
                // Another one than the first, each as likely.
                less_busy(first, (first + 1 + below(random(), count - 1)) % count)
            }
            (_, None) => below(random(), count),
            (LoadBalancing::LeastRequest, Some(sums)) => {
                less_busy(weighted(sums, random()), weighted(sums, random()))
            }
            (LoadBalancing::RoundRobin, Some(sums)) => {
                // A stride that has no factor in common with the total visits every ticket once in a round, and spreads them.
                let total = sums.last().copied().unwrap_or(1).max(1);
                let ticket = u128::from(next as u64) * u128::from(stride(total));
                weighted(sums, (ticket % u128::from(total)) as u64)
            }
            (_, Some(sums)) => weighted(sums, random()),
        };
        member(at)
    }
}

/// A number below `count`, as likely as any other.
fn below(random: u64, count: usize) -> usize {
    ((u128::from(random) * count as u128) >> 64) as usize
}

/// The position whose share of the weights the ticket falls into.
fn weighted(sums: &[u64], ticket: u64) -> usize {
    let total = sums.last().copied().unwrap_or(1).max(1);
    let ticket = ticket % total;
    sums.partition_point(|sum| *sum <= ticket)
}

/// The weight at a position.
fn weight(sums: &[u64], at: usize) -> u64 {
    let before = at.checked_sub(1).and_then(|before| sums.get(before));
    let sum = sums.get(at).copied().unwrap_or(1);
    sum - before.copied().unwrap_or(0)
}

/// About 0.618 of the total, without a factor in common with it.
fn stride(total: u64) -> u64 {
    let mut stride = (u128::from(total) * 618 / 1000) as u64 | 1;
    while gcd(stride, total) != 1 {
        stride += 1;
    }
    stride
}

fn gcd(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests;
