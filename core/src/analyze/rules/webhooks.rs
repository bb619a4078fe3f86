//! Injectors that overlap, or whose control plane is not there (IST0139).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::analyze::context::Context;
use crate::analyze::label_selector::selects;
use crate::analyze::names::some_of;
use crate::analyze::pods::{INJECT, INJECTION, REVISION};
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Object, Resource, ResourceKey};

pub(super) const RULE: Rule = Rule {
    name: "webhook.Analyzer",
    summary: "one injector at most is for a pod, and its control plane is there",
    codes: &["IST0139"],
    check,
};

/// Most revisions whose combinations are tried.
const MOST_REVISIONS: usize = 100;

type Labels = BTreeMap<String, String>;

/// A webhook with its place.
#[derive(Clone, Copy)]
struct Hook<'s> {
    resource: &'s Arc<Resource>,
    position: usize,
    webhook: &'s MutatingWebhook,
}

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    let mut hooks = Vec::new();
    let mut revisions: BTreeSet<String> = BTreeSet::new();
    for resource in context
        .snapshot
        .resources(Kind::MutatingWebhookConfiguration)
    {
        let Object::MutatingWebhookConfiguration(object) = &resource.object else {
            continue;
        };
        let named = revisions_of(resource, object);
        let webhooks = object.webhooks.as_deref().unwrap_or_default();
        let is_istio = webhooks.iter().any(|it| it.name.ends_with("istio.io"));
        if named.is_empty() && !is_istio {
            continue;
        }
        revisions.extend(named);
        let own = webhooks.iter().enumerate();
        hooks.extend(own.map(|(position, webhook)| Hook {
            resource,
            position,
            webhook,
        }));
    }
    overlaps(&hooks, &revisions, findings);
    if context.knows(Kind::Service) {
        for hook in &hooks {
            findings.extend(without_service(context, hook));
        }
    }
}

/// Webhooks that are for the same pods, found by trying the labels that matter.
fn overlaps(hooks: &[Hook<'_>], revisions: &BTreeSet<String>, findings: &mut Vec<Diagnostic>) {
    let namespaces = combinations(INJECTION, &["enabled", "disabled"], revisions);
    let objects = combinations(INJECT, &["true", "false"], revisions);
    // What a webhook selects of each, worked out once.
    let selected: Vec<(Vec<bool>, Vec<bool>)> = hooks
        .iter()
        .map(|Hook { webhook, .. }| {
            let of = |selector: Option<&LabelSelector>, all: &[Labels]| {
                all.iter().map(|labels| selects(selector, labels)).collect()
            };
            (
                of(webhook.namespace_selector.as_ref(), &namespaces),
                of(webhook.object_selector.as_ref(), &objects),
            )
        })
        .collect();
    let mut told: BTreeSet<(usize, Vec<usize>)> = BTreeSet::new();
    for namespace in 0..namespaces.len() {
        for object in 0..objects.len() {
            let is_for = |at: &usize| {
                selected.get(*at).is_some_and(|(namespaces, objects)| {
                    namespaces.get(namespace) == Some(&true) && objects.get(object) == Some(&true)
                })
            };
            let matching: Vec<usize> = (0..hooks.len()).filter(is_for).collect();
            if matching.len() < 2 {
                continue;
            }
            for at in &matching {
                let others = matching.iter().copied().filter(|other| other != at);
                told.insert((*at, others.collect()));
            }
        }
    }
    for (at, others) in told {
        let Some(hook) = hooks.get(at) else { continue };
        let names = others.iter().filter_map(|other| hooks.get(*other));
        let names = some_of(names.map(Hook::name)).unwrap_or_default();
        let mut found = finding(
            "IST0139",
            Level::Error,
            hook.resource,
            hook.path().key("name"),
            format!(
                "webhook {} is for some of the same pods as {names}: they may get two proxies",
                hook.webhook.name
            ),
        );
        found.hint = Some("remove one, or make their selectors exclude each other".to_owned());
        findings.push(found);
    }
}

fn without_service(context: &Context<'_>, hook: &Hook<'_>) -> Option<Diagnostic> {
    let service = hook.webhook.client_config.service.as_ref()?;
    let key = ResourceKey {
        kind: Kind::Service,
        namespace: service.namespace.as_str().into(),
        name: service.name.as_str().into(),
    };
    if context.snapshot.get(&key).is_some() {
        return None;
    }
    let mut found = finding(
        "IST0139",
        Level::Error,
        hook.resource,
        hook.path().key("clientConfig").key("service"),
        format!(
            "webhook {} asks Service {}/{}, which does not exist",
            hook.webhook.name, service.namespace, service.name
        ),
    );
    found.hint = Some(
        "pods cannot be made while it is asked in vain: install the control plane, or remove the webhook"
            .to_owned(),
    );
    Some(found)
}

/// The labels that matter with each of some values or none, each without a revision and with each.
fn combinations(key: &str, values: &[&str], revisions: &BTreeSet<String>) -> Vec<Labels> {
    let base = || {
        let with = |value: &&str| Labels::from([(key.to_owned(), (*value).to_owned())]);
        std::iter::once(Labels::new()).chain(values.iter().map(with))
    };
    let with_revision = revisions.iter().take(MOST_REVISIONS).flat_map(|revision| {
        base().map(move |mut labels| {
            labels.insert(REVISION.to_owned(), revision.clone());
            labels
        })
    });
    base().chain(with_revision).collect()
}

/// The revisions that a configuration is about.
fn revisions_of(resource: &Resource, object: &MutatingWebhookConfiguration) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = resource
        .meta
        .labels
        .get(REVISION)
        .into_iter()
        .cloned()
        .collect();
    for webhook in object.webhooks.iter().flatten() {
        for selector in [&webhook.namespace_selector, &webhook.object_selector] {
            let Some(selector) = selector else { continue };
            let labels = selector.match_labels.as_ref();
            found.extend(labels.and_then(|labels| labels.get(REVISION)).cloned());
            let expressions = selector.match_expressions.iter().flatten();
            for expression in expressions.filter(|expression| expression.key == REVISION) {
                found.extend(expression.values.iter().flatten().cloned());
            }
        }
    }
    found
}

// === impl Hook ===

impl Hook<'_> {
    fn path(&self) -> FieldPath {
        FieldPath::root().key("webhooks").index(self.position)
    }

    fn name(&self) -> String {
        format!("{}/{}", self.resource.key.name, self.webhook.name)
    }
}
