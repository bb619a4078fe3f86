//! Who may do what: the policies of a port, compiled.
//!
//! ```text
//! DENY matches ------------------------------> denied
//! no ALLOW policy, or an ALLOW rule matches -> allowed
//! otherwise ---------------------------------> denied
//! ```
//!
//! Policies that are only tried (dry run) are decided in the same way beside it, and never enforced. AUDIT policies only mark.

mod criterion;
mod host;
mod index;
mod path;
mod rule;
mod text;

use std::net::IpAddr;
use std::sync::Arc;

use index::Index;
use rule::{CompiledRule, denial_details};

use super::remote::{RemoteAddress, remote_address};
use super::{ConnectionFacts, Stage, Step, StepOutcome, Tokens, Trace};
use crate::matching::RequestView;
use crate::policy::{Authorization, AuthorizationAction, AuthorizationPolicy};

pub use rule::RuleId;

/// What policies are decided about.
#[derive(Debug)]
pub struct Subject<'a, R> {
    /// The connection.
    pub connection: &'a ConnectionFacts<'a>,
    /// The request; none where no HTTP is spoken.
    pub request: Option<&'a R>,
    /// Its tokens.
    pub tokens: Tokens<'a>,
    /// How the client's address is told from those of proxies before this one.
    pub remote_address: RemoteAddress,
}

/// The policies of one [`Authorization`], ready to be decided.
#[derive(Clone, Debug, Default)]
pub struct CompiledAuthorization {
    enforced: Policies,
    shadow: Policies,
    audit: RuleSet,
}

/// What policies say about a request or connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It may pass: by this rule, or because there is no ALLOW policy.
    Allowed(Option<&'a RuleId>),
    /// It may not: by this rule, or because no ALLOW policy matches.
    Denied(Option<&'a RuleId>),
}

/// The verdicts of all policies of one [`Authorization`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authorized<'a> {
    /// What is enforced.
    pub verdict: Verdict<'a>,
    /// What the policies that are only tried would do; none without any.
    pub shadow: Option<Verdict<'a>>,
    /// The AUDIT rule that marks it for the audit log.
    pub audit: Option<&'a RuleId>,
}

/// DENY and ALLOW policies that are decided together.
#[derive(Clone, Debug, Default)]
struct Policies {
    deny: RuleSet,
    allow: RuleSet,
}

/// Rules of one action, in the order of their names, as Envoy tries them.
#[derive(Clone, Debug, Default)]
struct RuleSet {
    /// How many policies the rules come from.
    policies: usize,
    rules: Box<[CompiledRule]>,
    index: Index,
}

// === impl Subject ===

impl<R: RequestView> Subject<'_, R> {
    /// The client's address, as far as the proxies before this one are trusted; none where no HTTP is spoken.
    fn remote(&self) -> Option<IpAddr> {
        let request = self.request?;
        let source = self.connection.source.ip();
        Some(remote_address(self.remote_address, source, request))
    }

    fn show(&self, part: impl Fn(&R) -> &[u8]) -> Option<String> {
        let request = self.request?;
        Some(String::from_utf8_lossy(part(request)).into_owned())
    }
}

// === impl CompiledAuthorization ===

impl CompiledAuthorization {
    /// Compiles policies for HTTP, or as they are for connections (see [`AuthorizationPolicy::for_tcp`]).
    pub fn new(authorization: &Authorization) -> Self {
        let Authorization { deny, allow, audit } = authorization;
        let policies = |dry_run| Policies {
            deny: RuleSet::new(deny, dry_run, AuthorizationAction::Deny),
            allow: RuleSet::new(allow, dry_run, AuthorizationAction::Allow),
        };
        Self {
            enforced: policies(false),
            shadow: policies(true),
            audit: RuleSet::new(audit, false, AuthorizationAction::Audit),
        }
    }

    /// Decides.
    pub fn decide<R: RequestView, T: Trace>(
        &self,
        subject: &Subject<'_, R>,
        trace: &mut T,
    ) -> Authorized<'_> {
        let Self {
            enforced,
            shadow,
            audit,
        } = self;
        let verdict = enforced.decide(["DENY", "ALLOW"], subject, trace);
        Authorized {
            verdict,
            shadow: (!shadow.is_empty())
                .then(|| shadow.decide(["DENY (dry run)", "ALLOW (dry run)"], subject, trace)),
            // What is denied already does not come so far in Envoy.
            audit: match verdict {
                Verdict::Allowed(_) => audit.find("AUDIT", Stage::Authorization, subject, trace),
                Verdict::Denied(_) => None,
            },
        }
    }
}

