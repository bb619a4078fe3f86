//! `networking.istio.io`.

use super::{Column, Definition, Effect, Row, definition, typed};
use crate::model::{DestinationRuleSpec, GatewaySpec, ServiceEntrySpec, VirtualServiceSpec};
use crate::resource::compile;
use crate::resource::{Kind, Object};
use crate::validate::{destination_rule, gateway, service_entry, virtual_service};

const VERSIONS: &[&str] = &[
    "networking.istio.io/v1",
    "networking.istio.io/v1beta1",
    "networking.istio.io/v1alpha3",
];
const CATEGORIES: &[&str] = &["istio-io", "networking-istio-io"];

pub(super) const ROWS: &[Row] = &[
    Row {
        effect: Effect::Partly,
        ..typed!(
            VirtualService,
            VirtualServiceSpec,
            virtual_service::check,
            VERSIONS,
            "virtualservices",
            &VIRTUAL_SERVICE
        )
    },
    Row {
        effect: Effect::Partly,
        ..typed!(
            DestinationRule,
            DestinationRuleSpec,
            destination_rule::check,
            VERSIONS,
            "destinationrules",
            &DESTINATION_RULE
        )
    },
    Row {
        effect: Effect::Partly,
        ..typed!(
            Gateway,
            GatewaySpec,
            gateway::check,
            VERSIONS,
            "gateways",
            &GATEWAY
        )
    },
    Row {
        effect: Effect::Partly,
        // Addresses that Istio, or we, give to hosts without one.
        significant: &["/spec", "/status/addresses"],
        ..typed!(
            ServiceEntry,
            ServiceEntrySpec,
            service_entry::check,
            VERSIONS,
            "serviceentries",
            &SERVICE_ENTRY
        )
    },
    Row::without_type(Kind::Sidecar, "Sidecar", "sidecars", VERSIONS),
    Row::without_type(
        Kind::WorkloadEntry,
        "WorkloadEntry",
        "workloadentries",
        VERSIONS,
    ),
    Row::without_type(
        Kind::WorkloadGroup,
        "WorkloadGroup",
        "workloadgroups",
        VERSIONS,
    ),
    Row::without_type(
        Kind::EnvoyFilter,
        "EnvoyFilter",
        "envoyfilters",
        &["networking.istio.io/v1alpha3"],
    ),
    Row::without_type(
        Kind::ProxyConfig,
        "ProxyConfig",
        "proxyconfigs",
        &["networking.istio.io/v1beta1"],
    ),
];

static VIRTUAL_SERVICE: Definition = definition!(
    VirtualServiceSpec,
    &["vs"],
    CATEGORIES,
    &[
        Column {
            name: "Gateways",
            type_: "string",
            path: ".spec.gateways",
            description: "Gateways and sidecars that apply these routes",
        },
        Column {
            name: "Hosts",
            type_: "string",
            path: ".spec.hosts",
            description: "Hosts that these routes are for",
        },
    ]
);

static DESTINATION_RULE: Definition = definition!(
    DestinationRuleSpec,
    &["dr"],
    CATEGORIES,
    &[Column {
        name: "Host",
        type_: "string",
        path: ".spec.host",
        description: "Host that this rule is for",
    }]
);

static GATEWAY: Definition = definition!(GatewaySpec, &["gw"], CATEGORIES, &[]);

static SERVICE_ENTRY: Definition = definition!(
    ServiceEntrySpec,
    &["se"],
    CATEGORIES,
    &[
        Column {
            name: "Hosts",
            type_: "string",
            path: ".spec.hosts",
            description: "Hosts of the entry",
        },
        Column {
            name: "Location",
            type_: "string",
            path: ".spec.location",
            description: "Inside or outside the mesh",
        },
        Column {
            name: "Resolution",
            type_: "string",
            path: ".spec.resolution",
            description: "How addresses are found",
        },
    ]
);
