//! Several VirtualServices for the same host inside the mesh: sidecars apply only one of them (IST0109).

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::snapshot::{HostMap, MeshVirtualService, Visibility, is_wildcard};

pub(super) const RULE: Rule = Rule {
    name: "virtualservice.ConflictingMeshGatewayHostsAnalyzer",
    summary: "no two VirtualServices are for the same host inside the mesh",
    codes: &["IST0109"],
    check,
};

/// Most other objects that a finding names.
const MOST_OTHERS: usize = 5;

/// A host of a VirtualService that is for the mesh.
struct Claim<'s> {
    service: &'s Arc<MeshVirtualService>,
    host: &'s Arc<str>,
    position: usize,
}

/// All claims to one host.
#[derive(Default)]
struct Claims<'c, 's> {
    public: Vec<&'c Claim<'s>>,
    private: Vec<&'c Claim<'s>>,
    /// The private ones by each namespace that sees them.
    by_namespace: BTreeMap<&'s str, Vec<&'c Claim<'s>>>,
    /// Some claims of the other kind to hosts that overlap with this one, for the public and the private ones here.
    across: OnceCell<[Vec<&'c Claim<'s>>; 2]>,
}

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    let claims = claims(context);
    let mut hosts: BTreeMap<&Arc<str>, Claims<'_, '_>> = BTreeMap::new();
    for claim in &claims {
        let of_host = hosts.entry(claim.host).or_default();
        match &claim.service.visibility {
            Visibility::Public => of_host.public.push(claim),
            Visibility::Namespaces(namespaces) => {
                of_host.private.push(claim);
                for namespace in namespaces {
                    let seen = of_host.by_namespace.entry(namespace).or_default();
                    seen.push(claim);
                }
            }
        }
    }
    let mut by_host: HostMap<Arc<str>> = HostMap::default();
    for host in hosts.keys() {
        by_host.insert(host, (*host).clone());
    }
    for same_object in claims.chunk_by(|a, b| Arc::ptr_eq(a.service, b.service)) {
        let mut contended: Vec<&Claim<'_>> = Vec::new();
        let mut others: Vec<&Arc<MeshVirtualService>> = Vec::new();
        for claim in same_object {
            let rivals = rivals(claim, &hosts, &by_host);
            if !rivals.is_empty() {
                contended.push(claim);
            }
            for rival in rivals {
                let is_known = others.iter().any(|other| Arc::ptr_eq(other, rival.service));
                if !is_known && others.len() < MOST_OTHERS {
                    others.push(rival.service);
                }
            }
        }
        findings.extend(report(&contended, others));
    }
}

/// All hosts of all VirtualServices for the mesh, those of one object together. A host that is repeated in one object is
/// validation's to say.
fn claims<'s>(context: &Context<'s>) -> Vec<Claim<'s>> {
    let in_mesh = context.snapshot.virtual_services();
    let in_mesh = in_mesh.filter(|service| service.is_for_mesh() && !service.is_derived());
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

/// Some claims of other objects that contend for a host: no more than are told. Equal hosts contend where some namespace sees both
/// objects. Where one object is public and the other is not, overlapping patterns contend as well: for the clients of the other's
/// namespaces the private object comes first, whatever the public one says of the more special hosts. (The conditions are those of
/// Istio's analyzer.)
fn rivals<'c, 's>(
    claim: &Claim<'s>,
    hosts: &'c BTreeMap<&'s Arc<str>, Claims<'c, 's>>,
    by_host: &HostMap<Arc<str>>,
) -> Vec<&'c Claim<'s>> {
    let Some(same) = hosts.get(claim.host) else {
        return Vec::new();
    };
    let [of_public, of_private] = same
        .across
        .get_or_init(|| across(claim.host, hosts, by_host));
    let is_other = |other: &&&Claim<'_>| {
        !Arc::ptr_eq(other.service, claim.service) && sees_any(&other.service.visibility)
    };
    let few = |found: &mut dyn Iterator<Item = &&'c Claim<'s>>| -> Vec<&'c Claim<'s>> {
        found.filter(is_other).take(MOST_OTHERS).copied().collect()
    };
    match &claim.service.visibility {
        Visibility::Public => {
            let all = same.public.iter().chain(&same.private);
            few(&mut all.chain(of_public))
        }
        Visibility::Namespaces(namespaces) if !namespaces.is_empty() => {
            let seen = namespaces
                .iter()
                .filter_map(|it| same.by_namespace.get(&**it));
            let all = same.public.iter().chain(seen.flatten());
            few(&mut all.chain(of_private))
        }
        Visibility::Namespaces(_) => Vec::new(),
    }
}

/// For the public and the private claims to a host, some claims of the other kind to hosts that cover it or that it covers.
fn across<'c, 's>(
    host: &str,
    hosts: &'c BTreeMap<&'s Arc<str>, Claims<'c, 's>>,
    by_host: &HostMap<Arc<str>>,
) -> [Vec<&'c Claim<'s>>; 2] {
    let mut found = [Vec::new(), Vec::new()];
    let covered = is_wildcard(host).then(|| by_host.covered_by(host));
    let overlapping = by_host.matches(host).chain(covered.into_iter().flatten());
    let overlapping = overlapping.filter(|other| &***other != host);
    for other in overlapping.filter_map(|other| hosts.get(other)) {
        let [of_public, of_private] = &mut found;
        // One more than are told: an object may meet itself.
        let seen = other
            .private
            .iter()
            .filter(|it| sees_any(&it.service.visibility));
        of_public.extend(seen.take(MOST_OTHERS + 1).copied());
        of_private.extend(other.public.iter().take(MOST_OTHERS + 1).copied());
        if of_public.len() > MOST_OTHERS && of_private.len() > MOST_OTHERS {
            break;
        }
    }
    found
}

/// One finding for each object, at the first of its hosts that others contend for.
fn report<'s>(
    hosts: &[&Claim<'s>],
    mut others: Vec<&'s Arc<MeshVirtualService>>,
) -> Option<Diagnostic> {
    let first = hosts.first()?;
    let is_few = others.len() < MOST_OTHERS;
    others.insert(0, first.service);
    let mut names: Vec<String> = others
        .iter()
        .map(|service| {
            let key = &service.resource.key;
            [&*key.namespace, &*key.name].join("/")
        })
        .collect();
    names.sort();
    let more = if is_few { "" } else { " and perhaps others" };
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
        "{what} several VirtualServices in the mesh, of which one wins: {}{more}",
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

/// Whether anybody sees an object.
fn sees_any(visibility: &Visibility) -> bool {
    match visibility {
        Visibility::Public => true,
        Visibility::Namespaces(some) => !some.is_empty(),
    }
}
