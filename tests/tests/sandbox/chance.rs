//! How far counts may be from what was asked for.

use std::ops::RangeInclusive;

/// The chance that a right count lies outside of the bounds, on either side.
const ERROR: f64 = 1e-8;

/// The counts that `n` requests may give for a share of `p`.
pub fn bounds(n: u32, p: f64) -> RangeInclusive<u32> {
    let mut chances = Vec::new();
    let mut log_ways = 0.0;
    for k in 0..=n {
        if k > 0 {
            log_ways += f64::from(n - k + 1).ln() - f64::from(k).ln();
        }
        chances.push((log_ways + f64::from(k) * p.ln() + f64::from(n - k) * (1.0 - p).ln()).exp());
    }
    let outside = |chances: &mut dyn Iterator<Item = &f64>| {
        let mut sum = 0.0;
        let count = chances.take_while(|chance| {
            sum += **chance;
            sum < ERROR
        });
        u32::try_from(count.count()).unwrap_or(n)
    };
    let low = outside(&mut chances.iter());
    let high = n - outside(&mut chances.iter().rev());
    low..=high
}

#[test]
fn bounds_are_those_of_the_binomial_distribution() {
    // Ten tosses of a coin give any count with more than the chance allowed for.
    assert_eq!(bounds(10, 0.5), 0..=10);
    // Thirty tosses: P(X = 0) = 9.3e-10, P(X <= 1) = 2.9e-8.
    assert_eq!(bounds(30, 0.5), 1..=29);
    let (low, high) = bounds(400, 0.1).into_inner();
    assert!(
        (8..=14).contains(&low) && (74..=82).contains(&high),
        "{low} {high}"
    );
}

/// Fails unless a count is what `n` requests may give for a share of `p`.
#[track_caller]
pub fn check(what: &str, count: u32, n: u32, p: f64) {
    let bounds = bounds(n, p);
    assert!(
        bounds.contains(&count),
        "{what}: {count} of {n} are not within {bounds:?}"
    );
}
