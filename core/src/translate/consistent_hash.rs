//! Stickiness: what a cluster's endpoints are chosen by, and what of a request is hashed for it. Istio writes the first into the cluster,
//! and the second into each route that leads to it.

use mesh_ir::{ConsistentHash, HashPolicy, LoadBalancing};

use crate::model;

/// Most entries that a ring can have, as Envoy limits it.
const RING_LIMIT: u64 = 8_388_608;

/// How hashes lead to endpoints: by a ring, unless a table is asked for.
pub(super) fn balancing(hash: &model::ConsistentHash) -> LoadBalancing {
    let given = |size: Option<u64>| size.filter(|size| *size > 0);
    LoadBalancing::ConsistentHash(match &hash.maglev {
        Some(maglev) => ConsistentHash::Maglev {
            table_size: given(maglev.table_size),
        },
        None => {
            let ring = hash.ring_hash.as_ref();
            let size = ring.map_or(hash.minimum_ring_size, |ring| ring.minimum_ring_size);
            ConsistentHash::RingHash {
                minimum_size: given(size).map(|size| size.min(RING_LIMIT)),
            }
        }
    })
}

/// What of a request is hashed; nothing if nothing is named.
pub(super) fn policy(hash: &model::ConsistentHash) -> Option<HashPolicy> {
    let model::ConsistentHash {
        http_header_name,
        http_cookie,
        use_source_ip,
        http_query_parameter_name,
        ring_hash: _,
        maglev: _,
        minimum_ring_size: _,
    } = hash;
    let header = http_header_name.as_deref();
    let query = http_query_parameter_name.as_deref();
    if let Some(name) = header.filter(|name| !name.is_empty()) {
        Some(HashPolicy::Header(name.to_ascii_lowercase().into()))
    } else if let Some(cookie) = http_cookie {
        Some(HashPolicy::Cookie {
            name: cookie.name.as_str().into(),
            path: cookie.path.as_deref().unwrap_or_default().into(),
            ttl: cookie.ttl.map(|ttl| ttl.0),
        })
    } else if *use_source_ip == Some(true) {
        Some(HashPolicy::SourceAddress)
    } else {
        let name = query.filter(|name| !name.is_empty())?;
        Some(HashPolicy::QueryParameter(name.into()))
    }
}
