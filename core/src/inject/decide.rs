//! Whether a pod is injected, in Istio's order: host network, the namespace, the pod's own word (label before annotation),
//! selectors (never before always), and last the policy.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::template::Template;
use super::{InjectConfig, InjectError, Policy};

/// Namespaces of Kubernetes itself; nothing is injected there.
pub(crate) const SYSTEM_NAMESPACES: [&str; 4] = [
    "kube-system",
    "kube-public",
    "kube-node-lease",
    "local-path-storage",
];

/// Label and annotation with which a pod speaks for itself.
const INJECT: &str = "sidecar.istio.io/inject";

/// Label of namespaces and pods that chooses a control plane.
pub(super) const REVISION: &str = "istio.io/rev";

/// Label of namespaces that turns injection on or off.
const INJECTION: &str = "istio-injection";

/// The namespace of a pod.
#[derive(Clone, Copy, Debug)]
pub struct Namespace<'a> {
    /// Name.
    pub name: &'a str,
    /// Labels, where injection happens on its own accord and the namespace has to ask for it. None where the user asks for it
    /// (`kube-inject`).
    pub labels: Option<&'a BTreeMap<String, String>>,
}

/// Whether a pod is injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is.
    Inject,
    /// It is not.
    Skip(SkipReason),
}

/// Why a pod is not injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// The pod shares the node's network, whose traffic must not be redirected.
    HostNetwork,
    /// The namespace belongs to Kubernetes itself.
    SystemNamespace,
    /// The pod says so, by label or annotation.
    PodSaysNo,
    /// A `neverInjectSelector` matches.
    NeverInject,
    /// The policy is `disabled`, and the pod does not ask for injection.
    PolicyDisabled,
    /// The namespace says `istio-injection=disabled`.
    NamespaceSaysNo,
    /// Neither the namespace nor the pod asks for injection.
    NotAsked,
    /// The namespace or the pod asks for the injector of another control plane.
    OtherRevision(String),
}

/// Decides for a pod or a pod template (an object with `metadata` and `spec`).
///
/// # Errors
/// When labels or annotations are not texts.
pub fn decide(
    pod: &serde_json::Value,
    namespace: Namespace<'_>,
    config: &InjectConfig,
) -> Result<Decision, InjectError> {
    Ok(decide_template(&Template::read(pod)?, namespace, config))
}

pub(super) fn decide_template(
    pod: &Template,
    namespace: Namespace<'_>,
    config: &InjectConfig,
) -> Decision {
    if let Some(reason) = namespace
        .labels
        .and_then(|labels| not_selected(labels, &pod.labels, &config.injector.revision))
    {
        return Decision::Skip(reason);
    }
    if pod.host_network() {
        return Decision::Skip(SkipReason::HostNetwork);
    }
    if SYSTEM_NAMESPACES.contains(&namespace.name) {
        return Decision::Skip(SkipReason::SystemNamespace);
    }
    let own_word = pod.labels.get(INJECT).or(pod.annotations.get(INJECT));
    match own_word.map(String::as_str) {
        None | Some("") => {}
        Some("true" | "y" | "yes" | "on") => return Decision::Inject,
        Some(_) => return Decision::Skip(SkipReason::PodSaysNo),
    }
    let matches = |selectors: &[LabelSelector]| {
        selectors
            .iter()
            .any(|selector| selector_matches(selector, &pod.labels))
    };
    if matches(&config.injector.never_inject_selector) {
        return Decision::Skip(SkipReason::NeverInject);
    }
    if matches(&config.injector.always_inject_selector) {
        return Decision::Inject;
    }
    match config.injector.policy {
        Policy::Enabled => Decision::Inject,
        Policy::Disabled => Decision::Skip(SkipReason::PolicyDisabled),
    }
}

/// What the selectors of Istio's webhook configuration leave out: `istio-injection` of the namespace goes before `istio.io/rev`
/// of the namespace, and that before the labels of the pod.
fn not_selected(
    namespace: &BTreeMap<String, String>,
    pod: &BTreeMap<String, String>,
    own_revision: &str,
) -> Option<SkipReason> {
    let of_pod = pod.get(INJECT).map(String::as_str);
    let revision = |labels: &BTreeMap<String, String>| labels.get(REVISION).cloned();
    let checked = |revision: String| {
        let other = revision != own_revision;
        other.then_some(SkipReason::OtherRevision(revision))
    };
    match namespace.get(INJECTION).map(String::as_str) {
        Some("enabled") => return None,
        Some(_) => return Some(SkipReason::NamespaceSaysNo),
        None => {}
    }
    match (revision(namespace), of_pod, revision(pod)) {
        (Some(revision), _, _) | (None, _, Some(revision)) => checked(revision),
        (None, Some("true"), None) => None,
        (None, Some("false"), None) => Some(SkipReason::PodSaysNo),
        (None, _, None) => Some(SkipReason::NotAsked),
    }
}

/// Whether a selector matches labels. An empty one matches nothing here: a slip in the configuration must not select all pods.
fn selector_matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let LabelSelector {
        match_expressions,
        match_labels,
    } = selector;
    let expressions = match_expressions.as_deref().unwrap_or_default();
    let exact = match_labels.iter().flatten();
    if expressions.is_empty() && exact.clone().next().is_none() {
        return false;
    }
    let holds =
        |expression: &k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement| {
            let value = labels.get(&expression.key);
            let listed = value
                .is_some_and(|value| expression.values.iter().flatten().any(|one| one == value));
            match expression.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        };
    exact
        .into_iter()
        .all(|(key, value)| labels.get(key) == Some(value))
        && expressions.iter().all(holds)
}

// === impl SkipReason ===

impl fmt::Display for SkipReason {
    /// Continues a sentence whose subject is the object: `has host networking enabled`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SkipReason::HostNetwork => f.write_str("has host networking enabled"),
            SkipReason::SystemNamespace => {
                f.write_str("is in a namespace of Kubernetes itself, where nothing is injected")
            }
            SkipReason::PodSaysNo => {
                write!(f, "has sidecar injection disabled by {INJECT} on its pods")
            }
            SkipReason::NeverInject => {
                f.write_str("matches a neverInjectSelector of the injector's configuration")
            }
            SkipReason::PolicyDisabled => write!(
                f,
                "does not ask for injection ({INJECT}: \"true\"), and the injector's policy is disabled"
            ),
            SkipReason::NamespaceSaysNo => {
                write!(
                    f,
                    "is in a namespace whose label {INJECTION} is not enabled"
                )
            }
            SkipReason::NotAsked => {
                write!(f, "is in a namespace without the label {INJECTION}=enabled")
            }
            SkipReason::OtherRevision(revision) => {
                write!(f, "belongs to the control plane {revision:?}")
            }
        }
    }
}
