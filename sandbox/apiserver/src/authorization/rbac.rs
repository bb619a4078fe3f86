//! RBAC: the rules that bindings give to a user, and whether one of them allows what is asked.

use k8s_openapi::api::rbac::v1::PolicyRule;
use serde::Deserialize;
use serde_json::Value;

use super::MASTERS;
use super::attributes::{Attributes, Target};
use crate::auth::User;
use crate::store::State;

pub const GROUP: &str = "rbac.authorization.k8s.io";

/// Rules that a binding gives to a user.
#[derive(Clone, Debug)]
pub struct Granted {
    /// By which binding, for people.
    pub reason: String,
    pub rules: Vec<PolicyRule>,
}

/// Why something is allowed; none if it is not.
pub fn authorize(state: &State, attributes: &Attributes<'_>) -> Option<String> {
    if attributes.user.groups.iter().any(|group| group == MASTERS) {
        return Some(String::new());
    }
    let namespace = match attributes.target {
        Target::Resource { namespace, .. } => namespace,
        Target::Path(_) => "",
    };
    let mut granted = granted(state, attributes.user, namespace);
    let allows = |granted: &Granted| granted.rules.iter().any(|rule| allows(rule, attributes));
    granted.find(allows).map(|granted| granted.reason)
}

/// Whether a rule allows what is asked.
pub fn allows(rule: &PolicyRule, asked: &Attributes<'_>) -> bool {
    let has = |words: &[String], word: &str| words.iter().any(|one| one == "*" || one == word);
    let list = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
    if !has(&rule.verbs, asked.verb) {
        return false;
    }
    match asked.target {
        Target::Path(path) => list(&rule.non_resource_urls)
            .iter()
            .any(|url| url_matches(url, path)),
        Target::Resource {
            group,
            resource,
            subresource,
            namespace: _,
            name,
        } => {
            let names = list(&rule.resource_names);
            has(&list(&rule.api_groups), group)
                && list(&rule.resources)
                    .iter()
                    .any(|one| resource_matches(one, resource, subresource))
                && (names.is_empty() || names.iter().any(|one| one == name))
        }
    }
}

/// `*` is everything, and `pods`, `pods/log` and `*/scale` are what they say.
fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == "*" {
        return true;
    }
    let (own, part) = rule.split_once('/').unwrap_or((rule, ""));
    part == subresource && (own == resource || (own == "*" && !part.is_empty()))
}

/// A path, or the beginning of one before `*`.
fn url_matches(rule: &str, path: &str) -> bool {
    match rule.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => rule == path,
    }
}

/// What all bindings give to a user, in a namespace or in the whole cluster.
pub fn granted<'a>(
    state: &'a State,
    user: &'a User,
    namespace: &'a str,
) -> impl Iterator<Item = Granted> + 'a {
    let of_cluster = state.list(&table("clusterrolebindings"), None, None);
    let of_namespace = state.list(&table("rolebindings"), Some(namespace), None);
    let of_namespace = of_namespace.filter(move |_| !namespace.is_empty());
    let of_cluster = of_cluster.map(|(_, binding)| ("ClusterRoleBinding", binding));
    let of_namespace = of_namespace.map(|(_, binding)| ("RoleBinding", binding));
    let bindings = of_cluster.chain(of_namespace);
    bindings.filter_map(move |(kind, binding)| {
        let place = binding["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default();
        let mut subjects = binding["subjects"].as_array().into_iter().flatten();
        let subject = subjects.find(|subject| is_subject(subject, user, place))?;
        let role = &binding["roleRef"];
        let rules = rules_of(state, role, place);
        let named = |value: &Value| {
            let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
            let name = match text("namespace").as_str() {
                "" => text("name"),
                namespace => format!("{}/{namespace}", text("name")),
            };
            format!("{} {name:?}", text("kind"))
        };
        let name = binding["metadata"]["name"].as_str().unwrap_or_default();
        let name = match place {
            "" => name.to_owned(),
            place => format!("{name}/{place}"),
        };
        Some(Granted {
            reason: format!(
                "RBAC: allowed by {kind} {name:?} of {} to {}",
                named(role),
                named(subject)
            ),
            rules,
        })
    })
}

/// The rules of the role that a binding names.
pub fn rules_of(state: &State, role: &Value, namespace: &str) -> Vec<PolicyRule> {
    let name = role["name"].as_str().unwrap_or_default();
    let role = match role["kind"].as_str() {
        Some("ClusterRole") => state.get(&table("clusterroles"), "", name),
        Some("Role") => state.get(&table("roles"), namespace, name),
        _ => None,
    };
    role.map(|role| rules(&role)).unwrap_or_default()
}

