//! Instances as endpoints, grouped by locality.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use mesh_ir::{Endpoint, Endpoints, Locality, LocalityEndpoints};

use crate::snapshot::Instance;

/// The endpoints of a cluster. All localities have the same priority, as in Istio without outlier detection.
pub(super) fn endpoints<'a>(
    cluster: Arc<str>,
    instances: impl Iterator<Item = &'a Instance>,
) -> Endpoints {
    let mut localities: BTreeMap<&Locality, Vec<Endpoint>> = BTreeMap::new();
    for instance in instances {
        localities
            .entry(&instance.locality)
            .or_default()
            .push(Endpoint {
                weight: instance.weight,
                health: instance.health,
                workload: Some(instance.workload.clone()),
                ..Endpoint::new(SocketAddr::new(instance.address, instance.port))
            });
    }
    Endpoints {
        cluster,
        localities: localities
            .into_iter()
            .map(|(locality, endpoints)| LocalityEndpoints::new(locality.clone(), endpoints))
            .collect(),
    }
}
