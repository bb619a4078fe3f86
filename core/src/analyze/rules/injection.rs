//! Namespaces and pods without a proxy, where one may have been meant (IST0102, IST0103, IST0123, IST0148).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::analyze::context::Context;
use crate::analyze::pods::{INJECT, INJECTION, PROXY, REVISION};
use crate::analyze::{Rule, finding, is_of_cluster};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::install::{DEFAULT_REVISION, REVISION_LABEL, TAG_LABEL, revised};
use crate::resource::{Kind, Object};

pub(super) const RULE: Rule = Rule {
    name: "injection.Analyzer",
    summary: "namespaces say whether their pods get a proxy, and the pods have it",
    codes: &["IST0102", "IST0103", "IST0123", "IST0148"],
    check,
};

/// Label of namespaces that says how traffic is captured.
const DATAPLANE: &str = "istio.io/dataplane-mode";

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    let by_default = enabled_by_default(context);
    let mut injected: BTreeSet<&str> = BTreeSet::new();
    for resource in context.snapshot.resources(Kind::Namespace) {
        let name = &*resource.key.name;
        if name == context.istio_namespace || is_of_cluster(name) {
            continue;
        }
        let labels = &resource.meta.labels;
        let injection = labels.get(INJECTION);
        let revision = labels.get(REVISION);
        let path = FieldPath::parse("metadata.name");
        let told: Vec<String> = told_labels(labels);
        if told.len() > 1 {
            let mut found = finding(
                "IST0123",
                Level::Warning,
                resource,
                FieldPath::parse("metadata.labels"),
                format!(
                    "several labels say how pods join the mesh: {}",
                    told.join(", ")
                ),
            );
            found.hint = Some("keep one of them".to_owned());
            findings.push(found);
        }
        if labels.get(DATAPLANE).is_some_and(|mode| mode == "ambient") {
            continue;
        }
        let says_nothing = injection.is_none_or(String::is_empty) && revision.is_none();
        if says_nothing {
            let injector = injector_of(context, revision.map(String::as_str));
            if by_default.get(injector.as_str()).copied().unwrap_or(false) {
                findings.push(finding(
                    "IST0148",
                    Level::Info,
                    resource,
                    path,
                    "pods get a proxy, since the injector treats namespaces without a label as enabled"
                        .to_owned(),
                ));
            } else {
                let mut found = finding(
                    "IST0102",
                    Level::Info,
                    resource,
                    path,
                    format!("pods of namespace {name} get no proxy"),
                );
                found.hint = Some(format!(
                    "`kubectl label namespace {name} istio-injection=enabled` enables injection, istio-injection=disabled says that none is wanted"
                ));
                findings.push(found);
            }
        } else if revision.is_some() || injection.is_some_and(|value| value == "enabled") {
            injected.insert(name);
        }
    }
    for (resource, pod) in context.pods().running() {
        let own = pod.labels.get(INJECT).or(pod.annotations.get(INJECT));
        let is_left_out = own.is_some_and(|value| value.eq_ignore_ascii_case("false"))
            || pod.spec.is_some_and(|spec| spec.host_network == Some(true));
        if !injected.contains(pod.namespace) || is_left_out || pod.has_proxy() {
            continue;
        }
        let mut found = finding(
            "IST0103",
            Level::Warning,
            resource,
            FieldPath::parse("metadata.name"),
            format!("pod {} has no container {PROXY}", pod.name),
        );
        found.hint = Some("pods get a proxy when they are made: restart the workload".to_owned());
        findings.push(found);
    }
}

/// The labels that say how pods join the mesh. Where injection is switched off the others say nothing.
fn told_labels(labels: &BTreeMap<String, String>) -> Vec<String> {
    let injection = labels.get(INJECTION);
    let others_count = injection.is_none_or(|value| value == "enabled");
    let own = injection.map(|value| format!("{INJECTION}={value}"));
    let others = [REVISION, DATAPLANE].into_iter().filter_map(|key| {
        let value = labels.get(key).filter(|_| others_count)?;
        Some(format!("{key}={value}"))
    });
    own.into_iter().chain(others).collect()
}

/// Name of the ConfigMap with the settings of the injector that a label asks for, by the name of a revision or of a tag.
pub(super) fn injector_of(context: &Context<'_>, asked: Option<&str>) -> String {
    let name = asked.filter(|name| !name.is_empty());
    let name = name.unwrap_or(DEFAULT_REVISION);
    let webhooks = context
        .snapshot
        .resources(Kind::MutatingWebhookConfiguration)
        .iter();
    let mut tags = webhooks.map(|resource| &resource.meta.labels);
    let of_tag = tags.find(|labels| labels.get(TAG_LABEL).is_some_and(|tag| tag == name));
    let revision = of_tag.and_then(|labels| labels.get(REVISION_LABEL));
    revised(
        "istio-sidecar-injector",
        revision.map_or(name, String::as_str),
    )
}

/// Injectors that treat namespaces without a label as enabled, by the names of their ConfigMaps.
fn enabled_by_default<'s>(context: &Context<'s>) -> BTreeMap<&'s str, bool> {
    let maps = injector_values(context);
    maps.map(|(name, values)| {
        let enabled = &values["sidecarInjectorWebhook"]["enableNamespacesByDefault"];
        (name, enabled.as_bool().unwrap_or(false))
    })
    .collect()
}

/// The values of all injectors, by the names of their ConfigMaps.
pub(super) fn injector_values<'s>(
    context: &Context<'s>,
) -> impl Iterator<Item = (&'s str, Value)> + use<'s> {
    let maps = context.snapshot.resources(Kind::ConfigMap);
    maps.iter().filter_map(|resource| {
        let Object::ConfigMap(map) = &resource.object else {
            return None;
        };
        if !resource.key.name.starts_with("istio-sidecar-injector") {
            return None;
        }
        let text = map.data.as_ref()?.get("values")?;
        let values = serde_json::from_str(text).unwrap_or(Value::Null);
        Some((&*resource.key.name, values))
    })
}
