//! Ports of Services from whose name the protocol cannot be told (IST0118).

use k8s_openapi::api::core::v1::ServicePort;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Meta, Object};
use crate::snapshot::{Protocol, select_protocol};

pub(super) const RULE: Rule = Rule {
    name: "service.PortNameAnalyzer",
    summary: "names of Service ports tell their protocol",
    codes: &["IST0118"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for resource in context.snapshot.resources(Kind::Service) {
        let Object::Service(service) = &resource.object else {
            continue;
        };
        let Some(spec) = &service.spec else {
            continue;
        };
        // Ports of names outside of the cluster have a rule of their own in Istio.
        if spec.type_.as_deref() == Some("ExternalName") || belongs_to_istio(&resource.meta) {
            continue;
        }
        for (position, port) in spec.ports.iter().flatten().enumerate() {
            if is_told(port) {
                continue;
            }
            let path = FieldPath::root().key("spec").key("ports").index(position);
            let mut found = finding(
                "IST0118",
                Level::Info,
                resource,
                path.key("name"),
                message(port),
            );
            found.hint = Some(
                "name it PROTOCOL or PROTOCOL-SUFFIX, such as http-web, or set appProtocol"
                    .to_owned(),
            );
            findings.push(found);
        }
    }
}

fn is_told(port: &ServicePort) -> bool {
    if !matches!(port.protocol.as_deref(), None | Some("" | "TCP")) {
        return true;
    }
    let name = port.name.as_deref().unwrap_or_default();
    let number = u16::try_from(port.port).unwrap_or(0);
    select_protocol(port.app_protocol.as_deref(), name, number) != Protocol::Detect
}

fn message(port: &ServicePort) -> String {
    let target = match &port.target_port {
        Some(IntOrString::Int(number)) => number.to_string(),
        Some(IntOrString::String(name)) => name.clone(),
        None => port.port.to_string(),
    };
    let number = port.port;
    match port.name.as_deref() {
        None | Some("") => format!(
            "the port has no name that tells its protocol (port: {number}, targetPort: {target})"
        ),
        Some(name) => {
            format!(
                "port name {name:?} does not tell its protocol (port: {number}, targetPort: {target})"
            )
        }
    }
}

/// Services that an installation makes, which nobody is asked to change.
fn belongs_to_istio(meta: &Meta) -> bool {
    meta.labels.contains_key("istio")
        || meta
            .labels
            .get("release")
            .is_some_and(|name| name == "istio")
        || meta.labels.contains_key("gateway.istio.io/managed")
}
