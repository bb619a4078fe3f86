//! Nobody grants what he does not have: whoever writes a role must hold its rules, or may `escalate`; whoever writes a binding must
//! hold the rules of its role, or may `bind` it.

use k8s_openapi::api::rbac::v1::PolicyRule;
use serde_json::Value;

use super::attributes::{Attributes, Target};
use super::rbac::{self, GROUP, allows, granted};
use super::{MASTERS, authorize};
use crate::auth::User;
use crate::kinds::Kind;
use crate::status::Status;
use crate::store::State;

/// Refuses a role or binding that gives its writer more than he has.
pub fn check(
    state: &State,
    user: &User,
    kind: &Kind,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    if kind.group != GROUP || user.groups.iter().any(|group| group == MASTERS) {
        return Ok(());
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = text(&new["metadata"]["name"]);
    let namespace = text(&new["metadata"]["namespace"]);
    let (verb, resource, of, rules) = match kind.plural.as_str() {
        "roles" | "clusterroles" => {
            if old.is_some_and(|old| old["rules"] == new["rules"]) {
                return Ok(());
            }
            let plural = kind.plural.as_str();
            ("escalate", plural, name.clone(), rbac::rules(new))
        }
        _ => {
            let same = |old: &Value| {
                old["subjects"] == new["subjects"] && old["roleRef"] == new["roleRef"]
            };
            if old.is_some_and(same) {
                return Ok(());
            }
            let role = &new["roleRef"];
            let plural = match role["kind"].as_str() {
                Some("ClusterRole") => "clusterroles",
                _ => "roles",
            };
            let rules = rbac::rules_of(state, role, &namespace);
            ("bind", plural, text(&role["name"]), rules)
        }
    };
    let may = Attributes {
        user,
        verb,
        target: Target::Resource {
            group: GROUP,
            resource,
            subresource: "",
            namespace: &namespace,
            name: &of,
        },
    };
    if authorize(state, &may).is_some() {
        return Ok(());
    }
    let held: Vec<PolicyRule> = granted(state, user, &namespace)
        .flat_map(|granted| granted.rules)
        .collect();
    let missing: Vec<String> = rules
        .iter()
        .filter(|rule| !covers(&held, user, rule))
        .map(shown)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let why = format!(
        "user {:?} (groups={:?}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        user.groups,
        missing.join("\n")
    );
    Err(Status::forbidden(&kind.group, &kind.plural, &name, &why))
}

/// Whether the rules that someone holds allow all that a rule allows: each combination of what it names. A name with `*` is only
/// covered by the same one.
fn covers(held: &[PolicyRule], user: &User, rule: &PolicyRule) -> bool {
    let list = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
    let allowed = |verb: &str, target: Target<'_>| {
        let asked = Attributes { user, verb, target };
        held.iter().any(|held| allows(held, &asked))
    };
    let (groups, resources) = (list(&rule.api_groups), list(&rule.resources));
    let names = match list(&rule.resource_names) {
        none if none.is_empty() => vec![String::new()],
        names => names,
    };
    let mut targets = Vec::new();
    for resource in &resources {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        for group in &groups {
            targets.extend(names.iter().map(|name| Target::Resource {
                group,
                resource,
                subresource,
                namespace: "",
                name,
            }));
        }
    }
    let paths = list(&rule.non_resource_urls);
    targets.extend(paths.iter().map(|path| Target::Path(path)));
    rule.verbs
        .iter()
        .all(|verb| targets.iter().all(|target| allowed(verb, *target)))
}

/// A rule as Kubernetes writes it.
fn shown(rule: &PolicyRule) -> String {
    let list = |name: &str, words: Option<&Vec<String>>| {
        let words = words.filter(|words| !words.is_empty())?;
        let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
        Some(format!("{name}:[{}]", words.join(" ")))
    };
    let parts = [
        list("APIGroups", rule.api_groups.as_ref()),
        list("Resources", rule.resources.as_ref()),
        list("ResourceNames", rule.resource_names.as_ref()),
        list("NonResourceURLs", rule.non_resource_urls.as_ref()),
        list("Verbs", Some(&rule.verbs)),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!("{{{}}}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_is_covered_when_all_that_it_allows_is_held() {
        let user = User::named("u");
        let rule = |value: Value| -> PolicyRule { serde_json::from_value(value).unwrap() };
        let held = [
            rule(json!({"apiGroups": ["", "apps"], "resources": ["*"], "verbs": ["get", "list"]})),
            rule(
                json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"], "resourceNames": ["a"]}),
            ),
            rule(json!({"nonResourceURLs": ["/apis/*"], "verbs": ["get"]})),
        ];
        for (asked, expected) in [
            (
                json!({"apiGroups": ["apps"], "resources": ["deployments", "pods/log"], "verbs": ["get"]}),
                true,
            ),
            (
                json!({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "watch"]}),
                false,
            ),
            (
                json!({"apiGroups": ["*"], "resources": ["deployments"], "verbs": ["get"]}),
                false,
            ),
            (
                json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["delete"], "resourceNames": ["a"]}),
                true,
            ),
            (
                json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["delete"]}),
                false,
            ),
            (
                json!({"apiGroups": [""], "resources": ["*"], "verbs": ["*"]}),
                false,
            ),
            (
                json!({"nonResourceURLs": ["/apis/apps"], "verbs": ["get"]}),
                true,
            ),
            (
                json!({"nonResourceURLs": ["/metrics"], "verbs": ["get"]}),
                false,
            ),
        ] {
            assert_eq!(
                covers(&held, &user, &rule(asked.clone())),
                expected,
                "{asked}"
            );
        }
    }
}
