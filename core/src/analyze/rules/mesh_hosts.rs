//! Several VirtualServices for the same host inside the mesh: sidecars apply only one of them (IST0109).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::snapshot::{MeshVirtualService, Visibility};

pub(super) const RULE: Rule = Rule {
    name: "virtualservice.ConflictingMeshGatewayHostsAnalyzer",
    summary: "no two VirtualServices are for the same host inside the mesh",
    codes: &["IST0109"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    let mut by_host: BTreeMap<&str, Vec<(&Arc<MeshVirtualService>, usize)>> = BTreeMap::new();
    let in_mesh = context.snapshot.virtual_services().iter();
    for service in in_mesh.filter(|service| service.is_for_mesh()) {
        for (position, host) in service.hosts.iter().enumerate() {
            let all = by_host.entry(host).or_default();
            // A host that is repeated in one object is validation's to say.
            if !all.iter().any(|(other, _)| Arc::ptr_eq(other, service)) {
                all.push((service, position));
            }
        }
    }
    for (host, candidates) in by_host.iter().filter(|(_, all)| all.len() > 1) {
        for (service, position) in candidates {
            let names: Vec<String> = candidates
                .iter()
                .filter(|(other, _)| overlaps(&service.visibility, &other.visibility))
                .map(|(other, _)| &other.resource.key)
                .map(|key| [&*key.namespace, &*key.name].join("/"))
                .collect();
            // The object overlaps with itself, unless nobody sees it.
            if names.len() < 2 {
                continue;
            }
            let path = FieldPath::root().key("spec").key("hosts").index(*position);
            let names = names.join(", ");
            let mut found = finding(
                "IST0109",
                Level::Error,
                &service.resource,
                path,
                format!(
                    "host {host:?} has several VirtualServices in the mesh, of which one wins: {names}"
                ),
            );
            found.hint =
                Some("merge them into one, or export them to different namespaces".to_owned());
            findings.push(found);
        }
    }
}

/// Whether some namespace sees both.
fn overlaps(one: &Visibility, other: &Visibility) -> bool {
    match (one, other) {
        (Visibility::Public, Visibility::Public) => true,
        (Visibility::Public, Visibility::Namespaces(some))
        | (Visibility::Namespaces(some), Visibility::Public) => !some.is_empty(),
        (Visibility::Namespaces(one), Visibility::Namespaces(other)) => !one.is_disjoint(other),
    }
}
