//! Clusters that get copies of requests.

use envoy_types::pb::envoy::config::route::v3::route_action::RequestMirrorPolicy as Proto;
use mesh_ir::{Fraction, Mirror};

use super::border::{At, InvalidResource};
use super::{fraction, values};

pub(super) fn to_proto(value: &Mirror) -> Proto {
    let Mirror {
        cluster,
        fraction: share,
    } = value;
    Proto {
        cluster: cluster.to_string(),
        runtime_fraction: Some(fraction::runtime(*share)),
        // Copies are no traces of their own.
        trace_sampled: values::bool_value(false),
        ..Proto::default()
    }
}

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<Mirror, InvalidResource> {
    open!(at, proto => Proto {
        keep { cluster, runtime_fraction }
        refuse {
            cluster_header, disable_shadow_host_suffix_append, request_headers_mutations, host_rewrite_literal,
        }
        ignore { trace_sampled }
    });
    Ok(Mirror {
        cluster: cluster.into(),
        fraction: runtime_fraction.map_or(Ok(Fraction::ALL), |share| {
            fraction::from_runtime(share, &at.field("runtime_fraction"))
        })?,
    })
}
