//! Objects of one namespace of which each pod may have one only: which of them have no selector, and which select the same pods.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::analyze::context::Context;
use crate::analyze::finding;
use crate::analyze::names::some_of;
use crate::analyze::pods::{Pod, selector_text};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Resource, ResourceKey};

type Labels = BTreeMap<String, String>;

/// Most pods for which one object is told to conflict with others.
const MOST_PODS: usize = 10;

/// An object with the labels that it selects; none if it is for its whole namespace.
pub(super) type Selecting<'s> = (&'s Arc<Resource>, Option<&'s Labels>);

/// What is wrong with a selector.
pub(super) fn unselected(resource: &Resource, selector: &Labels, path: &str) -> Diagnostic {
    let mut found = finding(
        "IST0101",
        Level::Error,
        resource,
        FieldPath::parse(path),
        format!(
            "Referenced selector not found: {:?}",
            selector_text(selector)
        ),
    );
    found.hint = Some(format!(
        "no pod of namespace {} has these labels",
        resource.key.namespace
    ));
    found
}

/// Objects without a selector, where a namespace has several.
pub(super) fn without_selector<'s>(
    objects: &[Selecting<'s>],
    code: &'static str,
    skips: impl Fn(&str) -> bool,
) -> Vec<Diagnostic> {
    let mut by_namespace: BTreeMap<&str, Vec<&Arc<Resource>>> = BTreeMap::new();
    for (resource, _) in objects.iter().filter(|(_, selector)| selector.is_none()) {
        let of_namespace = by_namespace.entry(&resource.key.namespace).or_default();
        of_namespace.push(resource);
    }
    let several = by_namespace
        .into_iter()
        .filter(|(namespace, objects)| objects.len() > 1 && !skips(namespace));
    several
        .flat_map(|(namespace, objects)| {
            let names = objects.iter().map(|object| object.key.name.to_string());
            let names = some_of(names).unwrap_or_default();
            objects.into_iter().map(move |resource| {
                let kind = resource.key.kind.name();
                let mut found = finding(
                    code,
                    Level::Error,
                    resource,
                    FieldPath::parse("metadata.name"),
                    format!(
                        "several {kind} objects of namespace {namespace} have no workload selector, of which one counts: {names}"
                    ),
                );
                found.hint = Some("merge them, or give all but one a selector".to_owned());
                found
            })
        })
        .collect()
}

/// A pod with the objects that select it.
pub(super) type Selected<'s> = (Pod<'s>, Vec<&'s Arc<Resource>>);

/// Pods with the objects that select them. An object is in it for some of its pods, if they are many.
pub(super) fn by_pod<'s>(context: &Context<'s>, objects: &[Selecting<'s>]) -> Vec<Selected<'s>> {
    let mut found: BTreeMap<(&str, &str, bool), Selected<'s>> = BTreeMap::new();
    for (resource, selector) in objects {
        let Some(selector) = selector else { continue };
        let pods = context
            .pods()
            .selected_in(&resource.key.namespace, selector);
        for pod in pods {
            let key = (pod.namespace, pod.name, pod.resource.is_some());
            let (_, selecting) = found.entry(key).or_insert_with(|| (pod, Vec::new()));
            selecting.push(resource);
        }
    }
    found.into_values().collect()
}

/// Objects that select the same pods, a finding for each object and pod.
pub(super) fn same_pods<'s>(pods: &[Selected<'s>], code: &'static str) -> Vec<Diagnostic> {
    let mut told: BTreeMap<&ResourceKey, usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut findings = Vec::new();
    for (pod, objects) in pods.iter().filter(|(_, objects)| objects.len() > 1) {
        let names = objects.iter().map(|object| object.key.name.to_string());
        let names = some_of(names).unwrap_or_default();
        for resource in objects {
            let count = told.entry(&resource.key).or_default();
            if *count >= MOST_PODS || !seen.insert((&resource.key, pod.name)) {
                continue;
            }
            *count += 1;
            let kind = resource.key.kind.name();
            let mut found = finding(
                code,
                Level::Error,
                resource,
                FieldPath::parse("metadata.name"),
                format!(
                    "several {kind} objects of namespace {} select pod {}, of which one counts: {names}",
                    pod.namespace, pod.name
                ),
            );
            found.hint = Some("make their selectors exclude each other".to_owned());
            findings.push(found);
        }
    }
    findings
}
