//! What policies have decided, counted by their rules.

use std::sync::Arc;

use mesh_ir::evaluate::{Authorized, ConnectionFacts, RuleId, Verdict};

use super::local::Worker;
use crate::runtime::Chain;
use crate::telemetry::metrics::RuleEffect;

// === impl Worker ===

impl Worker {
    /// Why policies deny a connection; none if they do not.
    pub fn authorize(&self, chain: &Chain, connection: &ConnectionFacts<'_>) -> Option<Arc<str>> {
        let authorized = chain.authorize(connection)?;
        self.count_policies(authorized);
        authorized.verdict.denial_details()
    }

    /// Counts what policies do, or would do, beyond letting something pass.
    pub fn count_policies(&self, authorized: Authorized<'_>) {
        let Authorized {
            verdict,
            shadow,
            audit,
        } = authorized;
        if let Verdict::Denied(rule) = verdict {
            self.count_rule(RuleEffect::Denied, rule);
        }
        match shadow {
            Some(Verdict::Denied(rule)) => self.count_rule(RuleEffect::ShadowDenied, rule),
            Some(Verdict::Allowed(rule)) => self.count_rule(RuleEffect::ShadowAllowed, rule),
            None => {}
        }
        if audit.is_some() {
            self.count_rule(RuleEffect::Audited, audit);
        }
    }

    /// Counts a denial.
    pub fn count_denial(&self, rule: &RuleId) {
        self.count_rule(RuleEffect::Denied, Some(rule));
    }

    fn count_rule(&self, effect: RuleEffect, rule: Option<&RuleId>) {
        let name = rule.map_or_else(|| Arc::from("none"), |rule| rule.name.clone());
        tracing::debug!(?effect, rule = &*name, "authorization");
        self.metrics.worker.count_rule(effect, &name);
    }
}
