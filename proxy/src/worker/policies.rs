//! What policies decide about connections, and what they have decided, counted by their rules.

use std::rc::Rc;
use std::sync::Arc;

use mesh_ir::evaluate::{
    Authorized, CheckAnswer, ConnectionFacts, NetworkDecision, RuleId, Verdict,
};

use super::exchange::external::{put, sides};
use super::local::{Worker, WorkerRuntime};
use crate::record::ResponseFlags;
use crate::runtime::Chain;
use crate::telemetry::metrics::RuleEffect;
use crate::tls::TlsFacts;

/// Why a connection is closed.
#[derive(Debug)]
pub struct Denied {
    /// In Envoy's words.
    pub details: Arc<str>,
    /// What the log shows.
    pub flags: ResponseFlags,
}

// === impl Worker ===

impl Worker {
    /// Why policies deny a connection; none if they do not. Authorizers are asked, if that is called for.
    ///
    /// # Errors
    /// Why it is to be closed.
    pub async fn authorize(
        self: &Rc<Self>,
        runtime: &WorkerRuntime,
        chain: &Chain,
        connection: &ConnectionFacts<'_>,
        tls: Option<&TlsFacts>,
    ) -> Result<(), Denied> {
        let mut first = 0;
        loop {
            let NetworkDecision { authorized, ask } = chain.authorize(connection, first);
            if let Some(authorized) = authorized {
                self.count_policies(authorized);
                if let Some(details) = authorized.verdict.denial_details() {
                    let flags = ResponseFlags::NONE;
                    return Err(Denied { details, flags });
                }
            }
            let Some(ask) = ask else {
                return Ok(());
            };
            let check = sides(connection, tls, None);
            let answer = Box::pin(put(self, runtime, ask.provider, &check)).await;
            let details = match answer {
                Ok(CheckAnswer::Allowed(_)) => None,
                Ok(CheckAnswer::Denied(_)) => Some("ext_authz_denied"),
                Ok(CheckAnswer::Error) | Err(_) if ask.provider.fail_open => None,
                Ok(CheckAnswer::Error) | Err(_) => Some("ext_authz_error"),
            };
            if let Some(details) = details {
                return Err(Denied {
                    details: details.into(),
                    flags: ResponseFlags::DIRECT_REJECT,
                });
            }
            first = ask.stage + 1;
        }
    }

    /// Whether policies let a connection pass of which nothing but its addresses is known, without asking anybody.
    pub fn admits(&self, chain: &Chain, connection: &ConnectionFacts<'_>) -> bool {
        let NetworkDecision { authorized, ask } = chain.authorize(connection, 0);
        if let Some(authorized) = authorized {
            self.count_policies(authorized);
        }
        let denies = authorized.is_some_and(|it| it.verdict.denial_details().is_some());
        ask.is_none() && !denies
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
