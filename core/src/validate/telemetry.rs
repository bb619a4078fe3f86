//! `Telemetry`.

use super::policy::check_targets;
use super::{At, Violations};
use crate::model::{Metrics, TelemetrySpec, Tracing};

pub(crate) fn check(object: &TelemetrySpec, at: &At<'_>, violations: &mut Violations) {
    let TelemetrySpec {
        selector,
        target_ref,
        target_refs,
        tracing,
        metrics,
        access_logging: _,
    } = object;
    check_targets(
        selector.as_ref(),
        target_ref.as_ref(),
        target_refs,
        at,
        violations,
    );
    let key = at.key("tracing");
    if tracing.len() > 1 {
        violations.warn(&key.index(1), "only the first entry counts");
    }
    for (position, tracing) in tracing.iter().enumerate() {
        check_tracing(tracing, &key.index(position), violations);
    }
    let key = at.key("metrics");
    for (position, metrics) in metrics.iter().enumerate() {
        check_metrics(metrics, &key.index(position), violations);
    }
}

fn check_tracing(tracing: &Tracing, at: &At<'_>, violations: &mut Violations) {
    if tracing.providers.len() > 1 {
        let key = at.key("providers");
        violations.warn(&key.index(1), "only the first provider counts");
    }
    if tracing.custom_tags.contains_key("") {
        violations.add(&at.key("customTags"), "the name of a tag is empty");
    }
}

fn check_metrics(metrics: &Metrics, at: &At<'_>, violations: &mut Violations) {
    let key = at.key("overrides");
    for (position, change) in metrics.overrides.iter().enumerate() {
        if change.tag_overrides.contains_key("") {
            let at = key.index(position);
            violations.add(&at.key("tagOverrides"), "the name of a tag is empty");
        }
    }
}
