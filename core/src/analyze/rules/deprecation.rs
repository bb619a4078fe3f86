//! Fields and kinds that Istio has given up (IST0002).

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::install::OWNER_LABEL;
use crate::resource::{Kind, Object, Resource};

pub(super) const RULE: Rule = Rule {
    name: "deprecation.DeprecationAnalyzer",
    summary: "nothing is used that Istio has given up",
    codes: &["IST0002"],
    check,
};

/// Group of kinds that AuthorizationPolicy took the place of.
const OLD_GROUP: &str = "rbac.istio.io";
const OLD_KINDS: [&str; 4] = [
    "ClusterRbacConfig",
    "RbacConfig",
    "ServiceRole",
    "ServiceRoleBinding",
];

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for (resource, service) in context.virtual_services() {
        for (position, rule) in service.http.iter().enumerate() {
            let delay = rule.fault.as_ref().and_then(|fault| fault.delay.as_ref());
            if delay.is_some_and(|delay| delay.percent.is_some_and(|percent| percent > 0)) {
                let path = FieldPath::parse("spec.http").index(position);
                let path = path.key("fault").key("delay").key("percent");
                let message = "fault.delay.percent is deprecated: percentage takes its place";
                findings.push(deprecated(resource, path, message.to_owned()));
            }
        }
    }
    for resource in context.snapshot.resources(Kind::Sidecar) {
        let Object::Sidecar(sidecar) = &resource.object else {
            continue;
        };
        let policy = sidecar.outbound_traffic_policy.as_ref();
        if policy.is_some_and(|policy| policy.egress_proxy.is_some()) {
            let path = FieldPath::parse("spec.outboundTrafficPolicy.egressProxy");
            let message = "outboundTrafficPolicy.egressProxy is ignored";
            findings.push(deprecated(resource, path, message.to_owned()));
        }
    }
    for resource in context.snapshot.resources(Kind::CustomResourceDefinition) {
        let text = |pointer: &str| resource.raw.pointer(pointer).and_then(|it| it.as_str());
        let kind = text("/spec/names/kind").unwrap_or_default();
        // Those of our own installation are there because somebody asked for them.
        let is_ours = resource.meta.labels.contains_key(OWNER_LABEL);
        if text("/spec/group") == Some(OLD_GROUP) && OLD_KINDS.contains(&kind) && !is_ours {
            let path = FieldPath::parse("spec.names.kind");
            let message = format!(
                "{kind} of {OLD_GROUP} has been removed: AuthorizationPolicy takes its place"
            );
            findings.push(deprecated(resource, path, message));
        }
    }
}

fn deprecated(resource: &Resource, path: FieldPath, message: String) -> Diagnostic {
    finding("IST0002", Level::Warning, resource, path, message)
}
