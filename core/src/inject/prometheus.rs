//! Metrics of application and proxy on one port: Prometheus asks the agent, and the agent asks both.

use std::collections::BTreeMap;

use serde_json::json;

use super::{InjectConfig, InjectError, STATUS_PORT, annotations};

/// Environment variable with the application's own annotations, for the agent.
pub(super) const SCRAPE: &str = "ISTIO_PROMETHEUS_ANNOTATIONS";

const PATH: &str = "/stats/prometheus";

/// Points the annotations to the agent. Gives back what the agent must know of the application, as JSON in Istio's form.
pub(super) fn merge(
    all: &mut BTreeMap<String, String>,
    before: Option<String>,
    config: &InjectConfig,
) -> Result<Option<String>, InjectError> {
    let wanted = annotations::switch(all, "prometheus.istio.io/merge-metrics")?;
    let enabled = wanted.unwrap_or(config.mesh.enable_prometheus_merge.unwrap_or(true));
    let get = |name: &str| all.get(name).cloned().unwrap_or_default();
    let (scrape, path, port) = (
        get("prometheus.io/scrape"),
        get("prometheus.io/path"),
        get("prometheus.io/port"),
    );
    if !enabled || scrape == "false" {
        return Ok(None);
    }
    let own_port = STATUS_PORT.to_string();
    if port == own_port {
        // Injected before, or the user knows what he does: the annotations are as they should be.
        return Ok(before);
    }
    let original = [&scrape, &path, &port]
        .iter()
        .any(|text| !text.is_empty())
        .then(|| json!({ "scrape": scrape, "path": path, "port": port }).to_string());
    for (name, value) in [("scrape", "true"), ("path", PATH), ("port", &own_port)] {
        all.insert(format!("prometheus.io/{name}"), value.to_owned());
    }
    Ok(original)
}
