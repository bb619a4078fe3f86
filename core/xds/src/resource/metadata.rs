//! Metadata: where a resource came from and what it serves (`istio`), and which transport socket an endpoint is for
//! (`envoy.transport_socket_match`). Nothing else in it changes what happens to traffic, so that what is unknown is left out.

use std::collections::HashMap;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::Metadata;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value::Kind};
use mesh_ir::{ConfigRef, ServiceRef};

use super::client_tls;

/// Istio's namespace in metadata maps.
const ISTIO: &str = "istio";
/// Envoy's namespace for what transport sockets are chosen by.
const SOCKET_MATCH: &str = "envoy.transport_socket_match";

/// The fields that are known.
#[derive(Default)]
pub(super) struct IstioMetadata {
    pub(super) config: Option<ConfigRef>,
    pub(super) services: Vec<ServiceRef>,
    pub(super) workload: Option<String>,
    /// Whether an endpoint is matched by the transport socket of the mesh's TLS.
    pub(super) offers_mtls: bool,
}

pub(super) fn string(text: &str) -> Value {
    Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    }
}

// === impl IstioMetadata ===

impl IstioMetadata {
    pub(super) fn to_proto(&self) -> Option<Metadata> {
        let Self {
            config,
            services,
            workload,
            offers_mtls,
        } = self;
        let mut fields = HashMap::new();
        if let Some(config) = config {
            fields.insert("config".to_owned(), string(&config.to_string()));
        }
        if !services.is_empty() {
            let values = services.iter().map(service).collect();
            fields.insert(
                "services".to_owned(),
                Value {
                    kind: Some(Kind::ListValue(ListValue { values })),
                },
            );
        }
        if let Some(workload) = workload {
            fields.insert("workload".to_owned(), string(workload));
        }
        let mut filter_metadata = HashMap::new();
        if !fields.is_empty() {
            filter_metadata.insert(ISTIO.to_owned(), Struct { fields });
        }
        if *offers_mtls {
            filter_metadata.insert(SOCKET_MATCH.to_owned(), client_tls::offers_mtls());
        }
        (!filter_metadata.is_empty()).then(|| Metadata {
            filter_metadata,
            typed_filter_metadata: HashMap::new(),
        })
    }

    pub(super) fn from_proto(metadata: Option<&Metadata>) -> Self {
        let of = |namespace: &str| metadata?.filter_metadata.get(namespace);
        let offers_mtls = of(SOCKET_MATCH) == Some(&client_tls::offers_mtls());
        let Some(fields) = of(ISTIO).map(|istio| &istio.fields) else {
            return Self {
                offers_mtls,
                ..Self::default()
            };
        };
        let services = match fields.get("services").and_then(|value| value.kind.as_ref()) {
            Some(Kind::ListValue(list)) => list.values.iter().filter_map(from_service).collect(),
            _ => vec![],
        };
        Self {
            config: text(fields, "config").and_then(|text| text.parse().ok()),
            services,
            workload: text(fields, "workload").map(str::to_owned),
            offers_mtls,
        }
    }
}

fn service(service: &ServiceRef) -> Value {
    let ServiceRef {
        host,
        name,
        namespace,
    } = service;
    let fields = [("host", host), ("name", name), ("namespace", namespace)]
        .map(|(key, value)| (key.to_owned(), string(value)));
    Value {
        kind: Some(Kind::StructValue(Struct {
            fields: fields.into(),
        })),
    }
}

fn from_service(value: &Value) -> Option<ServiceRef> {
    let Some(Kind::StructValue(Struct { fields })) = &value.kind else {
        return None;
    };
    let part = |key| -> Arc<str> { text(fields, key).unwrap_or_default().into() };
    Some(ServiceRef {
        host: part("host"),
        name: part("name"),
        namespace: part("namespace"),
    })
}

fn text<'a>(fields: &'a HashMap<String, Value>, key: &str) -> Option<&'a str> {
    match &fields.get(key)?.kind {
        Some(Kind::StringValue(text)) => Some(text),
        _ => None,
    }
}
