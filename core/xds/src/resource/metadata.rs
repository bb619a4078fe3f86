//! `filter_metadata.istio`: where a resource came from and what it serves. Metadata never changes what happens to traffic, so that what
//! is unknown in it is left out.

use std::collections::HashMap;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::Metadata;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value::Kind};
use mesh_ir::{ConfigRef, ServiceRef};

/// Istio's namespace in metadata maps.
const ISTIO: &str = "istio";

/// The fields that are known.
#[derive(Default)]
pub(super) struct IstioMetadata {
    pub(super) config: Option<ConfigRef>,
    pub(super) services: Vec<ServiceRef>,
    pub(super) workload: Option<String>,
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
        (!fields.is_empty()).then(|| Metadata {
            filter_metadata: HashMap::from([(ISTIO.to_owned(), Struct { fields })]),
            typed_filter_metadata: HashMap::new(),
        })
    }

    pub(super) fn from_proto(metadata: Option<&Metadata>) -> Self {
        let Some(fields) = metadata
            .and_then(|metadata| metadata.filter_metadata.get(ISTIO))
            .map(|istio| &istio.fields)
        else {
            return Self::default();
        };
        let services = match fields.get("services").and_then(|value| value.kind.as_ref()) {
            Some(Kind::ListValue(list)) => list.values.iter().filter_map(from_service).collect(),
            _ => vec![],
        };
        Self {
            config: text(fields, "config").and_then(|text| text.parse().ok()),
            services,
            workload: text(fields, "workload").map(str::to_owned),
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
