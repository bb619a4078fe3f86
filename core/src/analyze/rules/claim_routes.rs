//! Routes by claims of tokens at gateways that check no tokens (IST0149).

use std::collections::BTreeMap;

use super::virtual_service_gateway::resolve;
use crate::analyze::context::Context;
use crate::analyze::pods::{Pod, has};
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::VirtualServiceSpec;
use crate::resource::{Kind, Object, ResourceKey};
use crate::snapshot::MESH_GATEWAY;

pub(super) const RULE: Rule = Rule {
    name: "virtualservice.JWTClaimRouteAnalyzer",
    summary: "gateways with routes by claims check tokens",
    codes: &["IST0149"],
    check,
};

/// Most pods of one gateway that are told.
const MOST_PODS: usize = 10;

type Labels = BTreeMap<String, String>;

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    let mut policies: BTreeMap<&str, Vec<Option<&Labels>>> = BTreeMap::new();
    for resource in context.snapshot.resources(Kind::RequestAuthentication) {
        if let Object::RequestAuthentication(spec) = &resource.object {
            let labels = spec
                .selector
                .as_ref()
                .map(|selector| &selector.match_labels);
            let of_namespace = policies.entry(&resource.key.namespace).or_default();
            of_namespace.push(labels);
        }
    }
    let root = context.snapshot.mesh().root_namespace();
    let is_checked = |pod: &Pod<'_>| {
        let of = |namespace: &str| policies.get(namespace).into_iter().flatten();
        let mut all = of(root).chain(of(pod.namespace));
        all.any(|labels| labels.is_none_or(|labels| has(pod.labels, labels)))
    };
    for (resource, service) in context.virtual_services() {
        let Some((key, path)) = claim(service) else {
            continue;
        };
        for name in service.gateways.iter().filter(|name| *name != MESH_GATEWAY) {
            let (namespace, bare) = resolve(name, &resource.key.namespace);
            let gateway = ResourceKey {
                kind: Kind::Gateway,
                namespace: namespace.into(),
                name: bare.into(),
            };
            let Some(Object::Gateway(spec)) = context
                .snapshot
                .get(&gateway)
                .map(|gateway| &gateway.object)
            else {
                continue;
            };
            let pods = context.pods().selected(&spec.selector);
            for pod in pods.filter(|pod| !is_checked(pod)).take(MOST_PODS) {
                let mut found = finding(
                    "IST0149",
                    Level::Error,
                    resource,
                    path.clone(),
                    format!(
                        "the claim {key:?} decides, and no RequestAuthentication checks tokens at pod {} of Gateway {namespace}/{bare}",
                        pod.name
                    ),
                );
                found.hint = Some(
                    "add a RequestAuthentication for the pods of the gateway: without one no request has claims"
                        .to_owned(),
                );
                findings.push(found);
            }
        }
    }
}

/// The first claim that a rule looks at.
fn claim(service: &VirtualServiceSpec) -> Option<(&str, FieldPath)> {
    for (at, rule) in service.http.iter().enumerate() {
        for (position, condition) in rule.matches.iter().enumerate() {
            let path = FieldPath::parse("spec.http").index(at);
            let path = path.key("match").index(position);
            for (field, headers) in [
                ("headers", &condition.headers),
                ("withoutHeaders", &condition.without_headers),
            ] {
                if let Some(key) = headers.keys().find(|key| is_claim(key)) {
                    return Some((key, path.key(field).key(key.as_str())));
                }
            }
        }
    }
    None
}

/// Whether a header stands for a claim: `@request.auth.claims.NAME` or `@request.auth.claims[NAME]`.
fn is_claim(header: &str) -> bool {
    let Some(prefix) = header.get(..CLAIMS.len()) else {
        return false;
    };
    prefix.eq_ignore_ascii_case(CLAIMS) && header[CLAIMS.len()..].starts_with(['.', '['])
}

const CLAIMS: &str = "@request.auth.claims";
