//! Ports of Services from whose name the protocol cannot be told (IST0118, and IST0150 for names outside of the cluster).

use k8s_openapi::api::core::v1::ServicePort;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding, is_of_control_plane};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Object};
use crate::snapshot::{Protocol, select_protocol};

pub(super) const RULE: Rule = Rule {
    name: "service.PortNameAnalyzer",
    summary: "names of Service ports tell their protocol",
    codes: &["IST0118", "IST0150"],
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
        let is_generated = resource
            .meta
            .labels
            .contains_key("gateway.istio.io/managed");
        if is_of_control_plane(&resource.meta) || is_generated {
            continue;
        }
        let is_external = spec.type_.as_deref() == Some("ExternalName");
        for (position, port) in spec.ports.iter().flatten().enumerate() {
            let is_wrong = !is_told(port) || (is_external && port.name.as_deref() == Some("tcp"));
            if !is_wrong {
                continue;
            }
            let path = FieldPath::root().key("spec").key("ports").index(position);
            let (code, level) = if is_external {
                ("IST0150", Level::Warning)
            } else {
                ("IST0118", Level::Info)
            };
            let mut found = finding(code, level, resource, path.key("name"), message(port));
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
