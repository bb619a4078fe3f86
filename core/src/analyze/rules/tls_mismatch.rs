//! DestinationRules whose TLS is not what the servers take (MESH0014).

use mesh_ir::policy::PeerAuthenticationMode;

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::ClientTlsMode;
use crate::resource::{Kind, Object};
use crate::snapshot::Registry;

pub(super) const RULE: Rule = Rule {
    name: "mesh.TlsModeAnalyzer",
    summary: "DestinationRules connect as the servers want it",
    codes: &["MESH0014"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for resource in context.snapshot.resources(Kind::DestinationRule) {
        let Object::DestinationRule(rule) = &resource.object else {
            continue;
        };
        let policy = rule.traffic_policy.as_ref();
        let Some(tls) = policy.and_then(|policy| policy.tls.as_ref()) else {
            continue;
        };
        let host = context.expand(&rule.host, &resource.key.namespace);
        let service = context.service(&host, [&*resource.key.namespace]);
        // Patterns are for hosts of different servers.
        let Some(service) = service.filter(|service| {
            service.registry == Registry::Kubernetes
                && !service.selector.is_empty()
                && *service.host == *host
        }) else {
            continue;
        };
        let mut pods = context
            .pods()
            .selected_in(&service.namespace, &service.selector);
        let labels = pods.next().map_or(&service.selector, |pod| pod.labels);
        let server = context
            .snapshot
            .peer_authentication(&service.namespace, labels);
        // Single ports that differ have settings of their own in the rule as well.
        if !server.ports.is_empty() {
            continue;
        }
        let (says, hint) = match (tls.mode, server.mode) {
            (ClientTlsMode::Disable, PeerAuthenticationMode::Strict) => (
                "clients connect without TLS, and the servers take nothing but mutual TLS",
                "remove tls: proxies use mutual TLS of their own accord, or set mode ISTIO_MUTUAL",
            ),
            (ClientTlsMode::Simple | ClientTlsMode::Mutual, PeerAuthenticationMode::Strict) => (
                "clients connect by TLS of their own, and the servers take nothing but the mesh's mutual TLS",
                "set mode ISTIO_MUTUAL, or remove tls",
            ),
            (ClientTlsMode::IstioMutual, PeerAuthenticationMode::Disable) => (
                "clients connect by mutual TLS, and the servers take none",
                "set mode DISABLE, or take the PeerAuthentication with mode DISABLE away",
            ),
            _ => continue,
        };
        let mut found = finding(
            "MESH0014",
            Level::Error,
            resource,
            FieldPath::parse("spec.trafficPolicy.tls.mode"),
            format!("{says}: requests to {} are answered with 503", rule.host),
        );
        found.hint = Some(hint.to_owned());
        findings.push(found);
    }
}
