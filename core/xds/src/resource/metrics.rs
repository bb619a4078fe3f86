//! Changes to Istio's metrics: the settings of Istio's own filter (`istio.stats`), which an Envoy without it leaves out. Connections have no
//! optional filters; for them the same settings stand in the metadata of their chain.

use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::Metadata;
use envoy_types::pb::google::protobuf::{Any, ListValue, Struct, Value, value::Kind};
use mesh_ir::{Metric, MetricChange, MetricsPolicy};
use prost::Message as _;

use super::metadata::string;

/// The filter's name, and that of the metadata.
pub(super) const STATS: &str = "istio.stats";
const CONFIG: &str = "type.googleapis.com/stats.PluginConfig";
const TYPED_STRUCT: &str = "xds.type.v3.TypedStruct";

/// `xds.type.v3.TypedStruct`.
#[derive(Clone, PartialEq, prost::Message)]
struct TypedStruct {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Struct>,
}

/// The settings of the filter; none where nothing differs.
pub(super) fn to_any(value: &MetricsPolicy) -> Option<Any> {
    let settings = TypedStruct {
        type_url: CONFIG.to_owned(),
        value: Some(to_struct(value)?),
    };
    Some(Any {
        type_url: mesh_envoy::type_url(TYPED_STRUCT),
        value: settings.encode_to_vec(),
    })
}

/// None if it is something else, or the filter's own message, whose fields are Istio's.
pub(super) fn from_any(any: &Any) -> Option<MetricsPolicy> {
    if mesh_envoy::type_name(&any.type_url) != TYPED_STRUCT {
        return None;
    }
    let TypedStruct { type_url, value } = TypedStruct::decode(any.value.as_slice()).ok()?;
    (type_url == CONFIG).then(|| from_struct(&value.unwrap_or_default()))
}

pub(super) fn to_metadata(value: &MetricsPolicy) -> Option<Metadata> {
    let settings = to_struct(value)?;
    Some(Metadata {
        filter_metadata: HashMap::from([(STATS.to_owned(), settings)]),
        ..Metadata::default()
    })
}

pub(super) fn from_metadata(metadata: Option<&Metadata>) -> MetricsPolicy {
    let settings = metadata.and_then(|metadata| metadata.filter_metadata.get(STATS));
    settings.map(from_struct).unwrap_or_default()
}

fn to_struct(value: &MetricsPolicy) -> Option<Struct> {
    let changes = value.changes.iter().map(|(metric, change)| {
        let MetricChange {
            dropped,
            removed,
            set,
        } = change;
        let mut fields = HashMap::from([("name".to_owned(), string(metric.filter_name()))]);
        if *dropped {
            fields.insert("drop".to_owned(), of(Kind::BoolValue(true)));
        }
        if !removed.is_empty() {
            let values = removed.iter().map(|label| string(label)).collect();
            let list = of(Kind::ListValue(ListValue { values }));
            fields.insert("tags_to_remove".to_owned(), list);
        }
        if !set.is_empty() {
            let set = set.iter();
            let labels = set.map(|(label, value)| (label.to_string(), string(value)));
            let labels = Struct {
                fields: labels.collect(),
            };
            fields.insert("dimensions".to_owned(), of(Kind::StructValue(labels)));
        }
        of(Kind::StructValue(Struct { fields }))
    });
    let values: Vec<Value> = changes.collect();
    (!values.is_empty()).then(|| {
        let metrics = of(Kind::ListValue(ListValue { values }));
        Struct {
            fields: HashMap::from([("metrics".to_owned(), metrics)]),
        }
    })
}

fn of(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

/// Metrics without a name are all of them. What is not known is left out.
fn from_struct(settings: &Struct) -> MetricsPolicy {
    let mut policy = MetricsPolicy::default();
    for metric in list(settings, "metrics") {
        let Some(Kind::StructValue(fields)) = &metric.kind else {
            continue;
        };
        let name = match kind(fields, "name") {
            Some(Kind::StringValue(name)) => name.as_str(),
            _ => "",
        };
        let metrics = match name {
            "" => Metric::ALL.to_vec(),
            name => Metric::of_filter(name).into_iter().collect(),
        };
        for metric in metrics {
            let change = policy.changes.entry(metric).or_default();
            change.dropped |= matches!(kind(fields, "drop"), Some(Kind::BoolValue(true)));
            let removed = list(fields, "tags_to_remove").iter().filter_map(text);
            change.removed.extend(removed.map(Into::into));
            if let Some(Kind::StructValue(labels)) = kind(fields, "dimensions") {
                let labels = labels.fields.iter();
                let labels = labels.filter_map(|(label, value)| Some((label, text(value)?)));
                let labels = labels.map(|(label, value)| (label.as_str().into(), value.into()));
                change.set.extend(labels);
            }
        }
    }
    policy
}

fn kind<'a>(fields: &'a Struct, name: &str) -> Option<&'a Kind> {
    fields.fields.get(name)?.kind.as_ref()
}

fn list<'a>(fields: &'a Struct, name: &str) -> &'a [Value] {
    match kind(fields, name) {
        Some(Kind::ListValue(list)) => &list.values,
        _ => &[],
    }
}

fn text(value: &Value) -> Option<&str> {
    match &value.kind {
        Some(Kind::StringValue(text)) => Some(text),
        _ => None,
    }
}
