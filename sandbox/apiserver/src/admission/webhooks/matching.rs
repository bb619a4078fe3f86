//! Which webhooks a request concerns, and under which path of its kind each of them is asked.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;
use kube::core::{Selector, SelectorExt as _};
use serde_json::Value;

use super::configuration::Webhook;
use crate::admission::Request;
use crate::kinds::{Kinds, Served};

/// Kinds about which no webhook is asked, since a bad one could never be removed.
const EXEMPT: [&str; 2] = [
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
];

/// The kind at the group and version in which a webhook sees the object.
pub struct Target {
    served: Served,
}

/// How a webhook is asked about an object; none if it is not concerned.
pub fn target(
    webhook: &Webhook,
    request: &Request<'_>,
    kinds: &Kinds,
    object: Option<&Value>,
) -> Option<Target> {
    let served = version(webhook, request, kinds)?;
    if !namespace_matches(webhook, request) {
        return None;
    }
    let objects = [object, request.old.as_deref()];
    let selected = objects
        .into_iter()
        .flatten()
        .any(|object| matches(&webhook.objects, &object["metadata"]["labels"]));
    selected.then(|| Target {
        served: served.clone(),
    })
}

/// Whether a webhook could be concerned, whatever the object's labels are.
pub fn could_concern(webhook: &Webhook, request: &Request<'_>, kinds: &Kinds) -> bool {
    version(webhook, request, kinds).is_some() && namespace_matches(webhook, request)
}

/// The path of the kind that a rule names: that of the request, or with `Equivalent` another one that leads to the same objects.
fn version<'a>(webhook: &Webhook, request: &Request<'a>, kinds: &'a Kinds) -> Option<&'a Served> {
    let served = request.served;
    let kind = &served.kind;
    if kind.group == "admissionregistration.k8s.io" && EXEMPT.contains(&kind.plural.as_str()) {
        return None;
    }
    let named = |served: &Served| {
        webhook
            .rules
            .iter()
            .any(|rule| rule_matches(rule, request, served))
    };
    if named(served) {
        return Some(served);
    }
    if webhook.exact {
        return None;
    }
    kinds.paths(kind).find(|other| named(other))
}

fn rule_matches(rule: &RuleWithOperations, request: &Request<'_>, served: &Served) -> bool {
    let has = |words: &Option<Vec<String>>, word: &str| {
        let mut words = words.iter().flatten();
        words.any(|known| known == "*" || known == word)
    };
    let scope = match rule.scope.as_deref() {
        Some("Cluster") => !served.kind.namespaced,
        Some("Namespaced") => served.kind.namespaced,
        _ => true,
    };
    let mut resources = rule.resources.iter().flatten();
    scope
        && has(&rule.operations, request.operation.name())
        && has(&rule.api_groups, &served.group)
        && has(&rule.api_versions, &served.version)
        && resources.any(|known| resource_matches(known, &served.kind.plural, request.subresource))
}

/// `pods`, `pods/status`, `pods/*`, `*/status`, `*` for all resources, and `*/*` for all their subresources too.
fn resource_matches(known: &str, resource: &str, subresource: &str) -> bool {
    let (own, part) = known.split_once('/').unwrap_or((known, ""));
    (own == "*" || own == resource) && (part == subresource || part == "*")
}

fn namespace_matches(webhook: &Webhook, request: &Request<'_>) -> bool {
    let kind = &request.served.kind;
    let in_namespace = kind.namespaced || kind.is("", "namespaces");
    !in_namespace || matches(&webhook.namespaces, &request.namespace_labels)
}

fn matches(selector: &Selector, labels: &Value) -> bool {
    if selector.selects_all() {
        return true;
    }
    let labels = labels.as_object().into_iter().flatten();
    let labels: BTreeMap<String, String> = labels
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
    selector.matches(&labels)
}

// === impl Target ===

impl Target {
    /// The kind at its path.
    pub fn served(&self) -> &Served {
        &self.served
    }

    /// The object as the webhook sees it, from how it is stored.
    pub fn encode(&self, object: &Value) -> Value {
        self.served.encode(object)
    }

    /// The object as it is stored, from how the webhook has left it.
    pub fn decode(&self, object: &mut Value) {
        self.served.decode(object);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_named_with_their_parts() {
        let cases = [
            ("pods", "pods", "", true),
            ("pods", "pods", "status", false),
            ("pods/*", "pods", "status", true),
            ("pods/*", "pods", "", true),
            ("*", "pods", "", true),
            ("*", "pods", "status", false),
            ("*/*", "pods", "status", true),
            ("*/scale", "deployments", "scale", true),
            ("*/scale", "deployments", "", false),
            ("services", "pods", "", false),
        ];
        for (known, resource, part, expected) in cases {
            assert_eq!(
                resource_matches(known, resource, part),
                expected,
                "{known} {resource}/{part}"
            );
        }
    }
}
