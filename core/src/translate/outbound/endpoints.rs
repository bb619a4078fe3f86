//! Instances as endpoints, grouped by locality.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use mesh_ir::{Endpoint, Locality, LocalityEndpoints};

use crate::snapshot::Instance;

/// The endpoints of instances whose localities do not count: all have the same priority.
pub(super) fn by_locality<'a>(
    instances: impl Iterator<Item = &'a Instance>,
) -> Vec<LocalityEndpoints> {
    let mut localities: BTreeMap<&Locality, Vec<Endpoint>> = BTreeMap::new();
    for instance in instances {
        let group = localities.entry(&instance.locality).or_default();
        group.push(endpoint(instance));
    }
    localities
        .into_iter()
        .map(|(locality, endpoints)| LocalityEndpoints::new(locality.clone(), endpoints))
        .collect()
}

/// The endpoint of an instance.
pub(in crate::translate) fn endpoint(instance: &Instance) -> Endpoint {
    Endpoint {
        weight: instance.weight,
        health: instance.health,
        offers_mtls: instance.offers_mtls,
        workload: Some(instance.workload.clone()),
        ..Endpoint::new(SocketAddr::new(instance.address, instance.port))
    }
}
