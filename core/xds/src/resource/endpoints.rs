//! Endpoints (EDS).

use envoy_types::pb::envoy::config::core::v3::{self as core, HealthStatus};
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment as Proto, Endpoint as EndpointProto, LbEndpoint, LocalityLbEndpoints,
    lb_endpoint::HostIdentifier,
};
use mesh_ir::{Endpoint, EndpointHealth, Endpoints, Locality, LocalityEndpoints};

use super::border::{At, InvalidResource};
use super::metadata::IstioMetadata;
use super::{address, values};

pub(super) fn to_proto(value: &Endpoints) -> Proto {
    let Endpoints {
        cluster,
        localities,
    } = value;
    Proto {
        cluster_name: cluster.to_string(),
        endpoints: localities.iter().map(locality).collect(),
        ..Proto::default()
    }
}

fn locality(value: &LocalityEndpoints) -> LocalityLbEndpoints {
    let LocalityEndpoints {
        locality: Locality {
            region,
            zone,
            subzone,
        },
        priority,
        weight,
        endpoints,
    } = value;
    LocalityLbEndpoints {
        locality: Some(core::Locality {
            region: region.to_string(),
            zone: zone.to_string(),
            sub_zone: subzone.to_string(),
        }),
        lb_endpoints: endpoints.iter().map(endpoint).collect(),
        priority: *priority,
        load_balancing_weight: weight.and_then(values::u32_value),
        ..LocalityLbEndpoints::default()
    }
}

fn endpoint(value: &Endpoint) -> LbEndpoint {
    let Endpoint {
        address,
        weight,
        health,
        offers_mtls,
        workload,
    } = value;
    let health = match health {
        EndpointHealth::Healthy => HealthStatus::Healthy,
        EndpointHealth::Draining => HealthStatus::Draining,
        EndpointHealth::Unhealthy => HealthStatus::Unhealthy,
    };
    LbEndpoint {
        health_status: health.into(),
        metadata: IstioMetadata {
            workload: workload.as_ref().map(ToString::to_string),
            offers_mtls: *offers_mtls,
            ..IstioMetadata::default()
        }
        .to_proto(),
        load_balancing_weight: values::u32_value(*weight),
        host_identifier: Some(host(address::to_proto(*address))),
    }
}

/// An endpoint that is only an address.
pub(super) fn host(address: Option<core::Address>) -> HostIdentifier {
    HostIdentifier::Endpoint(EndpointProto {
        address,
        ..EndpointProto::default()
    })
}

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<Endpoints, InvalidResource> {
    let (cluster, localities) = open_assignment(proto, at)?;
    Ok(Endpoints {
        cluster: cluster.into(),
        localities: at.list("endpoints", localities, from_locality)?,
    })
}

/// Cluster name and localities.
pub(super) fn open_assignment(
    proto: Proto,
    at: &At<'_>,
) -> Result<(String, Vec<LocalityLbEndpoints>), InvalidResource> {
    open!(at, proto => Proto {
        keep { cluster_name, endpoints }
        refuse { named_endpoints, policy }
        ignore {}
    });
    Ok((cluster_name, endpoints))
}

fn from_locality(
    proto: LocalityLbEndpoints,
    at: &At<'_>,
) -> Result<LocalityEndpoints, InvalidResource> {
    open!(at, proto => LocalityLbEndpoints {
        keep { locality, lb_endpoints, priority, load_balancing_weight }
        refuse { lb_config }
        ignore { metadata, proximity }
    });
    let core::Locality {
        region,
        zone,
        sub_zone,
    } = locality.unwrap_or_default();
    Ok(LocalityEndpoints {
        locality: Locality {
            region: region.into(),
            zone: zone.into(),
            subzone: sub_zone.into(),
        },
        priority,
        weight: load_balancing_weight.map(|weight| weight.value),
        endpoints: at.list("lb_endpoints", lb_endpoints, from_endpoint)?,
    })
}

fn from_endpoint(proto: LbEndpoint, at: &At<'_>) -> Result<Endpoint, InvalidResource> {
    let LbEndpoint {
        health_status,
        metadata,
        load_balancing_weight,
        host_identifier,
    } = proto;
    let health = match HealthStatus::try_from(health_status) {
        Ok(HealthStatus::Unknown | HealthStatus::Healthy) => EndpointHealth::Healthy,
        Ok(HealthStatus::Unhealthy | HealthStatus::Timeout) => EndpointHealth::Unhealthy,
        Ok(HealthStatus::Draining) => EndpointHealth::Draining,
        Ok(HealthStatus::Degraded) | Err(_) => {
            return Err(at.field("health_status").unsupported());
        }
    };
    let weight = load_balancing_weight.map_or(1, |weight| weight.value);
    if weight == 0 {
        return Err(at
            .field("load_balancing_weight")
            .value("must be at least 1"));
    }
    let address = from_host(host_identifier, at)?;
    let metadata = IstioMetadata::from_proto(metadata.as_ref());
    Ok(Endpoint {
        address: address::from_proto(address, &at.field("endpoint").field("address"))?,
        weight,
        health,
        offers_mtls: metadata.offers_mtls,
        workload: metadata.workload.and_then(|text| text.parse().ok()),
    })
}

/// The address of an endpoint.
pub(super) fn from_host(
    host: Option<HostIdentifier>,
    at: &At<'_>,
) -> Result<Option<core::Address>, InvalidResource> {
    match host {
        Some(HostIdentifier::Endpoint(endpoint)) => {
            open!(&at.field("endpoint"), endpoint => EndpointProto {
                keep { address }
                refuse { health_check_config, additional_addresses }
                ignore { hostname, observability_name }
            });
            Ok(address)
        }
        Some(HostIdentifier::EndpointName(_)) => Err(at.field("endpoint_name").unsupported()),
        None => Err(at.field("endpoint").missing()),
    }
}
