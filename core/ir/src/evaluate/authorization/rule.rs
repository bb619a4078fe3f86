//! One rule, compiled.

use std::sync::Arc;

use super::Subject;
use super::criterion::Criterion;
use crate::ConfigRef;
use crate::evaluate::{Mismatch, Origin, Stage, Step, StepOutcome};
use crate::matching::RequestView;
use crate::policy::{AuthorizationAction, AuthorizationPolicy, AuthorizationRule};

/// A rule that can be named: in response code details, in statistics and in explanations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleId {
    /// The policy.
    pub policy: ConfigRef,
    /// Position in the policy's `rules`.
    pub index: u32,
    /// Envoy's name, `ns[NAMESPACE]-policy[NAME]-rule[INDEX]`.
    pub name: Arc<str>,
    /// Response code details of requests that the rule denies: `rbac_access_denied_matched_policy[NAME]`.
    pub denial_details: Arc<str>,
}

/// A rule, ready to be tried.
#[derive(Clone, Debug)]
pub(super) struct CompiledRule {
    pub(super) id: RuleId,
    /// By source, operation and condition; each a list of criteria, all of which must hold.
    pub(super) from: Box<[Box<[Criterion]>]>,
    pub(super) to: Box<[Box<[Criterion]>]>,
    when: Box<[Criterion]>,
}

// === impl CompiledRule ===

impl CompiledRule {
    pub(super) fn new(
        policy: &AuthorizationPolicy,
        rule: &AuthorizationRule,
        action: AuthorizationAction,
    ) -> Self {
        let AuthorizationRule {
            index,
            from,
            to,
            when,
        } = rule;
        let name = policy.rule_name(*index);
        let from = from
            .iter()
            .map(|source| Criterion::of_source(source, action));
        let to = to.iter().map(Criterion::of_operation);
        let when = when
            .iter()
            .map(|when| Criterion::of_condition(when, action));
        Self {
            id: RuleId {
                policy: policy.origin(),
                index: *index,
                denial_details: denial_details(&name),
                name: name.into(),
            },
            from: from.map(Vec::into_boxed_slice).collect(),
            to: to.map(Vec::into_boxed_slice).collect(),
            when: when.collect(),
        }
    }

    pub(super) fn is_match<R: RequestView>(&self, subject: &Subject<'_, R>) -> bool {
        let all = |criteria: &[Criterion]| criteria.iter().all(|one| one.is_match(subject));
        let any =
            |parts: &[Box<[Criterion]>]| parts.is_empty() || parts.iter().any(|part| all(part));
        any(&self.from) && any(&self.to) && all(&self.when)
    }

    /// The step of an explanation; the first criterion that does not hold is told, of the last alternative.
    pub(super) fn step<R: RequestView>(
        &self,
        stage: Stage,
        label: &str,
        subject: &Subject<'_, R>,
    ) -> Step {
        Step {
            stage,
            subject: [label, " ", &self.id.name].concat(),
            origin: Some(self.id.origin()),
            outcome: match self.mismatch(subject) {
                None => StepOutcome::Matched,
                Some(mismatch) => StepOutcome::NotMatched(mismatch),
            },
        }
    }

    fn mismatch<R: RequestView>(&self, subject: &Subject<'_, R>) -> Option<Mismatch> {
        let first = |criteria: &[Criterion]| {
            let failed = criteria.iter().find(|one| !one.is_match(subject))?;
            Some(failed.mismatch(subject))
        };
        // None of the alternatives holds; without any, there is nothing to fail.
        let alternatives = |name: &str, parts: &[Box<[Criterion]>]| {
            let mut last = None;
            for (index, part) in parts.iter().enumerate() {
                last = Some(first(part)?.within(&format!("{name}[{index}]")));
            }
            last
        };
        let when = || {
            let mut conditions = self.when.iter().enumerate();
            let (index, failed) = conditions.find(|(_, one)| !one.is_match(subject))?;
            Some(failed.mismatch(subject).within(&format!("when[{index}]")))
        };
        alternatives("from", &self.from)
            .or_else(|| alternatives("to", &self.to))
            .or_else(when)
    }
}

// === impl RuleId ===

impl RuleId {
    /// Where the rule is written.
    pub fn origin(&self) -> Origin {
        Origin {
            object: self.policy.clone(),
            field: format!("spec.rules[{}]", self.index),
        }
    }
}

/// Envoy's response code details of a denied request; they contain no white space.
pub(super) fn denial_details(rule: &str) -> Arc<str> {
    let name = rule.replace(char::is_whitespace, "_");
    ["rbac_access_denied_matched_policy[", &name, "]"]
        .concat()
        .into()
}
