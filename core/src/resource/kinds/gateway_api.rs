//! `gateway.networking.k8s.io`, the Gateway API.

use super::{Column, Definition, Effect, Row, Scope, definition, typed};
use crate::model::gateway_api::{
    BackendTlsPolicySpec, GatewayClassSpec, GatewaySpec, GrpcRouteSpec, HttpRouteSpec,
    ListenerSetSpec, ReferenceGrantSpec, TcpRouteSpec, TlsRouteSpec,
};
use crate::resource::compile;
use crate::resource::{Kind, Object};
use crate::validate::gateway_api;

const V1: &[&str] = &[
    "gateway.networking.k8s.io/v1",
    "gateway.networking.k8s.io/v1beta1",
];
const CATEGORIES: &[&str] = &["gateway-api"];

pub(super) const ROWS: &[Row] = &[
    Row {
        effect: Effect::Full,
        scope: Scope::Cluster,
        ..typed!(
            GatewayClass,
            GatewayClassSpec,
            gateway_api::gateway_class,
            V1,
            "gatewayclasses",
            &GATEWAY_CLASS
        )
    },
    Row {
        effect: Effect::Partly,
        name: "Gateway",
        ..typed!(
            KubernetesGateway,
            GatewaySpec,
            gateway_api::gateway,
            V1,
            "gateways",
            &GATEWAY
        )
    },
    Row {
        effect: Effect::Partly,
        name: "HTTPRoute",
        ..typed!(
            HttpRoute,
            HttpRouteSpec,
            gateway_api::http_route,
            V1,
            "httproutes",
            &HTTP_ROUTE
        )
    },
    Row {
        effect: Effect::Partly,
        name: "GRPCRoute",
        ..typed!(
            GrpcRoute,
            GrpcRouteSpec,
            gateway_api::grpc_route,
            &[
                "gateway.networking.k8s.io/v1",
                "gateway.networking.k8s.io/v1alpha2",
            ],
            "grpcroutes",
            &GRPC_ROUTE
        )
    },
    Row {
        effect: Effect::Partly,
        name: "TLSRoute",
        ..typed!(
            TlsRoute,
            TlsRouteSpec,
            gateway_api::tls_route,
            &[
                "gateway.networking.k8s.io/v1",
                "gateway.networking.k8s.io/v1alpha3",
                "gateway.networking.k8s.io/v1alpha2",
            ],
            "tlsroutes",
            &TLS_ROUTE
        )
    },
    Row {
        effect: Effect::Partly,
        name: "TCPRoute",
        ..typed!(
            TcpRoute,
            TcpRouteSpec,
            gateway_api::tcp_route,
            &[
                "gateway.networking.k8s.io/v1",
                "gateway.networking.k8s.io/v1alpha2",
            ],
            "tcproutes",
            &TCP_ROUTE
        )
    },
    Row {
        name: "UDPRoute",
        ..typed!(
            UdpRoute,
            TcpRouteSpec,
            gateway_api::tcp_route,
            &[
                "gateway.networking.k8s.io/v1",
                "gateway.networking.k8s.io/v1alpha2",
            ],
            "udproutes",
            &UDP_ROUTE
        )
    },
    Row {
        effect: Effect::Full,
        ..typed!(
            ReferenceGrant,
            ReferenceGrantSpec,
            gateway_api::reference_grant,
            V1,
            "referencegrants",
            &REFERENCE_GRANT
        )
    },
    Row {
        effect: Effect::Full,
        name: "BackendTLSPolicy",
        ..typed!(
            BackendTlsPolicy,
            BackendTlsPolicySpec,
            gateway_api::backend_tls_policy,
            &[
                "gateway.networking.k8s.io/v1",
                "gateway.networking.k8s.io/v1alpha3",
            ],
            "backendtlspolicies",
            &BACKEND_TLS_POLICY
        )
    },
    Row {
        effect: Effect::Full,
        ..typed!(
            ListenerSet,
            ListenerSetSpec,
            gateway_api::listener_set,
            &["gateway.networking.k8s.io/v1"],
            "listenersets",
            &LISTENER_SET
        )
    },
];

static GATEWAY_CLASS: Definition = definition!(
    GatewayClassSpec,
    &["gc"],
    CATEGORIES,
    &[
        Column {
            name: "Controller",
            type_: "string",
            path: ".spec.controllerName",
            description: "Controller that serves gateways of the class"
        },
        Column {
            name: "Accepted",
            type_: "string",
            path: ".status.conditions[?(@.type==\"Accepted\")].status",
            description: "Whether the controller serves the class"
        },
    ]
);

static GATEWAY: Definition = definition!(
    GatewaySpec,
    &["gtw"],
    CATEGORIES,
    &[
        Column {
            name: "Class",
            type_: "string",
            path: ".spec.gatewayClassName",
            description: "Class of the gateway"
        },
        Column {
            name: "Address",
            type_: "string",
            path: ".status.addresses[*].value",
            description: "Addresses of the gateway"
        },
        Column {
            name: "Programmed",
            type_: "string",
            path: ".status.conditions[?(@.type==\"Programmed\")].status",
            description: "Whether the gateway is ready to serve"
        },
    ]
);

static HTTP_ROUTE: Definition = definition!(
    HttpRouteSpec,
    &[],
    CATEGORIES,
    &[Column {
        name: "Hostnames",
        type_: "string",
        path: ".spec.hostnames",
        description: "Hosts that the route is for"
    },]
);

static GRPC_ROUTE: Definition = definition!(
    GrpcRouteSpec,
    &[],
    CATEGORIES,
    &[Column {
        name: "Hostnames",
        type_: "string",
        path: ".spec.hostnames",
        description: "Hosts that the route is for"
    },]
);

static TLS_ROUTE: Definition = definition!(TlsRouteSpec, &[], CATEGORIES, &[]);

static TCP_ROUTE: Definition = definition!(TcpRouteSpec, &[], CATEGORIES, &[]);

static UDP_ROUTE: Definition = definition!(TcpRouteSpec, &[], CATEGORIES, &[]);

static REFERENCE_GRANT: Definition =
    definition!(ReferenceGrantSpec, &["refgrant"], CATEGORIES, &[]);

static BACKEND_TLS_POLICY: Definition =
    definition!(BackendTlsPolicySpec, &["btlspolicy"], CATEGORIES, &[]);

static LISTENER_SET: Definition = definition!(
    ListenerSetSpec,
    &["lset"],
    CATEGORIES,
    &[
        Column {
            name: "Accepted",
            type_: "string",
            path: ".status.conditions[?(@.type==\"Accepted\")].status",
            description: "Whether the gateway takes the listeners"
        },
        Column {
            name: "Programmed",
            type_: "string",
            path: ".status.conditions[?(@.type==\"Programmed\")].status",
            description: "Whether the listeners are ready to serve"
        },
    ]
);
