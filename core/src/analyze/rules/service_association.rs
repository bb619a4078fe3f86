//! Deployments whose pods several Services describe differently (IST0116, IST0137).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::ServiceSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::analyze::context::Context;
use crate::analyze::pods::{Pod, has};
use crate::analyze::{Rule, finding};
use crate::authz::template;
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Object, Resource};

pub(super) const RULE: Rule = Rule {
    name: "deployment.MultiServiceAnalyzer",
    summary: "Services agree about the ports of the pods that they share",
    codes: &["IST0116", "IST0137"],
    check,
};

/// A Service with its selector.
type Selecting<'s> = (&'s Arc<Resource>, &'s ServiceSpec);

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    let by_label = by_label(context);
    for resource in context.snapshot.resources(Kind::Deployment) {
        let waypoint = resource.meta.labels.get("gateway.istio.io/managed");
        if waypoint.is_some_and(|by| by == "istio.io-mesh-controller") {
            continue;
        }
        let Some(pod) = template(&resource.object).map(|template| Pod::made(resource, template))
        else {
            continue;
        };
        if !pod.is_in_mesh(context.namespaces()) {
            continue;
        }
        let services = selecting(&by_label, &pod);
        findings.extend(protocols(resource, &services));
        findings.extend(targets(resource, &services));
    }
}

/// Services by namespace and one label of their selectors.
fn by_label<'s>(
    context: &Context<'s>,
) -> BTreeMap<(&'s str, &'s str, &'s str), Vec<Selecting<'s>>> {
    let mut found: BTreeMap<_, Vec<Selecting<'_>>> = BTreeMap::new();
    for resource in context.snapshot.resources(Kind::Service) {
        let Object::Service(service) = &resource.object else {
            continue;
        };
        let Some(spec) = &service.spec else { continue };
        let first = spec.selector.iter().flatten().next();
        if let Some((key, value)) = first {
            let place = (&*resource.key.namespace, key.as_str(), value.as_str());
            found.entry(place).or_default().push((resource, spec));
        }
    }
    found
}

/// The Services that select a pod.
fn selecting<'s>(
    by_label: &BTreeMap<(&'s str, &'s str, &'s str), Vec<Selecting<'s>>>,
    pod: &Pod<'_>,
) -> Vec<Selecting<'s>> {
    let candidates = pod
        .labels
        .iter()
        .filter_map(|(key, value)| by_label.get(&(pod.namespace, key.as_str(), value.as_str())));
    candidates
        .flatten()
        .filter(|(_, spec)| {
            let selector = spec.selector.as_ref();
            selector.is_some_and(|selector| has(pod.labels, selector))
        })
        .copied()
        .collect()
}

/// Ports that Services use with different protocols.
fn protocols(resource: &Resource, services: &[Selecting<'_>]) -> Vec<Diagnostic> {
    let mut ports: BTreeMap<i32, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for (service, spec) in services {
        for port in spec.ports.iter().flatten() {
            let protocol = port.protocol.as_deref().filter(|it| !it.is_empty());
            let of_port = ports.entry(port.port).or_default();
            let names = of_port.entry(protocol.unwrap_or("TCP")).or_default();
            names.insert(&service.key.name);
        }
    }
    let conflicting = ports.iter().filter(|(_, protocols)| protocols.len() > 1);
    conflicting
        .map(|(port, protocols)| {
            let names: BTreeSet<&str> = protocols.values().flatten().copied().collect();
            let mut found = finding(
                "IST0116",
                Level::Warning,
                resource,
                FieldPath::parse("metadata.name"),
                format!(
                    "port {port} of the pods has the protocols {} by the Services {}",
                    list(protocols.keys()),
                    list(&names)
                ),
            );
            found.hint = Some("use different ports for different protocols".to_owned());
            found
        })
        .collect()
}

/// Ports of the pods that Services call by different numbers.
fn targets(resource: &Resource, services: &[Selecting<'_>]) -> Vec<Diagnostic> {
    let mut targets: BTreeMap<String, BTreeMap<i32, &str>> = BTreeMap::new();
    for (service, spec) in services {
        for port in spec.ports.iter().flatten() {
            let target = match &port.target_port {
                Some(IntOrString::Int(number)) if *number != 0 => number.to_string(),
                Some(IntOrString::String(name)) if !name.is_empty() => name.clone(),
                _ => port.port.to_string(),
            };
            targets
                .entry(target)
                .or_default()
                .insert(port.port, &service.key.name);
        }
    }
    let conflicting = targets.iter().filter(|(_, ports)| ports.len() > 1);
    conflicting
        .map(|(target, ports)| {
            let names: BTreeSet<&str> = ports.values().copied().collect();
            let mut found = finding(
                "IST0137",
                Level::Warning,
                resource,
                FieldPath::parse("metadata.name"),
                format!(
                    "target port {target:?} of the pods is behind the ports {} of the Services {}",
                    list(ports.keys()),
                    list(&names)
                ),
            );
            found.hint = Some("reach one target port by the same port of each Service".to_owned());
            found
        })
        .collect()
}

fn list(items: impl IntoIterator<Item = impl ToString>) -> String {
    let texts: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    texts.join(", ")
}
