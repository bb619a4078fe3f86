//! VirtualServices that name a gateway that does not exist (IST0101), or that serves none of their hosts (IST0132).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::analyze::context::Context;
use crate::analyze::routes::gateways;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::{GatewaySpec, VirtualServiceSpec, gateway_api};
use crate::resource::{Kind, Object, Resource};
use crate::snapshot::{MESH_GATEWAY, hosts_overlap};

pub(super) const RULE: Rule = Rule {
    name: "virtualservice.GatewayAnalyzer",
    summary: "gateways of VirtualServices exist and serve one of their hosts",
    codes: &["IST0101", "IST0132"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    // Of one name in both groups Istio's counts.
    let gateways_by_name = [Kind::KubernetesGateway, Kind::Gateway]
        .into_iter()
        .flat_map(|kind| context.snapshot.resources(kind));
    let all: BTreeMap<(&str, &str), &Arc<Resource>> = gateways_by_name
        .map(|gateway| ((&*gateway.key.namespace, &*gateway.key.name), gateway))
        .collect();
    for (resource, object) in context.virtual_services() {
        for (name, path) in gateways(object) {
            if name == MESH_GATEWAY {
                continue;
            }
            let key = resolve(name, &resource.key.namespace);
            let Some(gateway) = all.get(&key) else {
                findings.push(unknown(context, name, path.clone(), resource));
                findings.extend(unserved(resource, object, key, path));
                continue;
            };
            let served = match &gateway.object {
                Object::Gateway(spec) => serves(spec, key.0, object, &resource.key.namespace),
                Object::KubernetesGateway(spec) => listens_for(spec, object),
                _ => true,
            };
            if !served {
                findings.extend(unserved(resource, object, key, path));
            }
        }
    }
}

/// Namespace and name of a gateway: `NAME`, `NAMESPACE/NAME`, `./NAME`, or the old `NAME.NAMESPACE[.svc.DOMAIN]`.
fn resolve<'n>(name: &'n str, own: &'n str) -> (&'n str, &'n str) {
    if let Some((namespace, name)) = name.split_once('/') {
        return (if namespace == "." { own } else { namespace }, name);
    }
    match name.split_once('.') {
        Some((name, rest)) => (rest.split('.').next().unwrap_or(rest), name),
        None => (own, name),
    }
}

fn unknown(context: &Context<'_>, name: &str, path: FieldPath, resource: &Resource) -> Diagnostic {
    let mut found = finding(
        "IST0101",
        Level::Error,
        resource,
        path,
        format!("Referenced gateway not found: {name:?}"),
    );
    let existing = context.snapshot.resources(Kind::Gateway);
    let (_, bare) = resolve(name, &resource.key.namespace);
    let elsewhere = existing.iter().find(|gateway| &*gateway.key.name == bare);
    let similar = || {
        let names = existing.iter().map(|gateway| &*gateway.key.name);
        let similar = context.similar(bare, names)?;
        existing
            .iter()
            .find(|gateway| &*gateway.key.name == similar)
    };
    found.hint = elsewhere.or_else(similar).map(|gateway| {
        let key = &gateway.key;
        if key.namespace == resource.key.namespace {
            format!("did you mean {:?}?", &*key.name)
        } else {
            format!("did you mean \"{}/{}\"?", key.namespace, key.name)
        }
    });
    found
}

fn unserved(
    resource: &Resource,
    object: &VirtualServiceSpec,
    (namespace, name): (&str, &str),
    path: FieldPath,
) -> Option<Diagnostic> {
    if object.hosts.is_empty() {
        return None;
    }
    Some(finding(
        "IST0132",
        Level::Warning,
        resource,
        path,
        format!(
            "no server of Gateway {namespace}/{name} serves any of the hosts: {}",
            object.hosts.join(", ")
        ),
    ))
}

/// Whether some listener of a gateway of the Gateway API is for some host of a VirtualService. One without a host is for all.
fn listens_for(gateway: &gateway_api::GatewaySpec, object: &VirtualServiceSpec) -> bool {
    gateway.listeners.iter().any(|listener| {
        let pattern = listener
            .hostname
            .as_ref()
            .map(|host| host.to_ascii_lowercase());
        pattern.is_none_or(|pattern| is_for(&pattern, object))
    })
}

/// Whether a host or pattern is one of a VirtualService's, or overlaps with one.
fn is_for(pattern: &str, object: &VirtualServiceSpec) -> bool {
    let mut hosts = object.hosts.iter();
    hosts.any(|host| hosts_overlap(pattern, &host.to_ascii_lowercase()))
}

/// Whether some server of a gateway is for some host of a VirtualService. A server's host may be for the VirtualServices of
/// one namespace only.
fn serves(
    gateway: &GatewaySpec,
    gateway_namespace: &str,
    object: &VirtualServiceSpec,
    namespace: &str,
) -> bool {
    let mut offers = gateway.servers.iter().flat_map(|server| &server.hosts);
    offers.any(|offer| {
        let (scope, pattern) = offer.split_once('/').unwrap_or(("*", offer));
        let in_scope = match scope {
            "*" => true,
            "." => gateway_namespace == namespace,
            scope => scope == namespace,
        };
        in_scope && is_for(&pattern.to_ascii_lowercase(), object)
    })
}
