//! Medians and their uncertainty.

use rand::{RngExt as _, SeedableRng as _};

/// A median with a 90 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The median of some values; 0 for none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// The median with a bootstrap interval, the same for the same values.
pub fn estimate(values: &[f64]) -> Estimate {
    let mut random = rand::rngs::SmallRng::seed_from_u64(7);
    let mut medians: Vec<f64> = (0..2000)
        .map(|_| {
            let sample: Vec<f64> = values
                .iter()
                .map(|_| values[random.random_range(0..values.len())])
                .collect();
            median(&sample)
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    Estimate {
        median: median(values),
        low: medians[100],
        high: medians[1900],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_lie_inside_their_interval() {
        let values = [1.0, 1.1, 0.9, 1.05, 0.95];
        let Estimate { median, low, high } = estimate(&values);
        assert!(low <= median && median <= high && (median - 1.0).abs() < 1e-9);
    }
}
