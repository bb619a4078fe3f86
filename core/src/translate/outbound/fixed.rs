//! What every proxy has: the clusters for unknown destinations, the virtual host for unknown hosts, and the listener of captured
//! traffic.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mesh_ir::names::{ALLOW_ANY, BLACK_HOLE, BLOCK_ALL, PASSTHROUGH, VIRTUAL_OUTBOUND};
use mesh_ir::{
    Capture, ChainMatch, Cluster, ClusterKind, DirectResponse, Direction, Endpoints, FilterChain,
    Forward, Inspect, Listener, Route, RouteAction, RouteMatch, ServiceRef, Target, TcpProxy,
    VirtualHost, ports,
};

use crate::model::OutboundMode;
use crate::translate::http_server::HttpServerSettings;

/// `PassthroughCluster` and `BlackHoleCluster`.
pub(super) fn fixed_clusters(connect_timeout: Duration) -> Vec<Arc<Cluster>> {
    let none = Endpoints {
        cluster: BLACK_HOLE.into(),
        localities: Vec::new(),
    };
    let black_hole = ClusterKind::Static(Arc::new(none));
    vec![
        Arc::new(fixed(BLACK_HOLE, black_hole, connect_timeout)),
        Arc::new(passthrough(PASSTHROUGH, connect_timeout)),
    ]
}

/// A cluster of no service that goes where the connection was meant to go.
pub(in crate::translate) fn passthrough(name: &str, connect_timeout: Duration) -> Cluster {
    fixed(name, ClusterKind::OriginalDestination, connect_timeout)
}

/// A cluster that metrics know by its own name.
fn fixed(name: &str, kind: ClusterKind, connect_timeout: Duration) -> Cluster {
    let mut cluster = Cluster::new(name, kind);
    cluster.client.connect_timeout = connect_timeout;
    cluster.services = vec![ServiceRef::unnamed(name)];
    cluster
}

/// The virtual host of hosts that no other one takes: passed through, or answered with 502.
pub(super) fn unknown_host(mode: OutboundMode) -> VirtualHost {
    let (name, action) = match mode {
        OutboundMode::AllowAny | OutboundMode::AllowAnyDynamicDns => (
            ALLOW_ANY,
            RouteAction::Forward(Forward::to(Target::Cluster(PASSTHROUGH.into()))),
        ),
        OutboundMode::RegistryOnly => (
            BLOCK_ALL,
            RouteAction::Direct(DirectResponse {
                code: 502,
                body: "".into(),
            }),
        ),
    };
    VirtualHost {
        name: name.into(),
        domains: vec!["*".into()],
        routes: vec![Route {
            name: name.into(),
            ..Route::new(RouteMatch::everything(), action)
        }],
    }
}

/// Where connections go that no listener takes.
pub(super) fn unknown_destination(
    mode: OutboundMode,
    settings: &HttpServerSettings,
) -> FilterChain {
    let cluster = match mode {
        OutboundMode::AllowAny | OutboundMode::AllowAnyDynamicDns => PASSTHROUGH,
        OutboundMode::RegistryOnly => BLACK_HOLE,
    };
    to_cluster(cluster, ChainMatch::default(), cluster, settings)
}

/// `virtualOutbound`: all captured traffic. Connections to its own port lead nowhere, so that they do not come back.
pub(in crate::translate) fn virtual_outbound(
    capture: &Capture,
    mode: OutboundMode,
    settings: &HttpServerSettings,
) -> Listener {
    let address = match capture {
        Capture::Redirect => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Capture::Loopback { pod, .. } => *pod,
    };
    let to_itself = ChainMatch::port(ports::PROXY_OUTBOUND);
    let address = SocketAddr::new(address, ports::PROXY_OUTBOUND);
    Listener {
        use_original_destination: true,
        inspect: Inspect {
            original_destination: true,
            ..Inspect::default()
        },
        chains: vec![to_cluster(
            "virtualOutbound-blackhole",
            to_itself,
            BLACK_HOLE,
            settings,
        )],
        default_chain: Some(FilterChain {
            name: "virtualOutbound-catchall-tcp".into(),
            ..unknown_destination(mode, settings)
        }),
        ..Listener::new(VIRTUAL_OUTBOUND.into(), address, Direction::Outbound)
    }
}

fn to_cluster(
    name: &str,
    matcher: ChainMatch,
    cluster: &str,
    settings: &HttpServerSettings,
) -> FilterChain {
    let network = settings.tcp(Direction::Outbound, TcpProxy::to(cluster));
    FilterChain::new(name, matcher, network)
}
