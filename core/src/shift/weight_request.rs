//! What is asked for: `v3=50`.

use std::sync::Arc;

use super::Refusal;

/// Subsets with their shares in percent, in the order in which they were named. Their sum is at most 100.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WeightRequest {
    shares: Vec<(Arc<str>, u32)>,
    /// The header, with its value, of the requests that this is about; none for all.
    first: Option<(String, String)>,
}

// === impl WeightRequest ===

impl WeightRequest {
    /// Reads words of the form `SUBSET=WEIGHT`.
    pub fn parse<T: AsRef<str>>(words: &[T]) -> Result<Self, Refusal> {
        let mut shares: Vec<(Arc<str>, u32)> = Vec::new();
        for word in words {
            let word = word.as_ref();
            let (subset, weight) = word.split_once('=').ok_or_else(|| {
                Refusal::usage(format!("{word:?} is not of the form SUBSET=WEIGHT"))
                    .hint("for example: meshctl shift reviews v3=50")
            })?;
            if subset.is_empty() {
                return Err(Refusal::usage(format!("{word:?} names no subset")));
            }
            let number = weight.strip_suffix('%').unwrap_or(weight);
            let weight = number
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| number.parse::<u32>().ok())
                .flatten()
                .filter(|weight| *weight <= 100)
                .ok_or_else(|| {
                    Refusal::usage(format!(
                        "weight {weight:?} of subset {subset} is not a whole number from 0 to 100"
                    ))
                })?;
            if shares.iter().any(|(other, _)| **other == *subset) {
                return Err(Refusal::usage(format!("subset {subset} is named twice")));
            }
            shares.push((subset.into(), weight));
        }
        Self::new(shares)
    }

    /// One subset with its share.
    pub fn one(subset: &str, weight: u32) -> Result<Self, Refusal> {
        Self::new(vec![(subset.into(), weight)])
    }

    fn new(shares: Vec<(Arc<str>, u32)>) -> Result<Self, Refusal> {
        let sum: u32 = shares.iter().map(|(_, weight)| *weight).sum();
        if shares.is_empty() {
            return Err(Refusal::usage("no SUBSET=WEIGHT is given")
                .hint("for example: meshctl shift reviews v3=50"));
        }
        if sum > 100 {
            return Err(Refusal::usage(format!(
                "the weights add up to {sum}, which is more than 100"
            )));
        }
        Ok(Self {
            shares,
            first: None,
        })
    }

    /// The same for requests with a header of this value (`HEADER=VALUE`) only.
    pub fn only_for(mut self, header: &str) -> Result<Self, Refusal> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let split = header.split_once('=');
        let (name, value) = split
            .filter(|(name, value)| {
                let visible = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
                !name.is_empty() && name.bytes().all(token) && !value.is_empty() && visible
            })
            .ok_or_else(|| {
                Refusal::usage(format!("{header:?} is not of the form HEADER=VALUE"))
                    .hint("for example: --match end-user=jason")
            })?;
        self.first = Some((name.to_ascii_lowercase(), value.to_owned()));
        Ok(self)
    }

    /// The header, with its value, of the requests that this is about; none for all.
    pub fn first(&self) -> Option<&(String, String)> {
        self.first.as_ref()
    }

    /// The same for another weight of its only subset.
    pub fn with_weight(&self, weight: u32) -> Result<Self, Refusal> {
        let shares = self.shares.iter().map(|(name, _)| (name.clone(), weight));
        Ok(Self {
            first: self.first.clone(),
            ..Self::new(shares.collect())?
        })
    }

    /// The subsets with their shares.
    pub fn shares(&self) -> &[(Arc<str>, u32)] {
        &self.shares
    }

    /// The share of a subset, if it was named.
    pub fn share(&self, subset: &str) -> Option<u32> {
        self.shares
            .iter()
            .find(|(name, _)| **name == *subset)
            .map(|(_, weight)| *weight)
    }

    /// What is left for the subsets that were not named.
    pub fn rest(&self) -> u32 {
        let sum: u32 = self.shares.iter().map(|(_, weight)| *weight).sum();
        100u32.saturating_sub(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_shares() {
        let ask = WeightRequest::parse(&["v3=50", "v2=7%"]).unwrap();
        assert_eq!(ask.shares(), [("v3".into(), 50), ("v2".into(), 7)]);
        assert_eq!(ask.rest(), 43);
        assert_eq!(ask.share("v1"), None);
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        for (words, message) in [
            (&["v3"][..], r#""v3" is not of the form SUBSET=WEIGHT"#),
            (&["=5"], r#""=5" names no subset"#),
            (
                &["v3=x"],
                r#"weight "x" of subset v3 is not a whole number from 0 to 100"#,
            ),
            (
                &["v3=101"],
                r#"weight "101" of subset v3 is not a whole number from 0 to 100"#,
            ),
            (
                &["v3=+5"],
                r#"weight "+5" of subset v3 is not a whole number from 0 to 100"#,
            ),
            (
                &["v3="],
                r#"weight "" of subset v3 is not a whole number from 0 to 100"#,
            ),
            (&["v3=5", "v3=6"], "subset v3 is named twice"),
            (
                &["v3=60", "v1=41"],
                "the weights add up to 101, which is more than 100",
            ),
            (&[], "no SUBSET=WEIGHT is given"),
        ] {
            assert_eq!(WeightRequest::parse(words).unwrap_err().message, message);
        }
    }
}
