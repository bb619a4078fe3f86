//! Active health checks.

#![expect(
    deprecated,
    reason = "messages are opened completely, deprecated fields included"
)]

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{
    HealthCheck as Proto,
    health_check::{GrpcHealthCheck, HealthChecker, HttpHealthCheck, TcpHealthCheck},
};
use envoy_types::pb::google::protobuf::Duration as DurationProto;
use mesh_ir::{HealthCheck, Probe};

use super::border::{At, InvalidResource};
use super::values;

pub(super) fn to_proto(value: &HealthCheck) -> Proto {
    let HealthCheck {
        timeout,
        interval,
        unhealthy_threshold,
        healthy_threshold,
        probe,
    } = value;
    Proto {
        timeout: values::duration(*timeout),
        interval: values::duration(*interval),
        unhealthy_threshold: values::u32_value(*unhealthy_threshold),
        healthy_threshold: values::u32_value(*healthy_threshold),
        health_checker: Some(match probe {
            Probe::Tcp => HealthChecker::TcpHealthCheck(TcpHealthCheck::default()),
            Probe::Http { host, path } => HealthChecker::HttpHealthCheck(HttpHealthCheck {
                host: host.to_string(),
                path: path.to_string(),
                ..HttpHealthCheck::default()
            }),
            Probe::Grpc { service } => HealthChecker::GrpcHealthCheck(GrpcHealthCheck {
                service_name: service.to_string(),
                ..GrpcHealthCheck::default()
            }),
        }),
        ..Proto::default()
    }
}

pub(super) fn from_proto(proto: Proto, at: &At<'_>) -> Result<HealthCheck, InvalidResource> {
    open!(at, proto => Proto {
        keep { timeout, interval, unhealthy_threshold, healthy_threshold, health_checker }
        refuse {
            alt_port, unhealthy_interval, unhealthy_edge_interval, healthy_edge_interval, event_log_path, event_logger,
            event_service, tls_options, transport_socket_match_criteria,
        }
        ignore {
            initial_jitter, interval_jitter, interval_jitter_percent, reuse_connection, no_traffic_interval,
            no_traffic_healthy_interval, always_log_health_check_failures, always_log_health_check_success,
        }
    });
    let span = |field, value: Option<DurationProto>| -> Result<Duration, InvalidResource> {
        values::from_duration(at.require(field, value)?, &at.field(field))
    };
    Ok(HealthCheck {
        timeout: span("timeout", timeout)?,
        interval: span("interval", interval)?,
        unhealthy_threshold: at
            .require("unhealthy_threshold", unhealthy_threshold)?
            .value,
        healthy_threshold: at.require("healthy_threshold", healthy_threshold)?.value,
        probe: from_checker(at.require("http_health_check", health_checker)?, at)?,
    })
}

fn from_checker(checker: HealthChecker, at: &At<'_>) -> Result<Probe, InvalidResource> {
    match checker {
        HealthChecker::TcpHealthCheck(check) => {
            open!(&at.field("tcp_health_check"), check => TcpHealthCheck {
                keep {}
                refuse { send, receive, proxy_protocol_config }
                ignore {}
            });
            Ok(Probe::Tcp)
        }
        HealthChecker::HttpHealthCheck(check) => {
            open!(&at.field("http_health_check"), check => HttpHealthCheck {
                keep { host, path }
                refuse {
                    send, receive, request_headers_to_add, request_headers_to_remove, expected_statuses,
                    retriable_statuses, codec_client_type, service_name_matcher, method,
                }
                ignore { response_buffer_size }
            });
            Ok(Probe::Http {
                host: host.into(),
                path: path.into(),
            })
        }
        HealthChecker::GrpcHealthCheck(check) => {
            open!(&at.field("grpc_health_check"), check => GrpcHealthCheck {
                keep { service_name }
                refuse { authority, initial_metadata }
                ignore {}
            });
            Ok(Probe::Grpc {
                service: service_name.into(),
            })
        }
        HealthChecker::CustomHealthCheck(_) => Err(at.field("custom_health_check").unsupported()),
    }
}
