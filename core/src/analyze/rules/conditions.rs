//! Objects whose status says that they are not accepted (IST0171).

use serde_json::Value;

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Resource};

pub(super) const RULE: Rule = Rule {
    name: "conditions.ConditionAnalyzer",
    summary: "no status says that an object is not accepted",
    codes: &["IST0171"],
    check,
};

const WAYPOINT: &[&str] = &["istio.io/WaypointBound"];
const GATEWAY_API: &[&str] = &["Accepted", "Programmed", "ResolvedRefs"];

/// Kinds with the conditions that are looked at.
const KINDS: [(Kind, &[&str]); 6] = [
    (Kind::Service, WAYPOINT),
    (Kind::ServiceEntry, WAYPOINT),
    (
        Kind::AuthorizationPolicy,
        &["ZtunnelAccepted", "WaypointAccepted"],
    ),
    (Kind::KubernetesGateway, GATEWAY_API),
    (Kind::HttpRoute, GATEWAY_API),
    (Kind::GrpcRoute, GATEWAY_API),
];

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for (kind, names) in KINDS {
        for resource in context.snapshot.resources(kind) {
            for (path, condition) in conditions(resource) {
                let text = |name: &str| condition[name].as_str().unwrap_or_default();
                let (name, reason) = (text("type"), text("reason"));
                let is_false = names.contains(&name) && text("status") == "False";
                let is_partial = kind == Kind::AuthorizationPolicy
                    && name == "WaypointAccepted"
                    && reason == "PartiallyInvalid";
                if is_false || is_partial {
                    let message = text("message");
                    findings.push(finding(
                        "IST0171",
                        Level::Warning,
                        resource,
                        path,
                        format!("the status says {name}: {reason}: {message}"),
                    ));
                }
            }
        }
    }
}

/// All conditions with their paths: of an object, or of a route by each parent.
fn conditions(resource: &Resource) -> Vec<(FieldPath, &Value)> {
    let status = &resource.raw["status"];
    let path = FieldPath::root().key("status");
    let mut found = list(&status["conditions"], &path);
    let parents = status["parents"].as_array();
    for (at, parent) in parents.into_iter().flatten().enumerate() {
        let path = path.key("parents").index(at);
        found.extend(list(&parent["conditions"], &path));
    }
    found
}

fn list<'v>(conditions: &'v Value, path: &FieldPath) -> Vec<(FieldPath, &'v Value)> {
    let conditions = conditions.as_array().into_iter().flatten().enumerate();
    conditions
        .map(|(at, condition)| (path.key("conditions").index(at), condition))
        .collect()
}
