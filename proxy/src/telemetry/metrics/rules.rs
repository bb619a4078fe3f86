//! What rules of authorization policies have done, by the rule. Requests that pass unremarked are not counted here, so that they cost
//! nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;

/// Most rules that are counted by name; what comes after is counted together.
const MAX_RULES: usize = 1_000;

/// What a rule has done to a request or connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleEffect {
    /// It was denied.
    Denied,
    /// It would have been denied by a policy that is only tried.
    ShadowDenied,
    /// It would have been allowed by a policy that is only tried.
    ShadowAllowed,
    /// It was marked for the audit log.
    Audited,
}

/// The counts of one worker.
#[derive(Debug, Default)]
pub(super) struct RuleCounts(Mutex<FxHashMap<(Arc<str>, RuleEffect), u64>>);

// === impl RuleEffect ===

impl RuleEffect {
    /// Last part of the name of the statistic.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::ShadowDenied => "shadow_denied",
            Self::ShadowAllowed => "shadow_allowed",
            Self::Audited => "audited",
        }
    }
}

// === impl RuleCounts ===

impl RuleCounts {
    pub(super) fn count(&self, effect: RuleEffect, rule: &Arc<str>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (rule.clone(), effect);
        if counts.len() >= MAX_RULES && !counts.contains_key(&key) {
            key.0 = "other".into();
        }
        let count = counts.entry(key).or_default();
        *count = count.wrapping_add(1);
    }

    pub(super) fn add_to(&self, sum: &mut BTreeMap<(Arc<str>, RuleEffect), u64>) {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, count) in &*counts {
            let total = sum.entry(key.clone()).or_default();
            *total = total.wrapping_add(*count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_beyond_the_limit_are_counted_together() {
        let counts = RuleCounts::default();
        for index in 0..MAX_RULES + 5 {
            counts.count(RuleEffect::Denied, &index.to_string().into());
        }
        counts.count(RuleEffect::Denied, &"0".into());
        let mut sum = BTreeMap::new();
        counts.add_to(&mut sum);
        assert_eq!(sum.get(&("0".into(), RuleEffect::Denied)), Some(&2));
        assert_eq!(sum.get(&("other".into(), RuleEffect::Denied)), Some(&5));
        assert_eq!(sum.len(), MAX_RULES + 1);
    }
}
