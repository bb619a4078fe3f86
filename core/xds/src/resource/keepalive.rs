//! Probes on idle connections.

use envoy_types::pb::envoy::config::cluster::v3::UpstreamConnectionOptions;
use envoy_types::pb::envoy::config::core::v3::TcpKeepalive as Proto;
use mesh_ir::TcpKeepalive;

use super::values;

pub(super) fn to_proto(value: &TcpKeepalive) -> UpstreamConnectionOptions {
    let TcpKeepalive {
        probes,
        time,
        interval,
    } = value;
    UpstreamConnectionOptions {
        tcp_keepalive: Some(Proto {
            keepalive_probes: probes.and_then(values::u32_value),
            keepalive_time: time.and_then(values::u32_value),
            keepalive_interval: interval.and_then(values::u32_value),
        }),
        ..UpstreamConnectionOptions::default()
    }
}

pub(super) fn from_proto(options: UpstreamConnectionOptions) -> Option<TcpKeepalive> {
    let UpstreamConnectionOptions {
        tcp_keepalive,
        set_local_interface_name_on_upstream_connections: _,
        happy_eyeballs_config: _,
    } = options;
    let Proto {
        keepalive_probes,
        keepalive_time,
        keepalive_interval,
    } = tcp_keepalive?;
    Some(TcpKeepalive {
        probes: keepalive_probes.map(|value| value.value),
        time: keepalive_time.map(|value| value.value),
        interval: keepalive_interval.map(|value| value.value),
    })
}
