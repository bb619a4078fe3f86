//! Which pods the endpoints of a Service refer to, so that a changed pod finds the hosts that it concerns.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::EndpointAddress;

use super::instances::{Slices, slices_of};
use super::objects::Objects;
use super::workloads;
use crate::resource::{Kind, Object, Resource};

/// How endpoints refer to a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum PodReference {
    /// By an address, which a pod may have.
    Address(IpAddr),
    /// By namespace and name.
    Name(Arc<str>, Arc<str>),
}

/// What the endpoints of a host refer to; nothing for hosts that are no Service's.
pub(super) fn of_host(
    objects: &Objects,
    slices: &Slices,
    host: &str,
    domain: &str,
) -> BTreeSet<PodReference> {
    let mut references = BTreeSet::new();
    let suffix = [".svc.", domain].concat();
    let name = host
        .strip_suffix(&suffix)
        .and_then(|name| name.split_once('.'));
    let Some((name, namespace)) = name else {
        return references;
    };
    for slice in slices_of(slices, namespace, name) {
        for endpoint in slice.endpoints.iter().flatten() {
            let addresses = endpoint.addresses.iter();
            references.extend(addresses.copied().map(PodReference::Address));
            let target = endpoint.target_ref.as_ref();
            references.extend(target.and_then(|target| {
                by_name(
                    target.namespace.as_deref(),
                    target.name.as_deref(),
                    namespace,
                )
            }));
        }
    }
    let object = objects.find(Kind::Endpoints, namespace, name);
    if let Some(Object::Endpoints(endpoints)) = object.map(|resource| &resource.object) {
        let subsets = endpoints.subsets.iter().flatten();
        for EndpointAddress { ip, target_ref, .. } in
            subsets.flat_map(|subset| subset.addresses.iter().flatten())
        {
            references.extend(ip.parse().ok().map(PodReference::Address));
            references.extend(target_ref.as_ref().and_then(|target| {
                by_name(
                    target.namespace.as_deref(),
                    target.name.as_deref(),
                    namespace,
                )
            }));
        }
    }
    references
}

/// What endpoints may refer to when they mean a pod.
pub(super) fn of_pod(resource: &Resource) -> Vec<PodReference> {
    let key = &resource.key;
    let mut references = vec![PodReference::Name(key.namespace.clone(), key.name.clone())];
    if let Object::Pod(pod) = &resource.object {
        references.extend(
            workloads::addresses(pod)
                .into_iter()
                .map(PodReference::Address),
        );
    }
    references
}

/// The pod of a name; in the namespace of what refers to it where none is said.
fn by_name(namespace: Option<&str>, name: Option<&str>, own: &str) -> Option<PodReference> {
    Some(PodReference::Name(
        namespace.unwrap_or(own).into(),
        name?.into(),
    ))
}
