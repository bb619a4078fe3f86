//! `Telemetry`.

use super::policy::{at_most_one, check_targets};
use super::{At, Violations};
use crate::model::{AccessLogFilter, Metrics, TagOperation, TelemetrySpec, Tracing};

pub(crate) fn check(object: &TelemetrySpec, at: &At<'_>, violations: &mut Violations) {
    let TelemetrySpec {
        selector,
        target_ref,
        target_refs,
        tracing,
        metrics,
        access_logging,
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
    let key = at.key("accessLogging");
    for (position, log) in access_logging.iter().enumerate() {
        if let Some(filter) = &log.filter {
            let at = key.index(position);
            let at = at.key("filter");
            violations.check(&at.key("expression"), expression(filter));
        }
    }
    let key = at.key("metrics");
    for (position, metrics) in metrics.iter().enumerate() {
        check_metrics(metrics, &key.index(position), violations);
    }
}

/// Envoy drops a log whose filter it cannot read, so a slip would not be seen.
fn expression(filter: &AccessLogFilter) -> Result<(), String> {
    let text = filter.expression.as_deref().unwrap_or_default();
    if text.trim().is_empty() {
        return Err("the expression is missing".to_owned());
    }
    crate::schema::check_expression(text)
        .map_err(|reason| format!("{text:?} is not a CEL expression: {reason}"))
}

fn check_tracing(tracing: &Tracing, at: &At<'_>, violations: &mut Violations) {
    if tracing.providers.len() > 1 {
        let key = at.key("providers");
        violations.warn(&key.index(1), "only the first provider counts");
    }
    let key = at.key("customTags");
    if tracing.custom_tags.contains_key("") {
        violations.add(&key, "the name of a tag is empty");
    }
    for (name, tag) in &tracing.custom_tags {
        let given = [
            ("literal", tag.literal.is_some()),
            ("environment", tag.environment.is_some()),
            ("header", tag.header.is_some()),
            ("formatter", tag.formatter.is_some()),
        ];
        at_most_one(&given, &key.key(name), violations);
    }
}

fn check_metrics(metrics: &Metrics, at: &At<'_>, violations: &mut Violations) {
    let key = at.key("overrides");
    for (position, change) in metrics.overrides.iter().enumerate() {
        let at = key.index(position);
        if let Some(selector) = &change.matches {
            let given = [
                ("metric", selector.metric.is_some()),
                ("customMetric", selector.custom_metric.is_some()),
            ];
            at_most_one(&given, &at.key("match"), violations);
        }
        let tags = at.key("tagOverrides");
        for (name, tag) in &change.tag_overrides {
            if name.is_empty() {
                violations.warn(&tags, "the name of a tag is empty");
            }
            let is_removed = tag.operation == Some(TagOperation::Remove);
            if !is_removed && tag.value.as_deref().unwrap_or_default().is_empty() {
                violations.add_hint(
                    &tags.key(name),
                    "the value is missing",
                    "set value, or operation: REMOVE",
                );
            }
        }
    }
}
