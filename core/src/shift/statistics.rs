//! Exact statistics of counts, small enough to check by hand.
//!
//! Shares are judged by Clopper and Pearson's interval and by the tails of the binomial distribution, both from the regularised
//! incomplete beta function; error rates by Fisher's exact test.

/// An interval of shares from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

// === impl Interval ===

impl Interval {
    /// Whether a share lies in it.
    pub fn contains(&self, share: f64) -> bool {
        self.low <= share && share <= self.high
    }
}

/// The shares that are compatible with `hits` of `trials`, by Clopper and Pearson: at least `1 - alpha` of such intervals hold
/// the true share, however many trials there are.
pub fn clopper_pearson(hits: u64, trials: u64, alpha: f64) -> Interval {
    let hits = hits.min(trials);
    if trials == 0 {
        return Interval {
            low: 0.0,
            high: 1.0,
        };
    }
    let (k, n) = (hits as f64, trials as f64);
    let low = if hits == 0 {
        0.0
    } else {
        beta_quantile(k, n - k + 1.0, alpha / 2.0)
    };
    let high = if hits == trials {
        1.0
    } else {
        beta_quantile(k + 1.0, n - k, 1.0 - alpha / 2.0)
    };
    Interval { low, high }
}

/// How probable an outcome at least as far out as `hits` of `trials` is, if the share is `share`: twice the smaller tail.
pub fn binomial_two_sided(hits: u64, trials: u64, share: f64) -> f64 {
    let hits = hits.min(trials);
    let (k, n) = (hits as f64, trials as f64);
    let at_least = if hits == 0 {
        1.0
    } else {
        incomplete_beta(k, n - k + 1.0, share)
    };
    let at_most = if hits == trials {
        1.0
    } else {
        incomplete_beta(n - k, k + 1.0, 1.0 - share)
    };
    (2.0 * at_least.min(at_most)).min(1.0)
}

/// Fisher's exact test: how probable it is that the first group has at least `hits` of all hits, if both groups are alike.
pub fn fisher_greater(hits: u64, trials: u64, other_hits: u64, other_trials: u64) -> f64 {
    let hits = hits.min(trials);
    let all_hits = hits + other_hits.min(other_trials);
    let all = trials + other_trials;
    let whole = ln_choose(all, all_hits);
    let most = all_hits.min(trials);
    (hits..=most)
        .filter(|count| all_hits - count <= other_trials)
        .map(|count| {
            (ln_choose(trials, count) + ln_choose(other_trials, all_hits - count) - whole).exp()
        })
        .sum::<f64>()
        .min(1.0)
}

fn ln_choose(n: u64, k: u64) -> f64 {
    let (n, k) = (n as f64, k as f64);
    ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0)
}

/// The share at which the incomplete beta function takes a value, by bisection: it rises from 0 to 1.
fn beta_quantile(a: f64, b: f64, value: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..64 {
        let middle = f64::midpoint(low, high);
        if incomplete_beta(a, b, middle) < value {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The regularised incomplete beta function, by its continued fraction where that converges fast.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front =
        (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(a, b, x) / a
    } else {
        1.0 - front * fraction(b, a, 1.0 - x) / b
    }
}

/// Lentz's evaluation of the continued fraction of the incomplete beta function.
fn fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut result = d;
    for step in 1..=10_000 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for factor in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + factor * d);
            c = away_from_zero(1.0 + factor / c);
            change = c * d;
            result *= change;
        }
        if (change - 1.0).abs() < 1e-14 {
            break;
        }
    }
    result
}

/// The logarithm of the gamma function of a positive number, by Lanczos' approximation.
fn ln_gamma(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let mut sum = 0.999_999_999_999_809_9;
    for (index, coefficient) in (1u32..).zip(COEFFICIENTS) {
        sum += coefficient / (x + f64::from(index));
    }
    let t = x + 7.5;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn near(found: f64, known: f64) {
        let tolerance = 1e-9 + 1e-6 * known.abs();
        assert!((found - known).abs() < tolerance, "{found} is not {known}");
    }

    #[test]
    fn gamma_is_known_at_whole_and_half_numbers() {
        near(ln_gamma(1.0), 0.0);
        near(ln_gamma(11.0), 3_628_800f64.ln());
        near(ln_gamma(0.5), std::f64::consts::PI.sqrt().ln());
    }

    /// Of all or none of the trials the ends have closed forms; the others are tabulated values.
    #[test]
    fn intervals_have_known_ends() {
        let none = clopper_pearson(0, 10, 0.05);
        near(none.low, 0.0);
        near(none.high, 1.0 - 0.025f64.powf(0.1));
        let all = clopper_pearson(10, 10, 0.05);
        near(all.low, 0.025f64.powf(0.1));
        near(all.high, 1.0);
        let some = clopper_pearson(1, 10, 0.05);
        assert!((some.low - 0.002_529).abs() < 1e-6, "{some:?}");
        assert!((some.high - 0.445_016).abs() < 1e-6, "{some:?}");
        let half = clopper_pearson(50, 100, 0.05);
        assert!((half.low - 0.398_32).abs() < 1e-5, "{half:?}");
        assert!((half.high - 0.601_68).abs() < 1e-5, "{half:?}");
        assert_eq!(
            clopper_pearson(0, 0, 0.05),
            Interval {
                low: 0.0,
                high: 1.0
            }
        );
    }

    /// The tails of few trials, summed by hand.
    #[test]
    fn tails_are_sums_of_single_outcomes() {
        near(binomial_two_sided(0, 10, 0.5), 2.0 / 1024.0);
        near(binomial_two_sided(2, 10, 0.5), 2.0 * 56.0 / 1024.0);
        near(binomial_two_sided(5, 10, 0.5), 1.0);
        near(binomial_two_sided(3, 3, 0.1), 0.002);
        near(binomial_two_sided(5, 5, 1.0), 1.0);
        near(binomial_two_sided(4, 5, 1.0), 0.0);
        near(binomial_two_sided(1, 5, 0.0), 0.0);
    }

    #[test]
    fn fisher_counts_tables() {
        // One table of C(8, 4) = 70 is this one, and none is further out.
        near(fisher_greater(4, 4, 0, 4), 1.0 / 70.0);
        // Fisher's tea: 3 of 4 right; 16 + 1 of 70 tables.
        near(fisher_greater(3, 4, 1, 4), 17.0 / 70.0);
        near(fisher_greater(0, 20, 0, 200), 1.0);
        near(fisher_greater(0, 0, 3, 10), 1.0);
    }

    proptest! {
        #[test]
        fn interval_and_tail_agree(trials in 1u64..3000, part in 0.0f64..=1.0, share in 0.001f64..0.999) {
            let hits = ((trials as f64) * part) as u64;
            let interval = clopper_pearson(hits, trials, 0.05);
            let observed = hits as f64 / trials as f64;
            prop_assert!(interval.low <= observed && observed <= interval.high);
            let probability = binomial_two_sided(hits, trials, share);
            prop_assert!((0.0..=1.0).contains(&probability));
            // They are two views of the same tails; on the edge rounding decides.
            if (probability - 0.05).abs() > 1e-6 {
                prop_assert_eq!(interval.contains(share), probability > 0.05);
            }
        }
    }
}
