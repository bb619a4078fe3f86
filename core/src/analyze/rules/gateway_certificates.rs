//! Gateways that serve the same certificate: a client that keeps its connection to one may ask it for a host of the other (IST0138).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::analyze::context::Context;
use crate::analyze::pods::has;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::{GatewaySpec, ServerTls};
use crate::resource::Resource;

pub(super) const RULE: Rule = Rule {
    name: "gateway.CertificateAnalyzer",
    summary: "no two Gateways of the same pods serve the same certificate",
    codes: &["IST0138"],
    check,
};

/// Most others that are told of one Gateway.
const MOST: usize = 5;

/// Most others that one Gateway is compared with.
const MOST_COMPARED: usize = 1000;

/// A certificate by its Secret, or by its files.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Certificate<'s> {
    Secret(&'s str),
    Files(&'s str, &'s str),
}

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    let mut having: BTreeMap<Certificate<'_>, Vec<(&Arc<Resource>, &GatewaySpec)>> =
        BTreeMap::new();
    for (resource, gateway) in context.gateways() {
        let tls = gateway
            .servers
            .iter()
            .filter_map(|server| server.tls.as_ref());
        for certificate in tls.filter_map(certificate) {
            let gateways = having.entry(certificate).or_default();
            if gateways
                .last()
                .is_none_or(|(last, _)| last.key != resource.key)
            {
                gateways.push((resource, gateway));
            }
        }
    }
    for gateways in having.values() {
        for (resource, gateway) in gateways {
            // A Gateway whose selector has more labels is for some of the same pods.
            let others = gateways.iter().take(MOST_COMPARED).filter(|(other, spec)| {
                other.key != resource.key && has(&spec.selector, &gateway.selector)
            });
            for (other, _) in others.take(MOST) {
                findings.push(shared(resource, other));
            }
        }
    }
}

fn shared(resource: &Resource, other: &Resource) -> Diagnostic {
    let name = |resource: &Resource| format!("{}/{}", resource.key.namespace, resource.key.name);
    let mut found = finding(
        "IST0138",
        Level::Warning,
        resource,
        FieldPath::parse("metadata.name"),
        format!(
            "Gateways {} and {} serve the same certificate: clients that keep HTTP/2 connections may be answered with 404",
            name(resource),
            name(other)
        ),
    );
    found.hint =
        Some("put the hosts into one Gateway, or give each a certificate of its own".to_owned());
    found
}

fn certificate(tls: &ServerTls) -> Option<Certificate<'_>> {
    let given = |text: &'_ Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if given(&tls.credential_name) {
        return tls.credential_name.as_deref().map(Certificate::Secret);
    }
    if given(&tls.server_certificate) && given(&tls.private_key) {
        let certificate = tls.server_certificate.as_deref()?;
        return Some(Certificate::Files(certificate, tls.private_key.as_deref()?));
    }
    None
}