/// The rules that a role holds.
pub fn rules(role: &Value) -> Vec<PolicyRule> {
    let rules = role["rules"].as_array().into_iter().flatten();
    rules
        .filter_map(|rule| PolicyRule::deserialize(rule).ok())
        .collect()
}

fn is_subject(subject: &Value, user: &User, place: &str) -> bool {
    let name = subject["name"].as_str().unwrap_or_default();
    match subject["kind"].as_str() {
        Some("User") => user.name == name,
        Some("Group") => user.groups.iter().any(|group| group == name),
        Some("ServiceAccount") => {
            let namespace = subject["namespace"].as_str().unwrap_or(place);
            user.name
                .strip_prefix("system:serviceaccount:")
                .is_some_and(|rest| rest.split_once(':') == Some((namespace, name)))
        }
        _ => false,
    }
}

/// The name of a table of RBAC's kinds.
pub fn table(plural: &str) -> String {
    crate::status::qualified(plural, GROUP)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resource<'a>(text: &'a str, name: &'a str) -> Target<'a> {
        let (resource, subresource) = text.split_once('/').unwrap_or((text, ""));
        Target::Resource {
            group: "",
            resource,
            subresource,
            namespace: "n",
            name,
        }
    }

    #[test]
    fn a_rule_allows_what_it_names_and_nothing_else() {
        let user = User::named("u");
        let allowed = |rule: Value, verb: &str, target: Target<'_>| {
            let rule: PolicyRule = serde_json::from_value(rule).unwrap();
            let user = &user;
            allows(&rule, &Attributes { user, verb, target })
        };
        let pods = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
        assert!(allowed(pods.clone(), "get", resource("pods", "p")));
        assert!(!allowed(pods.clone(), "list", resource("pods", "")));
        assert!(!allowed(pods.clone(), "get", resource("pods/log", "p")));
        assert!(!allowed(pods, "get", resource("secrets", "p")));
        let named =
            json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"], "resourceNames": ["a"]});
        assert!(allowed(
            named.clone(),
            "update",
            resource("pods/status", "a")
        ));
        assert!(!allowed(named.clone(), "update", resource("pods", "b")));
        assert!(!allowed(named, "create", resource("pods", "")));
        let scale = json!({"apiGroups": [""], "resources": ["*/scale"], "verbs": ["get"]});
        assert!(allowed(scale.clone(), "get", resource("x/scale", "a")));
        assert!(!allowed(scale, "get", resource("x", "a")));
        let page = json!({"nonResourceURLs": ["/apis/*", "/metrics"], "verbs": ["get"]});
        assert!(allowed(page.clone(), "get", Target::Path("/apis/apps")));
        assert!(!allowed(page.clone(), "get", Target::Path("/metrics/x")));
        assert!(!allowed(page, "get", resource("pods", "p")));
    }

    #[test]
    fn bindings_of_a_namespace_give_their_roles_there_only() {
        let mut state = State::default();
        let put = |state: &mut State, plural: &str, namespace: &str, object: Value| {
            let key = (namespace.to_owned(), "x".to_owned());
            state.put(&table(plural), key, object);
        };
        let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]);
        put(
            &mut state,
            "clusterroles",
            "",
            json!({"metadata": {"name": "x"}, "rules": rules}),
        );
        let binding = json!({"metadata": {"name": "x", "namespace": "n"}, "roleRef": {"kind": "ClusterRole", "name": "x"},
            "subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "m"}]});
        put(&mut state, "rolebindings", "n", binding);
        let user = User::named("system:serviceaccount:m:a");
        let may = |user: &User, namespace: &'static str| {
            let target = Target::Resource {
                group: "",
                resource: "pods",
                subresource: "",
                namespace,
                name: "p",
            };
            let verb = "get";
            authorize(&state, &Attributes { user, verb, target })
        };
        assert_eq!(
            may(&user, "n").as_deref(),
            Some(
                "RBAC: allowed by RoleBinding \"x/n\" of ClusterRole \"x\" to ServiceAccount \"a/m\""
            )
        );
        assert_eq!(may(&user, "m"), None);
        assert_eq!(may(&user, ""), None);
        assert_eq!(may(&User::named("system:serviceaccount:n:a"), "n"), None);
    }
}
