//! Failures that are injected.

use envoy_types::pb::envoy::extensions::filters::common::fault::v3::{
    FaultDelay as DelayProto,
    fault_delay::{FaultDelaySecifier, HeaderDelay},
};
use envoy_types::pb::envoy::extensions::filters::http::fault::v3::{
    FaultAbort as AbortProto, HttpFault as Proto,
    fault_abort::{ErrorType, HeaderAbort},
};
use mesh_ir::policy::{AbortStatus, DelayDuration, Fault, FaultAbort, FaultDelay};

use super::border::{At, InvalidResource};
use super::{fraction, values};

/// Name of the filter, under which routes find what concerns it.
pub(super) const NAME: &str = "envoy.filters.http.fault";

pub(super) fn to_proto(value: &Fault) -> Proto {
    let Fault { delay, abort } = value;
    Proto {
        delay: delay.as_ref().map(|delay| {
            let FaultDelay {
                duration,
                percentage,
            } = delay;
            DelayProto {
                percentage: Some(fraction::to_proto(*percentage)),
                fault_delay_secifier: Some(match duration {
                    DelayDuration::Fixed(duration) => FaultDelaySecifier::FixedDelay(
                        values::duration(*duration).unwrap_or_default(),
                    ),
                    DelayDuration::Header => FaultDelaySecifier::HeaderDelay(HeaderDelay {}),
                }),
            }
        }),
        abort: abort.as_ref().map(|abort| {
            let FaultAbort { status, percentage } = abort;
            AbortProto {
                percentage: Some(fraction::to_proto(*percentage)),
                error_type: Some(match status {
                    AbortStatus::Http(code) => ErrorType::HttpStatus(u32::from(*code)),
                    AbortStatus::Grpc(status) => ErrorType::GrpcStatus(*status),
                    AbortStatus::Header => ErrorType::HeaderAbort(HeaderAbort {}),
                }),
                ..AbortProto::default()
            }
        }),
        ..Proto::default()
    }
}

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<Fault, InvalidResource> {
    open!(at, proto => Proto {
        keep { delay, abort }
        refuse {
            upstream_cluster, headers, downstream_nodes, max_active_faults, response_rate_limit, delay_percent_runtime,
            abort_percent_runtime, delay_duration_runtime, abort_http_status_runtime, max_active_faults_runtime,
            response_rate_limit_percent_runtime, abort_grpc_status_runtime,
        }
        ignore { disable_downstream_cluster_stats, filter_metadata }
    });
    Ok(Fault {
        delay: delay
            .map(|delay| from_delay(delay, &at.field("delay")))
            .transpose()?,
        abort: abort
            .map(|abort| from_abort(abort, &at.field("abort")))
            .transpose()?,
    })
}

fn from_delay(proto: DelayProto, at: &At<'_>) -> Result<FaultDelay, InvalidResource> {
    let DelayProto {
        percentage,
        fault_delay_secifier,
    } = proto;
    let duration = match at.require("fixed_delay", fault_delay_secifier)? {
        FaultDelaySecifier::FixedDelay(delay) => {
            DelayDuration::Fixed(values::from_duration(delay, &at.field("fixed_delay"))?)
        }
        FaultDelaySecifier::HeaderDelay(HeaderDelay {}) => DelayDuration::Header,
    };
    Ok(FaultDelay {
        duration,
        percentage: fraction::from_proto(percentage.unwrap_or_default(), &at.field("percentage"))?,
    })
}

fn from_abort(proto: AbortProto, at: &At<'_>) -> Result<FaultAbort, InvalidResource> {
    open!(at, proto => AbortProto {
        keep { percentage, error_type }
        refuse { response_body }
        ignore {}
    });
    let status = match at.require("http_status", error_type)? {
        ErrorType::HttpStatus(code) => u16::try_from(code)
            .ok()
            .filter(|code| (200..600).contains(code))
            .map(AbortStatus::Http)
            .ok_or_else(|| {
                at.field("http_status")
                    .value(format!("{code} is not a status code from 200 to 599"))
            })?,
        ErrorType::GrpcStatus(status) => AbortStatus::Grpc(status),
        ErrorType::HeaderAbort(HeaderAbort {}) => AbortStatus::Header,
    };
    Ok(FaultAbort {
        status,
        percentage: fraction::from_proto(percentage.unwrap_or_default(), &at.field("percentage"))?,
    })
}
