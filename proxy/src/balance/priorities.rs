//! How traffic is shared between priorities, in Envoy's way: a priority gets what its healthy endpoints can take, the rest goes to the
//! next one, and where too few are healthy all endpoints count as healthy (panic).

/// Percent of a priority's traffic that its healthy endpoints are trusted with, in proportion to how many there are
/// (`overprovisioning_factor`).
pub(super) const OVERPROVISIONING: u64 = 140;

/// Envoy's panic threshold where none is configured, in percent.
const DEFAULT_PANIC_THRESHOLD: u8 = 50;

/// How many endpoints a priority has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) all: u64,
    pub(super) healthy: u64,
}

/// What a priority gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    /// Percent of the traffic.
    pub(super) percent: u64,
    /// Whether all endpoints count as healthy.
    pub(super) panics: bool,
}

pub(super) fn loads(counts: &[Count], threshold: Option<u8>) -> Vec<Load> {
    let threshold = u64::from(threshold.unwrap_or(DEFAULT_PANIC_THRESHOLD).min(100));
    let able: Vec<u64> = counts
        .iter()
        .map(|count| {
            (OVERPROVISIONING * count.healthy)
                .checked_div(count.all)
                .unwrap_or(0)
                .min(100)
        })
        .collect();
    let total = able.iter().sum::<u64>().min(100);
    let panics = |count: &Count| {
        let healthy = (100 * count.healthy).checked_div(count.all).unwrap_or(0);
        total < 100 && healthy < threshold
    };
    if threshold > 0 && counts.iter().all(panics) {
        let all: u64 = counts.iter().map(|count| count.all).sum();
        let shares = counts.iter().map(|count| count.all);
        return distribute(shares, all, |_| true);
    }
    let panicking: Vec<bool> = counts.iter().map(panics).collect();
    distribute(able.into_iter(), total, |index| {
        panicking.get(index).copied().unwrap_or(false)
    })
}

/// Percentages in proportion to the shares, of which what rounding leaves goes to the first that has any.
fn distribute(
    shares: impl Iterator<Item = u64>,
    total: u64,
    panics: impl Fn(usize) -> bool,
) -> Vec<Load> {
    let mut left = 100;
    let mut loads: Vec<Load> = shares
        .enumerate()
        .map(|(index, share)| {
            let percent = (100 * share).checked_div(total).unwrap_or(0).min(left);
            left -= percent;
            Load {
                percent,
                panics: panics(index),
            }
        })
        .collect();
    if let Some(first) = loads.iter_mut().find(|load| load.percent > 0) {
        first.percent += left;
    }
    loads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(counts: &[(u64, u64)], threshold: Option<u8>, expect: &[(u64, bool)]) {
        let counts: Vec<Count> = counts
            .iter()
            .map(|(healthy, all)| Count {
                all: *all,
                healthy: *healthy,
            })
            .collect();
        let loads: Vec<(u64, bool)> = loads(&counts, threshold)
            .iter()
            .map(|load| (load.percent, load.panics))
            .collect();
        assert_eq!(loads, expect);
    }

    /// Envoy's documentation shows these.
    #[test]
    fn what_a_priority_cannot_take_goes_to_the_next() {
        check(&[(4, 4), (4, 4)], None, &[(100, false), (0, false)]);
        check(&[(72, 100), (72, 100)], None, &[(100, false), (0, false)]);
        check(&[(71, 100), (71, 100)], None, &[(99, false), (1, false)]);
        check(&[(50, 100), (50, 100)], None, &[(70, false), (30, false)]);
        check(&[(25, 100), (100, 100)], None, &[(35, false), (65, false)]);
        check(
            &[(25, 100), (25, 100), (20, 100)],
            Some(0),
            &[(36, false), (35, false), (28, false)].map(|(p, b)| (p + u64::from(p == 36), b)),
        );
        check(&[(0, 3), (3, 3)], None, &[(0, false), (100, false)]);
    }

    #[test]
    fn where_nothing_is_healthy_everything_counts_unless_that_is_off() {
        check(&[(0, 1), (0, 3)], None, &[(25, true), (75, true)]);
        check(&[(0, 1)], Some(0), &[(0, false)]);
        check(&[(1, 10)], None, &[(100, true)]);
        check(&[(1, 10)], Some(10), &[(100, false)]);
        check(&[(1, 10)], Some(0), &[(100, false)]);
        check(&[], None, &[]);
    }
}
