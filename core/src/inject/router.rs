//! The proxy's container of a gateway: the same proxy as a sidecar's, in a pod of its own.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ContainerPort, EnvVar, ResourceRequirements};

use serde_json::{Map, Value, json};

use super::InjectConfig;
use super::proxy_config::MergedProxyConfig;
use super::sidecar::{ProxySpec, env};
use super::template::child;

/// What a gateway's container is built from beside the configuration.
pub(crate) struct Router<'a> {
    /// Name of the Deployment.
    pub(crate) name: &'a str,
    /// Namespace of the Deployment.
    pub(crate) namespace: &'a str,
    /// When the image is pulled; empty for Kubernetes' default.
    pub(crate) pull_policy: String,
    /// Resources.
    pub(crate) resources: ResourceRequirements,
    /// Ports beside the metrics'.
    pub(crate) ports: Vec<ContainerPort>,
    /// Environment by name over the usual one.
    pub(crate) env: Vec<EnvVar>,
}

/// Lets programs without rights listen on any port, as Istio's gateways do: the ports of a Gateway are the pod's own.
pub(crate) fn allow_low_ports(spec: &mut Map<String, Value>) {
    const SETTING: &str = "net.ipv4.ip_unprivileged_port_start";
    let settings = list(child(spec, "securityContext"), "sysctls");
    if !settings.iter().any(|one| one["name"] == SETTING) {
        settings.push(json!({"name": SETTING, "value": "0"}));
    }
}

fn list<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Vec<Value> {
    let slot = map.entry(key).or_insert(Value::Null);
    if !slot.is_array() {
        *slot = Value::Array(Vec::new());
    }
    match slot {
        Value::Array(items) => items,
        _ => unreachable!("just made a list"),
    }
}

// === impl Router ===

impl Router<'_> {
    /// The container.
    pub(crate) fn container(self, config: &InjectConfig) -> Container {
        let values = &config.injector.values;
        // Only annotations can be wrong, and there are none.
        let mut proxy = MergedProxyConfig::read(&BTreeMap::new(), config).unwrap_or_default();
        let limit = self.resources.limits.as_ref();
        let limit = limit.and_then(|limits| limits.get("cpu"));
        proxy.default_concurrency(limit.map(|quantity| quantity.0.as_str()));
        let level = proxy.text("logLevel").unwrap_or(&values.log_level);
        let level = format!("--proxyLogLevel={level}");
        let Self {
            name, namespace, ..
        } = self;
        let owner = format!("kubernetes://apis/apps/v1/namespaces/{namespace}/deployments/{name}");
        let trust_domain = config.mesh.trust_domain.as_deref();
        let mut all = vec![
            env("PROXY_CONFIG", proxy.to_json()),
            env("ISTIO_META_CLUSTER_ID", values.cluster_id.as_str()),
            env("ISTIO_META_UNPRIVILEGED_POD", "true"),
            env("ISTIO_META_WORKLOAD_NAME", name),
            env("ISTIO_META_OWNER", owner),
            env(
                "TRUST_DOMAIN",
                trust_domain.unwrap_or(&values.cluster_domain),
            ),
        ];
        let metadata = proxy.metadata();
        all.extend(metadata.iter().map(|(key, value)| env(key, value.as_str())));
        all.retain(|one| !self.env.iter().any(|given| given.name == one.name));
        all.extend(self.env);
        let spec = ProxySpec {
            image: values.image_reference(&values.image),
            pull_policy: self.pull_policy,
            args: vec![
                "proxy".into(),
                "router".into(),
                "--domain".into(),
                format!("$(POD_NAMESPACE).svc.{}", values.cluster_domain),
                level,
            ],
            env: all,
            resources: self.resources,
            ports: self.ports,
            ca_address: config.discovery_address(),
        };
        spec.container()
    }
}
