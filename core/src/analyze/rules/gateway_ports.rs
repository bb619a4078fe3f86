//! Ports of Gateways that no Service in front of their pods exposes (IST0162).

use std::collections::BTreeSet;

use super::gateway_selector::unselected;
use crate::analyze::context::Context;
use crate::analyze::pods::{Pod, selector_text};
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::GatewaySpec;
use crate::resource::{Kind, Resource};
use crate::snapshot::{Registry, TargetPort};

pub(super) const RULE: Rule = Rule {
    name: "gateway.IngressGatewayPortAnalyzer",
    summary: "Gateways select pods, and Services in front of these expose the ports",
    codes: &["IST0101", "IST0162"],
    check,
};

/// Ports of the Service that every installation has for its ingress gateway.
const INGRESS_PORTS: [u16; 4] = [80, 443, 31400, 15443];

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for (resource, gateway) in context.gateways() {
        check_one(context, resource, gateway, findings);
    }
}

fn check_one(
    context: &Context<'_>,
    resource: &Resource,
    gateway: &GatewaySpec,
    findings: &mut Vec<Diagnostic>,
) {
    let mut exposed: BTreeSet<u32> = BTreeSet::new();
    let mut is_selected = false;
    for pod in context.pods().selected(&gateway.selector) {
        is_selected = true;
        exposed.extend(exposed_by(context, &pod));
    }
    if !is_selected {
        findings.push(unselected(resource, gateway));
        return;
    }
    let mut told = BTreeSet::new();
    for (position, server) in gateway.servers.iter().enumerate() {
        let number = server.port.number;
        if number == 0 || exposed.contains(&number) || !told.insert(number) {
            continue;
        }
        let path = FieldPath::parse("spec.servers").index(position);
        let mut found = finding(
            "IST0162",
            Level::Warning,
            resource,
            path.key("port").key("number"),
            format!(
                "port {number} is not a port of any Service in front of the gateway's pods (selector {})",
                selector_text(&gateway.selector)
            ),
        );
        found.hint = Some(hint(&exposed));
        findings.push(found);
    }
}

fn hint(exposed: &BTreeSet<u32>) -> String {
    let ports: Vec<String> = exposed.iter().map(u32::to_string).collect();
    if ports.is_empty() {
        "no Service selects the gateway's pods".to_owned()
    } else {
        format!("Services have the ports {}", ports.join(", "))
    }
}

/// The ports of a pod that Services of its namespace lead to.
fn exposed_by(context: &Context<'_>, pod: &Pod<'_>) -> BTreeSet<u32> {
    let services = context
        .snapshot
        .services_selecting(pod.namespace, pod.labels);
    let mut ports: BTreeSet<u32> = services
        .iter()
        .filter(|service| service.registry == Registry::Kubernetes)
        .flat_map(|service| &service.ports)
        .flat_map(|port| {
            let target = match port.target {
                TargetPort::Number(number) => Some(number),
                // Which number a name stands for is the pods' to say.
                TargetPort::Name(_) => None,
            };
            // A gateway listens behind the Service's port where its server has this one.
            [Some(port.port), target]
        })
        .flatten()
        .map(u32::from)
        .collect();
    let is_ingress = pod
        .labels
        .get("istio")
        .is_some_and(|name| name == "ingressgateway");
    if is_ingress && pod.namespace == context.istio_namespace && context.lacks_ingress_service() {
        ports.extend(INGRESS_PORTS.map(u32::from));
    }
    ports
}

// === impl Context ===

impl Context<'_> {
    /// Whether the Service of the ingress gateway is assumed.
    fn lacks_ingress_service(&self) -> bool {
        let services = self.snapshot.resources(Kind::Service);
        self.has_ingress()
            && !services.iter().any(|service| {
                &*service.key.name == "istio-ingressgateway"
                    && &*service.key.namespace == self.istio_namespace
            })
    }
}
