//! Who the proxy is: Istio's node id and metadata, and the names for metrics.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use mesh_ir::Workload;
use mesh_xds::NodeInfo;
use mesh_xds::node::keys;
use prost_types::{ListValue, Struct, Value, value::Kind};

use super::Environment;
use super::proxy_config::ProxyConfig;
use crate::args::Args;
use crate::telemetry::metrics::Peer;

/// Variables of this prefix become metadata.
const META: &str = "ISTIO_META_";

/// Variables of this prefix hold JSON that becomes metadata.
const META_JSON: &str = "ISTIO_METAJSON_";

/// The version that control planes are told.
const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) fn read(args: &Args, env: &mut Environment, config: &ProxyConfig) -> NodeInfo {
    let addresses = env.view().addresses;
    let pod = required(env, "POD_NAME", "the pod's name");
    let namespace = required(env, "POD_NAMESPACE", "the pod's namespace");
    let ips = env.text("INSTANCE_IP").unwrap_or_default().to_owned();
    let address = addresses
        .map(|addresses| addresses.pod)
        .or_else(|| instance_address(env, &ips));
    let mut node = NodeInfo::new(args.kind, address, &pod, &namespace);
    if let Some(domain) = &args.domain {
        node.domain.clone_from(domain);
    }
    node.user_agent = "mesh-proxy".to_owned();
    node.version = VERSION.to_owned();
    free_metadata(&mut node, env);
    known_metadata(&mut node, env, config, &ips);
    if let Some(addresses) = addresses {
        node.set_text(keys::INTERCEPTION_MODE, "NONE");
        node.set_text(keys::MESH_APP_ADDRESS, addresses.app.to_string());
    }
    let app = node.labels().remove("app");
    node.cluster = args
        .service_cluster
        .clone()
        .or_else(|| config.service_cluster().map(str::to_owned))
        .or_else(|| app.map(|app| [app.as_str(), &namespace].join(".")))
        .unwrap_or_else(|| ["istio-proxy", &namespace].join("."));
    node
}

fn required(env: &mut Environment, name: &str, what: &str) -> String {
    let text = env.text(name).map(str::to_owned);
    text.unwrap_or_else(|| {
        env.mistake(format!("{name} is not set, expected {what}"));
        String::new()
    })
}

/// The first of the pod's addresses.
fn instance_address(env: &mut Environment, ips: &str) -> Option<IpAddr> {
    let address = ips.split(',').find_map(|ip| ip.trim().parse().ok());
    if address.is_none() {
        env.mistake(format!(
            "INSTANCE_IP is {ips:?}, expected the pod's IP address"
        ));
    }
    address
}

/// Whatever the injector passes on.
fn free_metadata(node: &mut NodeInfo, env: &mut Environment) {
    for (key, value) in env.with_prefix(META) {
        node.set_text(key, value);
    }
    let texts: Vec<(String, String)> = env
        .with_prefix(META_JSON)
        .map(|(key, text)| (key.to_owned(), text.to_owned()))
        .collect();
    for (key, text) in texts {
        match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(value) => {
                node.metadata.fields.insert(key, to_value(value));
            }
            Err(error) => env.mistake(format!("{META_JSON}{key} is no JSON: {error}")),
        }
    }
}

/// The keys that control planes look for. The labels that are mounted are the pod's own, so they win over those of variables.
fn known_metadata(node: &mut NodeInfo, env: &Environment, config: &ProxyConfig, ips: &str) {
    let (pod, namespace) = (node.pod.clone(), node.namespace.clone());
    node.set_text(keys::NAME, pod);
    node.set_text(keys::NAMESPACE, namespace);
    node.set_text(keys::ISTIO_VERSION, VERSION);
    node.set_text(keys::VHDS, "true");
    if !ips.is_empty() {
        node.set_text(keys::INSTANCE_IPS, ips);
    }
    if let Some(account) = env.text("SERVICE_ACCOUNT") {
        node.set_text(keys::SERVICE_ACCOUNT, account);
    }
    let mut labels = node.labels();
    if let Some(text) = env.file("/etc/istio/pod/labels") {
        labels.extend(downward(&text));
    }
    if !labels.is_empty() {
        node.set_labels(&labels);
    }
    if !config.0.is_empty() {
        let value = to_value(serde_json::Value::Object(config.0.clone()));
        node.metadata
            .fields
            .insert("PROXY_CONFIG".to_owned(), value);
    }
}

/// A file of the downward API: lines of `key="value"`, the value quoted as Go does.
fn downward(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            // Labels and what else matters here hold no characters that JSON and Go quote differently.
            let value = serde_json::from_str(value).ok()?;
            Some((key.to_owned(), value))
        })
        .collect()
}

fn to_value(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(value),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Json::String(text) => Kind::StringValue(text),
        Json::Array(values) => Kind::ListValue(ListValue {
            values: values.into_iter().map(to_value).collect(),
        }),
        Json::Object(fields) => Kind::StructValue(Struct {
            fields: fields
                .into_iter()
                .map(|(key, value)| (key, to_value(value)))
                .collect(),
        }),
    };
    Value { kind: Some(kind) }
}

/// Who this is, as metrics name it.
pub(super) fn peer(node: &NodeInfo) -> Peer {
    let labels = node.labels();
    let first = |keys: &[&str]| {
        keys.iter()
            .find_map(|key| labels.get(*key).filter(|value| !value.is_empty()))
            .map(String::as_str)
    };
    let name = node.text(keys::WORKLOAD_NAME).unwrap_or(&node.pod);
    let canonical = first(&[
        "service.istio.io/canonical-name",
        "app.kubernetes.io/name",
        "app",
    ]);
    let revision = first(&[
        "service.istio.io/canonical-revision",
        "app.kubernetes.io/version",
        "version",
    ]);
    let text = |value: &str| Arc::<str>::from(value);
    Peer {
        workload: Workload {
            name: text(name),
            namespace: text(&node.namespace),
            canonical_name: text(canonical.unwrap_or(name)),
            canonical_revision: text(revision.unwrap_or("latest")),
            cluster: text(node.text(keys::CLUSTER_ID).unwrap_or("Kubernetes")),
        },
        app: text(first(&["app"]).or(canonical).unwrap_or_default()),
        version: text(first(&["version"]).or(revision).unwrap_or_default()),
    }
}