// === impl Authorized ===

impl<'a> Authorized<'a> {
    /// With what policies have said before these. Denials among what is only tried, and marks for the audit log, stay.
    pub(in crate::evaluate) fn after(self, before: Option<Authorized<'a>>) -> Self {
        let Some(before) = before else { return self };
        Self {
            verdict: self.verdict,
            shadow: match (before.shadow, self.shadow) {
                (Some(denied @ Verdict::Denied(_)), _) => Some(denied),
                (before, now) => now.or(before),
            },
            audit: self.audit.or(before.audit),
        }
    }
}

// === impl Policies ===

impl Policies {
    fn is_empty(&self) -> bool {
        self.deny.policies == 0 && self.allow.policies == 0
    }

    fn decide<R: RequestView, T: Trace>(
        &self,
        [deny, allow]: [&str; 2],
        subject: &Subject<'_, R>,
        trace: &mut T,
    ) -> Verdict<'_> {
        let stage = Stage::Authorization;
        if let Some(rule) = self.deny.find(deny, stage, subject, trace) {
            return Verdict::Denied(Some(rule));
        }
        if self.allow.policies == 0 {
            return Verdict::Allowed(None);
        }
        match self.allow.find(allow, stage, subject, trace) {
            Some(rule) => Verdict::Allowed(Some(rule)),
            None => Verdict::Denied(None),
        }
    }
}

// === impl RuleSet ===

impl RuleSet {
    fn new(policies: &[AuthorizationPolicy], dry_run: bool, action: AuthorizationAction) -> Self {
        let policies = policies.iter().filter(|policy| policy.dry_run == dry_run);
        let mut rules: Vec<CompiledRule> = policies
            .clone()
            .flat_map(|policy| policy.rules.iter().map(move |rule| (policy, rule)))
            .map(|(policy, rule)| CompiledRule::new(policy, rule, action))
            .collect();
        rules.sort_by(|left, right| left.id.name.cmp(&right.id.name));
        Self {
            policies: policies.count(),
            index: Index::new(&rules),
            rules: rules.into(),
        }
    }

    fn find<R: RequestView, T: Trace>(
        &self,
        label: &str,
        stage: Stage,
        subject: &Subject<'_, R>,
        trace: &mut T,
    ) -> Option<&RuleId> {
        if !T::ENABLED {
            return Some(&self.index.find(&self.rules, subject)?.id);
        }
        if self.policies > 0 && self.rules.is_empty() {
            trace.record(|| Step {
                stage,
                subject: label.to_owned(),
                origin: None,
                outcome: StepOutcome::Note(
                    "the policies have no rules, which match nothing".into(),
                ),
            });
        }
        let found = self.rules.iter().find(|rule| {
            trace.record(|| rule.step(stage, label, subject));
            rule.is_match(subject)
        })?;
        Some(&found.id)
    }
}

/// CUSTOM policies of one provider, ready to be decided.
#[derive(Clone, Debug, Default)]
pub struct CompiledCustom(RuleSet);

// === impl CompiledCustom ===

impl CompiledCustom {
    /// Compiles policies.
    pub fn new(policies: &[AuthorizationPolicy]) -> Self {
        Self(RuleSet::new(policies, false, AuthorizationAction::Custom))
    }

    /// The rule for which the authorizer must be asked; none if it need not be.
    pub fn find<R: RequestView, T: Trace>(
        &self,
        subject: &Subject<'_, R>,
        trace: &mut T,
    ) -> Option<&RuleId> {
        let stage = Stage::ExternalAuthorization;
        self.0.find("CUSTOM", stage, subject, trace)
    }
}

// === impl Verdict ===

impl Verdict<'_> {
    /// Envoy's response code details of a denial; none if it is allowed.
    pub fn denial_details(&self) -> Option<Arc<str>> {
        match self {
            Self::Allowed(_) => None,
            Self::Denied(Some(rule)) => Some(rule.denial_details.clone()),
            Self::Denied(None) => Some(denial_details("none")),
        }
    }
}

#[cfg(test)]
mod tests;
