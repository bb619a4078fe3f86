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
        // They name the host that the request names.
        disable_shadow_host_suffix_append: true,
        ..Proto::default()
    }
}

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<Mirror, InvalidResource> {
    open!(at, proto => Proto {
        keep { cluster, runtime_fraction, disable_shadow_host_suffix_append }
        refuse { cluster_header, request_headers_mutations, host_rewrite_literal }
        ignore { trace_sampled }
    });
    if !disable_shadow_host_suffix_append {
        return Err(at
            .field("disable_shadow_host_suffix_append")
            .value("other hosts in copies are not supported; must be true"));
    }
    Ok(Mirror {
        cluster: cluster.into(),
        fraction: runtime_fraction.map_or(Ok(Fraction::ALL), |share| {
            fraction::from_runtime(share, &at.field("runtime_fraction"))
        })?,
    })
}
