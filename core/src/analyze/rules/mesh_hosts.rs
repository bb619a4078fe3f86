//! Several VirtualServices for the same host inside the mesh: sidecars apply only one of them (IST0109).

use std::sync::Arc;

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::snapshot::{HostMap, MeshVirtualService, Visibility, host_covers, is_wildcard};

pub(super) const RULE: Rule = Rule {
    name: "virtualservice.ConflictingMeshGatewayHostsAnalyzer",
    summary: "no two VirtualServices are for the same host inside the mesh",
    codes: &["IST0109"],
    check,
};

/// A host of a VirtualService that is for the mesh.
struct Claim<'s> {
    service: &'s Arc<MeshVirtualService>,
    host: &'s Arc<str>,
    position: usize,
}

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    let claims = claims(context);
    let mut by_host: HostMap<Vec<&Claim<'_>>> = HostMap::default();
    for claim in &claims {
        let mut of_host = by_host.get(claim.host).cloned().unwrap_or_default();
        of_host.push(claim);
        by_host.insert(claim.host, of_host);
    }
    let (public, private): (Vec<&Claim<'_>>, Vec<_>) =
        claims.iter().partition(|claim| is_public(claim));
    for same_object in claims.chunk_by(|a, b| Arc::ptr_eq(a.service, b.service)) {
        let mut hosts: Vec<&Claim<'_>> = Vec::new();
        let mut others: Vec<&Arc<MeshVirtualService>> = Vec::new();
        for claim in same_object {
            let other_kind = if is_public(claim) { &private } else { &public };
            let rivals = rivals(claim, &by_host, other_kind);
            if !rivals.is_empty() {
                hosts.push(claim);
            }
            for rival in rivals {
                if !others.iter().any(|other| Arc::ptr_eq(other, rival.service)) {
                    others.push(rival.service);
                }
            }
        }
        findings.extend(report(&hosts, others));
    }
}

/// All hosts of all VirtualServices for the mesh, those of one object together. A host that is repeated in one object is
/// validation's to say.
fn claims<'s>(context: &Context<'s>) -> Vec<Claim<'s>> {
    let in_mesh = context.snapshot.virtual_services();
    let in_mesh = in_mesh.filter(|service| service.is_for_mesh());
    in_mesh
        .flat_map(|service| {
            let hosts = service.hosts.iter().enumerate();
            let first = |(position, host): &(usize, &Arc<str>)| {
                service.hosts.iter().position(|other| other == *host) == Some(*position)
            };
            hosts.filter(first).map(move |(position, host)| Claim {
                service,
                host,
                position,
            })
        })
        .collect()
}

/// The claims of other objects that contend for a host. Equal hosts contend where some namespace sees both objects. Where one
/// object is public and the other is not, overlapping patterns contend as well: for the clients of the other's namespaces the
/// private object comes first, whatever the public one says of the more special hosts. (The conditions are those of Istio's
/// analyzer.)
fn rivals<'c, 's>(
    claim: &Claim<'s>,
    by_host: &HostMap<Vec<&'c Claim<'s>>>,
    other_kind: &[&'c Claim<'s>],
) -> Vec<&'c Claim<'s>> {
    let same = by_host.get(claim.host).into_iter().flatten().copied();
    let mut found: Vec<&Claim<'_>> = same
        .filter(|other| overlaps(&claim.service.visibility, &other.service.visibility))
        .collect();
    let differ =
        |other: &&Claim<'_>| is_public(other) != is_public(claim) && other.host != claim.host;
    let covering = by_host.matches(claim.host).flatten().copied();
    found.extend(covering.filter(differ));
    if is_wildcard(claim.host) {
        let covered = |other: &&Claim<'_>| host_covers(claim.host, other.host);
        found.extend(other_kind.iter().copied().filter(differ).filter(covered));
    }
    found.retain(|other| {
        !Arc::ptr_eq(other.service, claim.service) && sees_any(&other.service.visibility)
    });
    found
}

/// One finding for each object, at the first of its hosts that others contend for.
fn report<'s>(
    hosts: &[&Claim<'s>],
    mut others: Vec<&'s Arc<MeshVirtualService>>,
) -> Option<Diagnostic> {
    let first = hosts.first()?;
    others.push(first.service);
    let mut names: Vec<String> = others
        .iter()
        .map(|service| {
            [
                &*service.resource.key.namespace,
                &*service.resource.key.name,
            ]
            .join("/")
        })
        .collect();
    names.sort();
    let quoted: Vec<String> = hosts
        .iter()
        .map(|claim| format!("{:?}", claim.host))
        .collect();
    let what = match quoted.as_slice() {
        [host] => format!("host {host} has"),
        hosts => format!("hosts {} have", hosts.join(", ")),
    };
    let path = FieldPath::root()
        .key("spec")
        .key("hosts")
        .index(first.position);
    let message = format!(
        "{what} several VirtualServices in the mesh, of which one wins: {}",
        names.join(", ")
    );
    let mut found = finding(
        "IST0109",
        Level::Error,
        &first.service.resource,
        path,
        message,
    );
    found.hint = Some("merge them into one, or export them to different namespaces".to_owned());
    Some(found)
}

fn is_public(claim: &Claim<'_>) -> bool {
    claim.service.visibility == Visibility::Public
}

/// Whether anybody sees an object.
fn sees_any(visibility: &Visibility) -> bool {
    match visibility {
        Visibility::Public => true,
        Visibility::Namespaces(some) => !some.is_empty(),
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
