//! The proxy's start-up configuration: mesh-wide `defaultConfig`, overridden by the pod's annotation `proxy.istio.io/config`.
//! `proxyMetadata` is merged key by key; every other field is replaced.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::annotations::given;
use super::{InjectConfig, InjectError};
use crate::source;

/// Annotation with a pod's own configuration, YAML or JSON.
const ANNOTATION: &str = "proxy.istio.io/config";

/// The proxy's start-up configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct MergedProxyConfig(BTreeMap<String, Value>);

// === impl MergedProxyConfig ===

impl MergedProxyConfig {
    pub(super) fn read(
        annotations: &BTreeMap<String, String>,
        config: &InjectConfig,
    ) -> Result<Self, InjectError> {
        let mut merged = Self(BTreeMap::new());
        let discovery = Value::String(config.discovery_address());
        merged.0.insert("discoveryAddress".into(), discovery);
        if let Some(Value::Object(of_mesh)) = &config.mesh.default_config {
            merged.merge(of_mesh);
        }
        if let Some(text) = given(annotations, ANNOTATION) {
            let wrong = |why: &str| {
                InjectError::annotation(ANNOTATION, format!("not a YAML mapping: {why}"))
            };
            match source::value(text).map_err(|error| wrong(&error))? {
                Value::Object(of_pod) => merged.merge(&of_pod),
                _ => return Err(wrong("it is a single value or a list")),
            }
        }
        Ok(merged)
    }

    fn merge(&mut self, over: &Map<String, Value>) {
        for (key, value) in over {
            match (self.0.get_mut(key), value) {
                (Some(Value::Object(old)), Value::Object(new)) if key == "proxyMetadata" => {
                    old.extend(new.clone());
                }
                _ => {
                    self.0.insert(key.clone(), value.clone());
                }
            }
        }
    }

    /// Sets the number of workers when nobody has said: the CPU limit, rounded up. Without it a proxy on a large node would
    /// start a worker for each of the node's CPUs.
    pub(super) fn default_concurrency(&mut self, cpu_limit: Option<&str>) {
        if let Some(workers) = cpu_limit.and_then(whole_cpus) {
            let workers = Value::from(workers);
            self.0.entry("concurrency".into()).or_insert(workers);
        }
    }

    /// A field that is a text.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    /// A field that is yes or no.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.0.get(key).and_then(Value::as_bool).unwrap_or_default()
    }

    /// `proxyMetadata`: environment of the proxy.
    pub(super) fn metadata(&self) -> BTreeMap<String, String> {
        let metadata = self.0.get("proxyMetadata").and_then(Value::as_object);
        metadata
            .into_iter()
            .flatten()
            .map(|(key, value)| match value {
                Value::String(text) => (key.clone(), text.clone()),
                other => (key.clone(), other.to_string()),
            })
            .collect()
    }

    /// As JSON with sorted keys.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }
}

/// A Kubernetes CPU quantity (`2`, `1500m`, `0.5`) rounded up to whole CPUs, at least 1.
fn whole_cpus(quantity: &str) -> Option<u64> {
    let cpus = match quantity.strip_suffix('m') {
        Some(millis) => millis.parse::<f64>().ok()? / 1000.0,
        None => quantity.parse::<f64>().ok()?,
    };
    (cpus > 0.0 && cpus < 4096.0).then(|| {
        let mut whole = 1u32;
        while f64::from(whole) < cpus {
            whole += 1;
        }
        u64::from(whole)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_limits_are_rounded_up() {
        let cases = [
            ("2", Some(2)),
            ("1500m", Some(2)),
            ("0.1", Some(1)),
            ("10m", Some(1)),
            ("0", None),
            ("many", None),
        ];
        for (quantity, workers) in cases {
            assert_eq!(whole_cpus(quantity), workers, "{quantity}");
        }
    }
}
