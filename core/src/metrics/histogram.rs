//! Durations by buckets, and the quantiles that they tell.

use std::collections::BTreeMap;

/// Counts of values up to bounds, as Prometheus' `le` has them: each bucket counts all values that are not greater.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram(BTreeMap<Bound, u64>);

/// An upper bound; the last one is infinite.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bound(f64);

// === impl Histogram ===

impl Histogram {
    /// Adds to a bucket by the text of its bound. What is no number is left out.
    pub fn add(&mut self, bound: &str, count: u64) {
        let Ok(bound) = bound.parse::<f64>() else {
            return;
        };
        if !bound.is_nan() {
            *self.0.entry(Bound(bound)).or_default() += count;
        }
    }

    /// Adds another one.
    pub fn merge(&mut self, other: &Histogram) {
        for (bound, count) in &other.0 {
            *self.0.entry(*bound).or_default() += count;
        }
    }

    /// What was added since an earlier reading. If it was lower than before it was started anew in between.
    pub fn since(&self, before: &Histogram) -> Histogram {
        let earlier = |bound: &Bound| before.0.get(bound).copied().unwrap_or(0);
        let anew = self.0.iter().any(|(bound, count)| *count < earlier(bound));
        if anew {
            return self.clone();
        }
        let since = self
            .0
            .iter()
            .map(|(bound, count)| (*bound, count - earlier(bound)));
        Histogram(since.collect())
    }

    /// How many values there are.
    pub fn total(&self) -> u64 {
        self.0.values().next_back().copied().unwrap_or(0)
    }

    /// The value that this share of all values does not exceed, linear between bounds, as Prometheus' `histogram_quantile` has it;
    /// none without values. Beyond the last bound it is that bound.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let total = self.total();
        if total == 0 {
            return None;
        }
        let rank = share.clamp(0.0, 1.0) * total as f64;
        let (mut low, mut below) = (0.0, 0);
        for (Bound(bound), count) in &self.0 {
            if (*count as f64) >= rank && *count > below {
                if bound.is_infinite() {
                    return Some(low);
                }
                let part = (rank - below as f64) / (*count - below) as f64;
                return Some(low + (bound - low) * part.max(0.0));
            }
            if bound.is_finite() {
                low = *bound;
            }
            below = *count;
        }
        Some(low)
    }
}

// === impl Bound ===

impl Eq for Bound {}

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(buckets: &[(&str, u64)]) -> Histogram {
        let mut histogram = Histogram::default();
        for (bound, count) in buckets {
            histogram.add(bound, *count);
        }
        histogram
    }

    #[test]
    fn quantiles_lie_between_bounds() {
        let values = of(&[("1", 0), ("5", 50), ("10", 90), ("25", 100), ("+Inf", 100)]);
        assert_eq!(values.quantile(0.5), Some(5.0));
        assert_eq!(values.quantile(0.25), Some(3.0));
        assert_eq!(values.quantile(0.95), Some(17.5));
        assert_eq!(values.total(), 100);
        assert_eq!(of(&[]).quantile(0.5), None);
        assert_eq!(of(&[("5", 0), ("+Inf", 3)]).quantile(0.99), Some(5.0));
    }

    #[test]
    fn what_was_added_is_the_difference() {
        let before = of(&[("1", 3), ("+Inf", 4)]);
        let after = of(&[("1", 5), ("+Inf", 9)]);
        assert_eq!(after.since(&before), of(&[("1", 2), ("+Inf", 5)]));
        assert_eq!(before.since(&after), before, "it was started anew");
    }
}
