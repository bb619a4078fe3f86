//! Hosts of VirtualServices that none of their gateways serves, where these serve others of their hosts (MESH0011). Gateways that serve
//! none of them have a code of Istio's own (IST0132).

use super::virtual_service_gateway::{resolve, served_hosts};
use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::resource::{Kind, Object, ResourceKey};
use crate::snapshot::{MESH_GATEWAY, hosts_overlap};

pub(super) const RULE: Rule = Rule {
    name: "mesh.UnservedHostAnalyzer",
    summary: "some gateway of a VirtualService serves each of its hosts",
    codes: &["MESH0011"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for (resource, object) in context.virtual_services() {
        let own = &*resource.key.namespace;
        if object.gateways.is_empty() || object.gateways.iter().any(|it| it == MESH_GATEWAY) {
            continue;
        }
        let mut served: Vec<String> = Vec::new();
        let mut are_known = true;
        for name in &object.gateways {
            let (namespace, name) = resolve(name, own);
            let key = ResourceKey {
                kind: Kind::Gateway,
                namespace: namespace.into(),
                name: name.into(),
            };
            match context.snapshot.get(&key).map(|gateway| &gateway.object) {
                Some(Object::Gateway(spec)) => served.extend(served_hosts(spec, namespace, own)),
                // What others serve is not known here.
                _ => are_known = false,
            }
        }
        let is_served = |host: &str| {
            let host = host.to_ascii_lowercase();
            served.iter().any(|pattern| hosts_overlap(pattern, &host))
        };
        if !are_known || !object.hosts.iter().any(|host| is_served(host)) {
            continue;
        }
        for (position, host) in object.hosts.iter().enumerate() {
            if is_served(host) {
                continue;
            }
            let mut found = finding(
                "MESH0011",
                Level::Warning,
                resource,
                FieldPath::parse("spec.hosts").index(position),
                format!("no gateway of the VirtualService serves the host {host:?}"),
            );
            found.hint = Some(format!(
                "they serve {}: add the host to one, or add the gateway mesh for clients inside",
                served
                    .iter()
                    .take(5)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(", ")
            ));
            findings.push(found);
        }
    }
}
