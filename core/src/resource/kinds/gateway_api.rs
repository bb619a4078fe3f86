//! `gateway.networking.k8s.io`, the Gateway API.

use super::{Row, Scope};
use crate::resource::Kind;

const V1: &[&str] = &[
    "gateway.networking.k8s.io/v1",
    "gateway.networking.k8s.io/v1beta1",
];

pub(super) const ROWS: &[Row] = &[
    Row {
        scope: Scope::Cluster,
        ..Row::without_type(Kind::GatewayClass, "GatewayClass", "gatewayclasses", V1)
    },
    Row::without_type(Kind::KubernetesGateway, "Gateway", "gateways", V1),
    Row::without_type(Kind::HttpRoute, "HTTPRoute", "httproutes", V1),
    Row::without_type(
        Kind::GrpcRoute,
        "GRPCRoute",
        "grpcroutes",
        &[
            "gateway.networking.k8s.io/v1",
            "gateway.networking.k8s.io/v1alpha2",
        ],
    ),
    Row::without_type(
        Kind::TlsRoute,
        "TLSRoute",
        "tlsroutes",
        &[
            "gateway.networking.k8s.io/v1",
            "gateway.networking.k8s.io/v1alpha3",
            "gateway.networking.k8s.io/v1alpha2",
        ],
    ),
    Row::without_type(
        Kind::TcpRoute,
        "TCPRoute",
        "tcproutes",
        &["gateway.networking.k8s.io/v1alpha2"],
    ),
    Row::without_type(
        Kind::ReferenceGrant,
        "ReferenceGrant",
        "referencegrants",
        V1,
    ),
    Row::without_type(
        Kind::BackendTlsPolicy,
        "BackendTLSPolicy",
        "backendtlspolicies",
        &[
            "gateway.networking.k8s.io/v1",
            "gateway.networking.k8s.io/v1alpha3",
        ],
    ),
    Row::without_type(
        Kind::ListenerSet,
        "ListenerSet",
        "listenersets",
        &["gateway.networking.k8s.io/v1"],
    ),
];
