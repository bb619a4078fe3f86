//! Mixer's kinds. Nothing evaluates them any more; what replaces each is said.

use super::{Converter, LegacyKind};
use crate::diag::{FieldPath, Level};

/// Kinds, in lower case, with what does the same today.
const REPLACEMENTS: &[(&[&str], &str)] = &[
    (
        &[
            "memquota",
            "redisquota",
            "quota",
            "quotaspec",
            "quotaspecbinding",
        ],
        "limit rates by an EnvoyFilter with Envoy's local or global rate limit",
    ),
    (
        &["denier", "checknothing"],
        "deny requests by an AuthorizationPolicy with action: DENY",
    ),
    (
        &["listchecker", "listentry"],
        "allow or deny by lists with an AuthorizationPolicy (ipBlocks, principals, when)",
    ),
    (
        &["logentry", "stdio", "fluentd", "stackdriver", "accesslog"],
        "write logs by a Telemetry with accessLogging",
    ),
    (
        &["metric", "prometheus", "statsd", "circonus", "dogstatsd"],
        "metrics are always there; change them by a Telemetry with metrics",
    ),
    (
        &["tracespan", "zipkin", "lightstep"],
        "trace by a Telemetry with tracing",
    ),
    (
        &["authorization", "opa", "rbac"],
        "decide by an AuthorizationPolicy, or by an authorizer with action: CUSTOM",
    ),
    (
        &[
            "attributemanifest",
            "kubernetes",
            "kubernetesenv",
            "apikey",
            "reportnothing",
        ],
        "nothing needs it: proxies know the attributes themselves",
    ),
];

/// Notes each of Mixer's objects.
pub(super) fn note(converter: &Converter<'_>) {
    for (position, object) in converter.objects.iter().enumerate() {
        if object.kind != LegacyKind::Mixer {
            continue;
        }
        let kind = object.value.get("kind").and_then(|kind| kind.as_str());
        let kind = kind.unwrap_or_default();
        let lower = kind.to_ascii_lowercase();
        let known = REPLACEMENTS
            .iter()
            .find(|(kinds, _)| kinds.contains(&&*lower));
        let advice = known.map_or(
            "rules that tie instances to handlers went with it",
            |(_, advice)| advice,
        );
        let message = format!("{kind} was for Mixer, which is no more, and is left out: {advice}");
        converter
            .notes
            .add(position, FieldPath::root(), Level::Warning, message);
    }
}
