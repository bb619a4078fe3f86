//! DestinationRules for hosts that nobody has (IST0174), and subsets whose labels no pod has: requests to them are answered with 503
//! (IST0173).

use std::collections::BTreeMap;

use crate::analyze::context::Context;
use crate::analyze::pods::{has, selector_text};
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::{DestinationRuleSpec, ServiceEntrySpec};
use crate::resource::{Kind, Object, Resource};
use crate::snapshot::{MeshService, is_wildcard};

pub(super) const RULE: Rule = Rule {
    name: "destinationrule.SubsetSelectPodAnalyzer",
    summary: "hosts of DestinationRules exist, and labels of subsets are labels of pods",
    codes: &["IST0173", "IST0174"],
    check,
};

type Labels = BTreeMap<String, String>;

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for resource in context.snapshot.resources(Kind::DestinationRule) {
        let Object::DestinationRule(rule) = &resource.object else {
            continue;
        };
        if rule.host.is_empty() {
            continue;
        }
        let own = &*resource.key.namespace;
        let host = context.expand(&rule.host, own);
        let namespaces = rule.export_to.iter().map(String::as_str);
        let namespaces = namespaces.filter(|name| !matches!(*name, "*" | "." | "~"));
        let service = context.service(&host, std::iter::once(own).chain(namespaces));
        match service {
            None if covers_any(context, &host) || context.is_given(&host) => {}
            None if context.has_service(&host, own) => {}
            None => findings.push(unknown(context, resource, rule, &host)),
            Some(service) => {
                for (position, subset) in rule.subsets.iter().enumerate() {
                    if !can_serve(context, service, &subset.labels) {
                        findings.push(without_pods(resource, rule, position));
                    }
                }
            }
        }
    }
}

/// Whether a pattern is for some host that there is.
fn covers_any(context: &Context<'_>, pattern: &str) -> bool {
    is_wildcard(pattern) && context.snapshot.hosts_covered_by(pattern).next().is_some()
}

fn unknown(
    context: &Context<'_>,
    resource: &Resource,
    rule: &DestinationRuleSpec,
    host: &str,
) -> Diagnostic {
    let mut found = finding(
        "IST0174",
        Level::Warning,
        resource,
        FieldPath::parse("spec.host"),
        format!("no service has the host {:?}", rule.host),
    );
    let services = context
        .snapshot
        .services_visible_from(&resource.key.namespace);
    let similar = context.similar(host, services.map(|service| &*service.host));
    found.hint = similar.map(|host| format!("did you mean {host:?}?"));
    found
}

fn without_pods(resource: &Resource, rule: &DestinationRuleSpec, position: usize) -> Diagnostic {
    let subset = &rule.subsets[position];
    let path = FieldPath::parse("spec.subsets").index(position);
    let name = &subset.name;
    let mut found = finding(
        "IST0173",
        Level::Error,
        resource,
        path.key("labels"),
        format!("subset {name:?} selects no pods, so requests to it are answered with 503"),
    );
    found.hint = Some(format!(
        "no pod has the labels {}",
        selector_text(&subset.labels)
    ));
    found
}

/// Whether some instance of a service may have the labels of a subset.
fn can_serve(context: &Context<'_>, service: &MeshService, labels: &Labels) -> bool {
    let object = context.snapshot.get(&service.object);
    match object.map(|resource| &resource.object) {
        Some(Object::ServiceEntry(entry)) => entry_serves(context, entry, labels),
        // Without a selector somebody lists the addresses.
        Some(_) if service.selector.is_empty() => {
            let slices = context.snapshot.resources(Kind::EndpointSlice);
            let mut slices = slices.iter();
            slices.any(|slice| {
                let of = slice.meta.labels.get("kubernetes.io/service-name");
                slice.key.namespace == service.namespace && of == Some(&service.name.to_string())
            }) || context.pods().any_with(labels)
        }
        _ => context.pods().any_with(labels),
    }
}

/// Whether an endpoint that an entry lists, or a workload that it selects, has labels.
fn entry_serves(context: &Context<'_>, entry: &ServiceEntrySpec, labels: &Labels) -> bool {
    let Some(selector) = &entry.workload_selector else {
        let mut endpoints = entry.endpoints.iter();
        return endpoints.any(|endpoint| has(&endpoint.labels, labels))
            || context.pods().any_with(labels);
    };
    let mut wanted = selector.labels.clone();
    wanted.extend(labels.clone());
    let entries = context.snapshot.resources(Kind::WorkloadEntry);
    let mut entries = entries.iter();
    entries.any(|workload| match &workload.object {
        Object::WorkloadEntry(spec) => {
            has(&spec.labels, &wanted) || has(&workload.meta.labels, &wanted)
        }
        _ => false,
    }) || context.pods().any_with(&wanted)
}
