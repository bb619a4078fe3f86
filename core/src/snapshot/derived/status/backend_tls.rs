//! BackendTLSPolicies, told for each Gateway whose routes lead to their Services.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::condition::{Condition, conditions};
use super::route::Attached;
use super::{errors, generation};
use crate::model::gateway_api::BackendTlsPolicySpec;
use crate::resource::{Kind, Object, Resource, ResourceKey};
use crate::snapshot::derived::Deriver;
use crate::snapshot::derived::backend_tls::{is_first, is_service, trusted};
use crate::snapshot::derived::classes::CONTROLLER;

/// Most ancestors that a status has room for.
const MOST: usize = 16;

pub(super) fn all<'a>(
    deriver: &Deriver<'a>,
    attached: &Attached,
) -> Vec<(&'a Arc<Resource>, Value)> {
    let policies = deriver.objects.of(Kind::BackendTlsPolicy).iter();
    policies
        .filter_map(|resource| match &resource.object {
            Object::BackendTlsPolicy(spec) => Some((resource, &**spec)),
            _ => None,
        })
        .map(|(resource, spec)| (resource, status(deriver, resource, spec, attached)))
        .collect()
}

fn status(
    deriver: &Deriver<'_>,
    resource: &Resource,
    spec: &BackendTlsPolicySpec,
    attached: &Attached,
) -> Value {
    let namespace = &*resource.key.namespace;
    let services = spec.target_refs.iter().filter(|target| is_service(target));
    let gateways: BTreeSet<&ResourceKey> = services
        .flat_map(|target| attached.gateways_of(namespace, &target.name))
        .collect();
    let references = references(deriver, namespace, spec);
    let accepted = accepted(deriver, resource, spec).and_then(|()| {
        references
            .clone()
            .map_err(|(_, message)| ("NoValidCACertificate", message))
    });
    let all = conditions(
        generation(resource),
        [
            Condition::of("Accepted", accepted.map(|()| "The policy is in force")),
            Condition::of(
                "ResolvedRefs",
                references.map(|()| "All references are resolved"),
            ),
        ],
    );
    let ancestors = gateways.into_iter().take(MOST).map(|key| {
        json!({
            "ancestorRef": {
                "group": "gateway.networking.k8s.io", "kind": "Gateway",
                "namespace": &*key.namespace, "name": &*key.name,
            },
            "controllerName": CONTROLLER,
            "conditions": all,
        })
    });
    json!({"ancestors": ancestors.collect::<Vec<_>>()})
}

fn accepted(
    deriver: &Deriver<'_>,
    resource: &Resource,
    spec: &BackendTlsPolicySpec,
) -> Result<(), (&'static str, String)> {
    if resource.is_refused() {
        return Err(("Invalid", errors(resource)));
    }
    let mut targets = spec.target_refs.iter();
    let taken = targets.find(|target| !is_first(deriver, resource, target));
    if let Some(target) = taken {
        let message = format!("an older policy is for the same {}", &*target.name);
        return Err(("Conflicted", message));
    }
    for target in &spec.target_refs {
        let (namespace, name) = (&*resource.key.namespace, &*target.name);
        let port = target.section_name.as_deref();
        let missing = match port {
            _ if !is_service(target) => Some(format!("{} is no Service", name)),
            _ if deriver
                .objects
                .find(Kind::Service, namespace, name)
                .is_none() =>
            {
                Some(format!("there is no Service {name} in {namespace}"))
            }
            Some(port) if deriver.named_port(namespace, name, port).is_none() => Some(format!(
                "the Service {name} in {namespace} has no port {port}"
            )),
            _ => None,
        };
        if let Some(message) = missing {
            return Err(("TargetNotFound", message));
        }
    }
    Ok(())
}

/// Whether the authorities are there.
fn references(
    deriver: &Deriver<'_>,
    namespace: &str,
    spec: &BackendTlsPolicySpec,
) -> Result<(), (&'static str, String)> {
    let validation = &spec.validation;
    match validation.well_known_ca_certificates.as_deref() {
        Some("System") => return Ok(()),
        Some(name) => {
            let message = format!("wellKnownCACertificates can be System, not {name}");
            return Err(("InvalidCACertificateRef", message));
        }
        None => {}
    }
    let mut references = validation.ca_certificate_refs.iter();
    let is_other = |kind: &str, group: &str| !group.is_empty() || kind != "ConfigMap";
    let other = references.find(|one| is_other(&one.kind, &one.group));
    if let Some(other) = other {
        let message = format!("authorities are in ConfigMaps, not in {}", &*other.kind);
        return Err(("InvalidKind", message));
    }
    for reference in &validation.ca_certificate_refs {
        let found = trusted(deriver.objects, namespace, &reference.name);
        found.map_err(|wrong| ("InvalidCACertificateRef", wrong))?;
    }
    Ok(())
}
