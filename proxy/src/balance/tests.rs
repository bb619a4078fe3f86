//! Shares are counted over many picks, and hashes lead where they led before.

use super::*;

const RULES: Rules = Rules {
    how: LoadBalancing::Random,
    weighted_localities: false,
    panic_threshold: None,
};

fn rules(how: LoadBalancing) -> Rules {
    Rules { how, ..RULES }
}

fn candidate(index: usize, weight: u32) -> Candidate {
    Candidate {
        address: ([10, 0, 0, index as u8], 80).into(),
        weight,
        priority: 0,
        locality: 0,
        locality_weight: None,
        is_healthy: true,
    }
}

fn weights(weights: &[u32]) -> Vec<Candidate> {
    let candidates = weights.iter().enumerate();
    candidates
        .map(|(index, weight)| candidate(index, *weight))
        .collect()
}

/// How often each of them is picked, where `active` requests are on their way to each.
fn counts(rules: Rules, candidates: &[Candidate], active: &[u32], picks: usize) -> Vec<usize> {
    let balancer = Balancer::new(rules, candidates);
    let mut counts = vec![0; candidates.len()];
    let mut state = 0_u64;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let product = u128::from(state) * u128::from(state ^ 0xe703_7ed1_a0b4_28db);
        (product >> 64) as u64 ^ product as u64
    };
    for next in 0..picks {
        let draw = Draw {
            next,
            ..Draw::default()
        };
        let active = |index: usize| active.get(index).copied().unwrap_or(0);
        counts[balancer.pick(draw, &mut random, active).unwrap()] += 1;
    }
    counts
}

#[track_caller]
fn near(counts: &[usize], shares: &[f64]) {
    let total: usize = counts.iter().sum();
    for (count, share) in counts.iter().zip(shares) {
        let got = *count as f64 / total as f64;
        assert!((got - share).abs() < 0.02, "{counts:?}, asked {shares:?}");
    }
}

#[test]
fn nothing_is_picked_of_nothing() {
    let nothing = Balancer::new(rules(LoadBalancing::LeastRequest), &[]);
    assert_eq!(nothing.pick(Draw::default(), &mut || 0, |_| 0), None);
    assert_eq!(
        counts(rules(LoadBalancing::RoundRobin), &weights(&[1]), &[7], 3),
        [3]
    );
}

#[test]
fn round_robin_takes_turns_and_follows_weights_exactly() {
    let how = rules(LoadBalancing::RoundRobin);
    assert_eq!(counts(how, &weights(&[1; 3]), &[0, 9, 0], 9), [3, 3, 3]);
    assert_eq!(counts(how, &weights(&[1, 2, 5]), &[], 16), [2, 4, 10]);
}

#[test]
fn random_and_least_requests_follow_weights() {
    for how in [LoadBalancing::Random, LoadBalancing::LeastRequest] {
        near(
            &counts(rules(how), &weights(&[1, 3, 4]), &[], 20_000),
            &[0.125, 0.375, 0.5],
        );
        near(
            &counts(rules(how), &weights(&[2; 4]), &[], 20_000),
            &[0.25; 4],
        );
    }
}

#[test]
fn least_requests_prefers_the_less_busy_by_weight() {
    let how = rules(LoadBalancing::LeastRequest);
    let picked = counts(how, &weights(&[1; 3]), &[5, 1, 0], 300);
    assert_eq!(picked[0], 0);
    assert!(picked[2] > picked[1], "{picked:?}");
    // Four requests are less for an endpoint of weight 8 than one is for that of weight 1.
    let picked = counts(how, &weights(&[1, 8]), &[1, 4], 20_000);
    near(&picked, &[1.0 / 81.0, 80.0 / 81.0]);
}

#[test]
fn a_priority_takes_over_what_the_one_before_cannot() {
    let mut candidates = weights(&[1; 6]);
    for it in &mut candidates[3..] {
        it.priority = 1;
    }
    assert_eq!(counts(RULES, &candidates, &[], 100)[3..], [0; 3]);
    candidates[0].is_healthy = false;
    candidates[1].is_healthy = false;
    // A third is left, which is trusted with 46 percent.
    near(
        &counts(RULES, &candidates, &[], 20_000),
        &[0.0, 0.0, 0.46, 0.18, 0.18, 0.18],
    );
    candidates[2].is_healthy = false;
    near(
        &counts(RULES, &candidates, &[], 20_000)[3..],
        &[1.0 / 3.0; 3],
    );
}

#[test]
fn localities_get_what_their_weights_say() {
    let mut candidates = weights(&[1; 4]);
    for (it, (locality, weight)) in candidates
        .iter_mut()
        .zip([(0, 80), (0, 80), (0, 80), (1, 20)])
    {
        it.locality = locality;
        it.locality_weight = Some(weight);
    }
    let how = Rules {
        weighted_localities: true,
        panic_threshold: Some(0),
        ..RULES
    };
    let third = 0.8 / 3.0;
    near(
        &counts(how, &candidates, &[], 20_000),
        &[third, third, third, 0.2],
    );
    near(&counts(RULES, &candidates, &[], 20_000), &[0.25; 4]);
    // With one of three healthy the locality's weight shrinks to 140/3 percent of 80.
    candidates[0].is_healthy = false;
    candidates[1].is_healthy = false;
    let left = 80.0 * 140.0 / 300.0;
    near(
        &counts(how, &candidates, &[], 20_000),
        &[0.0, 0.0, left / (left + 20.0), 20.0 / (left + 20.0)],
    );
}

#[test]
fn equal_hashes_go_to_the_same_endpoint() {
    for how in [
        ConsistentHash::RingHash { minimum_size: None },
        ConsistentHash::Maglev { table_size: None },
    ] {
        let balancer = Balancer::new(rules(LoadBalancing::ConsistentHash(how)), &weights(&[1; 5]));
        let pick = |hash, random: u64| {
            let draw = Draw {
                hash,
                ..Draw::default()
            };
            balancer.pick(draw, &mut || random, |_| 0)
        };
        assert_eq!(pick(Some(42), 1), pick(Some(42), 2));
        assert_ne!(pick(None, 0), pick(None, u64::MAX / 2));
    }
}
