//! Shares of requests.

/// A share, such as 25 of a hundred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fraction {
    /// How many; all of them if it is not less than the denominator.
    pub numerator: u32,
    /// Of how many.
    pub per: Denominator,
}

/// What a [`Fraction`] is a share of, as Envoy spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denominator {
    /// 100.
    Hundred,
    /// 10,000.
    TenThousand,
    /// 1,000,000; Istio's percentages are written with it.
    Million,
}

// === impl Fraction ===

impl Fraction {
    /// All.
    pub const ALL: Self = Self {
        numerator: 100,
        per: Denominator::Hundred,
    };
    /// None.
    pub const NONE: Self = Self {
        numerator: 0,
        per: Denominator::Hundred,
    };

    /// Whether a draw falls into the share; over evenly spread draws that happens in proportion to it.
    pub fn holds(self, draw: u64) -> bool {
        draw % self.per.value() < u64::from(self.numerator)
    }
}

// === impl Denominator ===

impl Denominator {
    /// The number.
    pub fn value(self) -> u64 {
        match self {
            Self::Hundred => 100,
            Self::TenThousand => 10_000,
            Self::Million => 1_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_fall_into_a_share_in_proportion() {
        let share = Fraction {
            numerator: 25,
            per: Denominator::TenThousand,
        };
        assert_eq!((0..10_000).filter(|draw| share.holds(*draw)).count(), 25);
        assert!((0..200).all(|draw| Fraction::ALL.holds(draw) && !Fraction::NONE.holds(draw)));
    }
}
