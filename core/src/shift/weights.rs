//! Whole numbers in proportion: the largest remainders get what rounding leaves over.

/// Splits a total in proportion to some weights. The parts add up to the total and each is less than one away from its exact
/// value; of equal remainders the first gets more. If all weights are 0 there is nothing to be in proportion to, and the
/// result is none.
///
/// ```
/// use mesh_core::shift::apportion;
/// assert_eq!(apportion(100, &[1, 1, 1]), Some(vec![34, 33, 33]));
/// assert_eq!(apportion(50, &[0, 0]), None);
/// ```
pub fn apportion(total: u32, weights: &[u64]) -> Option<Vec<u32>> {
    let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    if sum == 0 {
        return (total == 0).then(|| vec![0; weights.len()]);
    }
    let exact = |weight: &u64| u128::from(total) * u128::from(*weight);
    // Each quotient is at most the total, so it fits.
    let mut parts: Vec<u32> = weights
        .iter()
        .map(|weight| u32::try_from(exact(weight) / sum).unwrap_or(total))
        .collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|index| {
        let remainder = weights.get(*index).map_or(0, |weight| exact(weight) % sum);
        std::cmp::Reverse(remainder)
    });
    let left = total.saturating_sub(parts.iter().sum());
    for index in order.into_iter().take(left as usize) {
        if let Some(part) = parts.get_mut(index) {
            *part += 1;
        }
    }
    Some(parts)
}

/// The greatest common divisor.
pub(super) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn remainders_go_to_the_largest() {
        for (total, weights, parts) in [
            (50, &[100][..], &[50][..]),
            (100, &[1, 2], &[33, 67]),
            (10, &[50, 50], &[5, 5]),
            (1, &[1, 1], &[1, 0]),
            (5, &[33, 17], &[3, 2]),
            (0, &[0, 0], &[0, 0]),
            (7, &[0, 3], &[0, 7]),
        ] {
            assert_eq!(apportion(total, weights).unwrap(), parts);
        }
        assert_eq!(apportion(1, &[]), None);
    }

    proptest! {
        #[test]
        fn parts_add_up_and_are_near(total in 0u32..1_000_000, weights in prop::collection::vec(0u64..u64::MAX / 64, 1..12)) {
            let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
            prop_assume!(sum > 0);
            let parts = apportion(total, &weights).unwrap();
            prop_assert_eq!(parts.iter().sum::<u32>(), total);
            for (part, weight) in parts.iter().zip(&weights) {
                let exact = u128::from(total) * u128::from(*weight);
                prop_assert!((u128::from(*part) * sum).abs_diff(exact) < sum);
                prop_assert!(*weight > 0 || *part == 0);
            }
        }

        #[test]
        fn what_fits_already_stays(weights in prop::collection::vec(0u32..100, 1..8)) {
            let total: u32 = weights.iter().sum();
            let wide: Vec<u64> = weights.iter().map(|weight| u64::from(*weight)).collect();
            prop_assert_eq!(apportion(total, &wide), Some(weights));
        }
    }
}
