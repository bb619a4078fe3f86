//! `networking.istio.io`.

use super::{Column, Definition, Effect, Row, definition, typed};
use crate::model::{
    DestinationRuleSpec, EnvoyFilterSpec, GatewaySpec, ProxyConfigSpec, ServiceEntrySpec,
    SidecarSpec, VirtualServiceSpec, WorkloadEntrySpec, WorkloadGroupSpec,
};
use crate::resource::compile;
use crate::resource::{Kind, Object};
use crate::validate::{
    destination_rule, envoy_filter, gateway, proxy_config, service_entry, sidecar, virtual_service,
    workload_entry, workload_group,
};

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
    typed!(
        Sidecar,
        SidecarSpec,
        sidecar::check,
        VERSIONS,
        "sidecars",
        &SIDECAR
    ),
    Row {
        effect: Effect::Partly,
        ..typed!(
            WorkloadEntry,
            WorkloadEntrySpec,
            workload_entry::check,
            VERSIONS,
            "workloadentries",
            &WORKLOAD_ENTRY
        )
    },
    typed!(
        WorkloadGroup,
        WorkloadGroupSpec,
        workload_group::check,
        VERSIONS,
        "workloadgroups",
        &WORKLOAD_GROUP
    ),
    Row {
        effect: Effect::Full,
        ..typed!(
            EnvoyFilter,
            EnvoyFilterSpec,
            envoy_filter::check,
            &["networking.istio.io/v1alpha3"],
            "envoyfilters",
            &ENVOY_FILTER
        )
    },
    typed!(
        ProxyConfig,
        ProxyConfigSpec,
        proxy_config::check,
        &["networking.istio.io/v1beta1"],
        "proxyconfigs",
        &PROXY_CONFIG
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

static SIDECAR: Definition = definition!(SidecarSpec, &[], CATEGORIES, &[]);

static WORKLOAD_ENTRY: Definition = definition!(
    WorkloadEntrySpec,
    &["we"],
    CATEGORIES,
    &[Column {
        name: "Address",
        type_: "string",
        path: ".spec.address",
        description: "Address of the workload",
    }]
);

static WORKLOAD_GROUP: Definition = definition!(WorkloadGroupSpec, &["wg"], CATEGORIES, &[]);

static ENVOY_FILTER: Definition = definition!(EnvoyFilterSpec, &[], CATEGORIES, &[]);

static PROXY_CONFIG: Definition = definition!(ProxyConfigSpec, &[], CATEGORIES, &[]);
