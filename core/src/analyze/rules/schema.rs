//! Objects that Istio's validation refuses (IST0106) or warns of (IST0133), and for VirtualServices also rules that are never used
//! (IST0130) and conditions that add nothing (IST0131).
//!
//! The findings are those of compiling an object, so that analysis and admission say the same.

use super::unreachable;
use crate::analyze::Rule;
use crate::analyze::context::Context;
use crate::diag::Diagnostic;
use crate::resource::Kind;

/// `rule!(Kind, plural in texts)`
macro_rules! rule {
    ($kind:ident, $many:literal) => {
        Rule {
            name: concat!("schema.ValidationAnalyzer.", stringify!($kind)),
            summary: concat!("values of ", $many, " make sense"),
            codes: &["IST0106", "IST0133"],
            check: |context, findings| of(Kind::$kind, context, findings),
        }
    };
}

pub(super) const VIRTUAL_SERVICE: Rule = Rule {
    name: "schema.ValidationAnalyzer.VirtualService",
    summary: "values of VirtualServices make sense, and each of their rules can match",
    codes: &["IST0106", "IST0130", "IST0131", "IST0133"],
    check: |context, findings| {
        of(Kind::VirtualService, context, findings);
        unreachable::check(context, findings);
    },
};

pub(super) const AUTHORIZATION_POLICY: Rule = rule!(AuthorizationPolicy, "AuthorizationPolicies");
pub(super) const BACKEND_TLS_POLICY: Rule = rule!(BackendTlsPolicy, "BackendTLSPolicies");
pub(super) const DESTINATION_RULE: Rule = rule!(DestinationRule, "DestinationRules");
pub(super) const ENVOY_FILTER: Rule = rule!(EnvoyFilter, "EnvoyFilters");
pub(super) const GATEWAY: Rule = rule!(Gateway, "Gateways");
pub(super) const GATEWAY_CLASS: Rule = rule!(GatewayClass, "GatewayClasses");
pub(super) const GRPC_ROUTE: Rule = rule!(GrpcRoute, "GRPCRoutes");
pub(super) const HTTP_ROUTE: Rule = rule!(HttpRoute, "HTTPRoutes");
pub(super) const KUBERNETES_GATEWAY: Rule = rule!(KubernetesGateway, "Gateways of the Gateway API");
pub(super) const LISTENER_SET: Rule = rule!(ListenerSet, "ListenerSets");
pub(super) const PEER_AUTHENTICATION: Rule = rule!(PeerAuthentication, "PeerAuthentications");
pub(super) const PROXY_CONFIG: Rule = rule!(ProxyConfig, "ProxyConfigs");
pub(super) const REFERENCE_GRANT: Rule = rule!(ReferenceGrant, "ReferenceGrants");
pub(super) const REQUEST_AUTHENTICATION: Rule =
    rule!(RequestAuthentication, "RequestAuthentications");
pub(super) const SERVICE_ENTRY: Rule = rule!(ServiceEntry, "ServiceEntries");
pub(super) const SIDECAR: Rule = rule!(Sidecar, "Sidecars");
pub(super) const TCP_ROUTE: Rule = rule!(TcpRoute, "TCPRoutes");
pub(super) const TELEMETRY: Rule = rule!(Telemetry, "Telemetries");
pub(super) const TLS_ROUTE: Rule = rule!(TlsRoute, "TLSRoutes");
pub(super) const TRAFFIC_EXTENSION: Rule = rule!(TrafficExtension, "TrafficExtensions");
pub(super) const UDP_ROUTE: Rule = rule!(UdpRoute, "UDPRoutes");
pub(super) const WASM_PLUGIN: Rule = rule!(WasmPlugin, "WasmPlugins");
pub(super) const WORKLOAD_ENTRY: Rule = rule!(WorkloadEntry, "WorkloadEntries");
pub(super) const WORKLOAD_GROUP: Rule = rule!(WorkloadGroup, "WorkloadGroups");

fn of(kind: Kind, context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for resource in context.snapshot.resources(kind) {
        let found = resource.findings.iter();
        findings.extend(found.filter(|found| found.is_of_schema()).cloned());
    }
}
