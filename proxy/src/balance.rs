//! Which endpoint takes the next request.

use mesh_ir::LoadBalancing;

/// What balancing needs to know of the endpoints.
pub trait Candidates {
    /// How many there are.
    fn count(&self) -> usize;
    /// Requests on their way to one.
    fn active(&self, index: usize) -> u32;
    /// Sums of the weights up to and including each; none if all weights are the same.
    fn weights(&self) -> Option<&[u64]>;
}

/// Picks one; none if there is none. `next` counts picks, `random` gives numbers that are evenly spread.
pub fn pick(
    how: LoadBalancing,
    candidates: &impl Candidates,
    next: usize,
    mut random: impl FnMut() -> u64,
) -> Option<usize> {
    let count = candidates.count();
    if count < 2 {
        return count.checked_sub(1);
    }
    Some(match (how, candidates.weights()) {
        (LoadBalancing::RoundRobin, None) => next % count,
        // Which property is hashed is not known here yet: requests are spread instead.
        (LoadBalancing::LeastRequest | LoadBalancing::ConsistentHash(_), None) => {
            let first = below(random(), count);
            // Another one than the first, each as likely.
            let second = (first + 1 + below(random(), count - 1)) % count;
            if candidates.active(second) < candidates.active(first) {
                second
            } else {
                first
            }
        }
        (LoadBalancing::Random | LoadBalancing::ClusterProvided, None) => below(random(), count),
        (LoadBalancing::LeastRequest | LoadBalancing::ConsistentHash(_), Some(weights)) => {
            let first = weighted(weights, random());
            let second = weighted(weights, random());
            if candidates.active(second) < candidates.active(first) {
                second
            } else {
                first
            }
        }
        (LoadBalancing::RoundRobin, Some(weights)) => {
            // A stride that has no factor in common with the total visits every ticket once in a round, and spreads them.
            let total = weights.last().copied().unwrap_or(1).max(1);
            weighted(weights, (next as u64).wrapping_mul(stride(total)) % total)
        }
        (_, Some(weights)) => weighted(weights, random()),
    })
}

/// A number below `count`, as likely as any other.
fn below(random: u64, count: usize) -> usize {
    ((u128::from(random) * count as u128) >> 64) as usize
}

/// The position whose share of the weights the ticket falls into.
fn weighted(weights: &[u64], ticket: u64) -> usize {
    let total = weights.last().copied().unwrap_or(1).max(1);
    let ticket = ticket % total;
    weights.partition_point(|sum| *sum <= ticket)
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
mod tests {
    use super::*;

    struct Fixed {
        active: Vec<u32>,
        weights: Option<Vec<u64>>,
    }

    impl Candidates for Fixed {
        fn count(&self) -> usize {
            self.active.len()
        }

        fn active(&self, index: usize) -> u32 {
            self.active[index]
        }

        fn weights(&self) -> Option<&[u64]> {
            self.weights.as_deref()
        }
    }

    fn equal(active: &[u32]) -> Fixed {
        Fixed {
            active: active.to_vec(),
            weights: None,
        }
    }

    /// How often each is picked in `picks` picks, with tickets from a counter that visits the whole range evenly.
    fn counts(how: LoadBalancing, candidates: &Fixed, picks: usize) -> Vec<usize> {
        let mut counts = vec![0; candidates.active.len()];
        let mut state = 0_u64;
        for next in 0..picks {
            let random = || {
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                state ^ (state >> 29)
            };
            counts[pick(how, candidates, next, random).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn nothing_is_picked_of_nothing() {
        assert_eq!(
            pick(LoadBalancing::LeastRequest, &equal(&[]), 0, || 0),
            None
        );
        assert_eq!(
            pick(LoadBalancing::RoundRobin, &equal(&[7]), 9, || 0),
            Some(0)
        );
    }

    #[test]
    fn round_robin_takes_turns() {
        assert_eq!(
            counts(LoadBalancing::RoundRobin, &equal(&[0, 9, 0]), 9),
            [3, 3, 3]
        );
    }

    #[test]
    fn round_robin_follows_weights_exactly() {
        let candidates = Fixed {
            active: vec![0; 3],
            weights: Some(vec![1, 3, 8]),
        };
        assert_eq!(
            counts(LoadBalancing::RoundRobin, &candidates, 16),
            [2, 4, 10]
        );
    }

    #[test]
    fn the_busiest_is_never_picked_of_two_random_ones() {
        let counts = counts(LoadBalancing::LeastRequest, &equal(&[5, 1, 0]), 300);
        assert_eq!(counts[0], 0);
        assert!(counts[2] > counts[1], "{counts:?}");
    }
}
