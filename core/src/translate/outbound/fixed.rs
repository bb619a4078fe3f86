//! What every proxy has: the clusters for unknown destinations, the virtual host for unknown hosts, and the listener of captured
//! traffic.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mesh_ir::names::{ALLOW_ANY, BLACK_HOLE, BLOCK_ALL, PASSTHROUGH, VIRTUAL_OUTBOUND};
use mesh_ir::{
    AccessLog, Capture, ChainMatch, Cluster, ClusterKind, DirectResponse, Direction, Endpoints,
    FilterChain, Forward, HeaderOps, HttpProtocol, Limits, Listener, LoadBalancing, Network,
    PathMatch, Route, RouteAction, RouteMatch, Target, TcpProxy, VirtualHost, ports,
};

use crate::model::OutboundMode;

/// Limit for connections of the fixed clusters, Istio's default.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// `PassthroughCluster` and `BlackHoleCluster`.
pub(super) fn fixed_clusters() -> Vec<Arc<Cluster>> {
    let none = Endpoints {
        cluster: BLACK_HOLE.into(),
        localities: Vec::new(),
    };
    vec![
        Arc::new(fixed(BLACK_HOLE, ClusterKind::Static(Arc::new(none)))),
        Arc::new(original_destination(PASSTHROUGH)),
    ]
}

/// A cluster that goes where the connection was meant to go.
pub(in crate::translate) fn original_destination(name: &str) -> Cluster {
    fixed(name, ClusterKind::OriginalDestination)
}

fn fixed(name: &str, kind: ClusterKind) -> Cluster {
    Cluster {
        name: name.into(),
        load_balancing: match &kind {
            ClusterKind::OriginalDestination => LoadBalancing::ClusterProvided,
            ClusterKind::Eds | ClusterKind::Static(_) | ClusterKind::StrictDns(_) => {
                LoadBalancing::LeastRequest
            }
        },
        kind,
        connect_timeout: CONNECT_TIMEOUT,
        protocol: HttpProtocol::Http1,
        limits: Limits::default(),
        services: Vec::new(),
        origin: None,
    }
}

/// The virtual host of hosts that no other one takes: passed through, or answered with 502.
pub(super) fn unknown_host(mode: OutboundMode) -> VirtualHost {
    let (name, action) = match mode {
        OutboundMode::AllowAny | OutboundMode::AllowAnyDynamicDns => (
            ALLOW_ANY,
            RouteAction::Forward(Forward {
                target: Target::Cluster(PASSTHROUGH.into()),
                timeout: None,
                retry: None,
                path_rewrite: None,
                host_rewrite: None,
            }),
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
            matcher: RouteMatch {
                path: PathMatch::Prefix("/".into()),
                case_sensitive: true,
                headers: Vec::new(),
                query: Vec::new(),
            },
            action,
            request_headers: HeaderOps::default(),
            response_headers: HeaderOps::default(),
            origin: None,
        }],
    }
}

/// Where connections go that no listener takes.
pub(super) fn unknown_destination(
    mode: OutboundMode,
    access_log: Option<&AccessLog>,
) -> FilterChain {
    let cluster = match mode {
        OutboundMode::AllowAny | OutboundMode::AllowAnyDynamicDns => PASSTHROUGH,
        OutboundMode::RegistryOnly => BLACK_HOLE,
    };
    to_cluster(cluster, ChainMatch::default(), cluster, access_log)
}

/// `virtualOutbound`: all captured traffic. Connections to its own port lead nowhere, so that they do not come back.
pub(in crate::translate) fn virtual_outbound(
    capture: &Capture,
    mode: OutboundMode,
    access_log: Option<&AccessLog>,
) -> Listener {
    let address = match capture {
        Capture::Redirect => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Capture::Loopback { pod, .. } => *pod,
    };
    let to_itself = ChainMatch {
        destination_port: Some(ports::PROXY_OUTBOUND),
        ..ChainMatch::default()
    };
    Listener {
        name: VIRTUAL_OUTBOUND.into(),
        address: SocketAddr::new(address, ports::PROXY_OUTBOUND),
        bind: true,
        use_original_destination: true,
        detect_http: false,
        direction: Direction::Outbound,
        chains: vec![to_cluster(
            "virtualOutbound-blackhole",
            to_itself,
            BLACK_HOLE,
            access_log,
        )],
        default_chain: Some(FilterChain {
            name: "virtualOutbound-catchall-tcp".into(),
            ..unknown_destination(mode, access_log)
        }),
    }
}

fn to_cluster(
    name: &str,
    matcher: ChainMatch,
    cluster: &str,
    access_log: Option<&AccessLog>,
) -> FilterChain {
    FilterChain {
        name: name.into(),
        matcher,
        network: Network::Tcp(TcpProxy {
            stat_prefix: cluster.into(),
            clusters: vec![(cluster.into(), 1)],
            idle_timeout: None,
            access_log: access_log.cloned(),
        }),
    }
}
