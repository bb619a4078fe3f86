//! What the filters of an HTTP server do to the requests of a rule: injected failures and cross-origin resource sharing.

use std::sync::Arc;

use mesh_ir::policy::{AbortStatus, DelayDuration, Fault, FaultAbort, FaultDelay};
use mesh_ir::{CorsPolicy, Denominator, Fraction, RoutePolicy, StringMatch};

use super::Compiler;
use crate::diag::FieldPath;
use crate::model::{self, HttpFaultInjection, HttpRoute, Percent, UnmatchedPreflights};
use crate::snapshot::report;
use crate::validate::grpc_status;

// === impl Compiler ===

impl Compiler<'_> {
    pub(super) fn policy(&mut self, rule: &HttpRoute, path: &FieldPath) -> RoutePolicy {
        let fault = rule.fault.as_ref();
        let fault = fault.and_then(|fault| self.fault(fault, &path.key("fault")));
        RoutePolicy {
            fault: fault.map(Arc::new),
            cors: rule
                .cors_policy
                .as_ref()
                .map(|policy| Arc::new(cors(policy))),
            ..RoutePolicy::default()
        }
    }

    fn fault(&mut self, fault: &HttpFaultInjection, path: &FieldPath) -> Option<Fault> {
        let HttpFaultInjection { delay, abort } = fault;
        let delay = delay.as_ref().and_then(|delay| {
            let whole = delay.percent.map(|percent| Percent {
                value: f64::from(percent),
            });
            let share = delay.percentage.as_ref().or(whole.as_ref());
            Some(FaultDelay {
                duration: DelayDuration::Fixed(delay.fixed_delay?.0),
                percentage: self.share(share, &path.key("delay")),
            })
        });
        let abort = abort.as_ref().and_then(|abort| {
            let http = abort.http_status.and_then(|code| u16::try_from(code).ok());
            let grpc = abort.grpc_status.as_deref().and_then(grpc_status);
            Some(FaultAbort {
                status: http
                    .map(AbortStatus::Http)
                    .or(grpc.map(AbortStatus::Grpc))?,
                percentage: self.share(abort.percentage.as_ref(), &path.key("abort")),
            })
        });
        (delay.is_some() || abort.is_some()).then_some(Fault { delay, abort })
    }

    /// Istio injects a failure that says no share into no request.
    fn share(&mut self, share: Option<&Percent>, path: &FieldPath) -> Fraction {
        match share {
            Some(share) => fraction(share),
            None => {
                let message = "without percentage this failure is injected into no request; set percentage.value to 100 for all";
                self.diagnostics.push(report::partial_effect(
                    self.resource,
                    path.key("percentage"),
                    message,
                ));
                Fraction::NONE
            }
        }
    }
}

/// A percentage in millionths, as Istio writes it.
pub(super) fn fraction(percent: &Percent) -> Fraction {
    Fraction {
        numerator: (percent.value.clamp(0.0, 100.0) * 10_000.0).round() as u32,
        per: Denominator::Million,
    }
}

fn cors(policy: &model::CorsPolicy) -> CorsPolicy {
    let model::CorsPolicy {
        allow_origin,
        allow_origins,
        allow_methods,
        allow_headers,
        expose_headers,
        max_age,
        allow_credentials,
        unmatched_preflights,
    } = policy;
    let exact = |origin: &String| StringMatch::Exact(origin.as_str().into());
    let list = |names: &[String]| names.iter().map(|name| name.as_str().into()).collect();
    CorsPolicy {
        allow_origins: if allow_origins.is_empty() {
            allow_origin.iter().map(exact).collect()
        } else {
            allow_origins.iter().filter_map(origin).collect()
        },
        allow_methods: list(allow_methods),
        allow_headers: list(allow_headers),
        expose_headers: list(expose_headers),
        max_age: max_age.map(|age| age.0.as_secs()),
        allow_credentials: *allow_credentials,
        forward_unmatched_preflights: *unmatched_preflights != Some(UnmatchedPreflights::Ignore),
    }
}

fn origin(origin: &model::StringMatch) -> Option<StringMatch> {
    let model::StringMatch {
        exact,
        prefix,
        regex,
    } = origin;
    let of = |text: &Option<String>, kind: fn(Arc<str>) -> StringMatch| {
        text.as_deref().map(|text| kind(text.into()))
    };
    of(exact, StringMatch::Exact)
        .or_else(|| of(prefix, StringMatch::Prefix))
        .or_else(|| of(regex, StringMatch::Regex))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_millionths() {
        for (value, numerator) in [(0.0, 0), (0.001, 10), (4.35, 43_500), (100.0, 1_000_000)] {
            assert_eq!(fraction(&Percent { value }).numerator, numerator, "{value}");
        }
    }
}
