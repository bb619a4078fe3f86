//! What the injector is configured with: the ConfigMap `istio-sidecar-injector` and the mesh's settings.
//!
//! The key `config` of the ConfigMap is YAML of this shape; every field may be left out, unknown ones are errors:
//!
//! ```yaml
//! policy: enabled             # or disabled: only pods that ask for it
//! alwaysInjectSelector: []    # label selectors, for pods that say nothing
//! neverInjectSelector: []
//! revision: default
//! values:
//!   hub: meshctl
//!   tag: 0.1.0
//!   image: proxyv2            # a name with a slash is used as it is
//!   resources: {requests: {cpu: 10m, memory: 40Mi}, limits: {cpu: "2", memory: 1Gi}}
//! ```

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::VERSION;
use crate::model::MeshConfig;
use crate::source;

/// Everything that injection depends on beside the pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InjectConfig {
    /// The injector's own settings.
    pub injector: InjectorSettings,
    /// The mesh's settings.
    pub mesh: MeshConfig,
    /// Whether the cluster is known to have init containers that keep running. No text says it: who knows the cluster does.
    pub has_native_sidecars: bool,
}

/// The injector's own settings: key `config` of the ConfigMap `istio-sidecar-injector`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct InjectorSettings {
    /// What happens to pods that say nothing.
    pub policy: Policy,
    /// Pods that say nothing and match are injected.
    pub always_inject_selector: Vec<LabelSelector>,
    /// Pods that say nothing and match are not injected; goes before `always_inject_selector`.
    pub never_inject_selector: Vec<LabelSelector>,
    /// Name of this control plane among several.
    pub revision: String,
    /// What is injected.
    pub values: ProxyValues,
}

/// What happens to pods that say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// They are injected.
    #[default]
    Enabled,
    /// They are not.
    Disabled,
}

/// What is injected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ProxyValues {
    /// Registry and path of images.
    pub hub: String,
    /// Tag of images.
    pub tag: String,
    /// Name of the proxy's image; with a slash in it, the whole reference.
    pub image: String,
    /// When images are pulled; Kubernetes' default when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image_pull_policy: String,
    /// Secrets for pulling images, added to the pod's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<String>,
    /// DNS domain of the cluster.
    pub cluster_domain: String,
    /// Name of the cluster.
    pub cluster_id: String,
    /// Namespace of the control plane.
    pub istio_namespace: String,
    /// Log level of the proxy.
    pub log_level: String,
    /// Whether the application's probes go through the agent, so that they work whatever the proxy demands of clients.
    #[serde(rename = "rewriteAppHTTPProbe")]
    pub rewrite_app_http_probe: bool,
    /// Whether the proxy is an init container that keeps running, which starts before the application and ends after it; none for
    /// where the cluster has such containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_sidecar: Option<bool>,
    /// Resources of the proxy's container.
    pub resources: ResourceRequirements,
    /// Destination networks whose traffic is redirected: `*` or networks with commas.
    #[serde(rename = "includeIPRanges")]
    pub include_ip_ranges: String,
    /// Destination networks whose traffic is not redirected.
    #[serde(rename = "excludeIPRanges")]
    pub exclude_ip_ranges: String,
    /// Inbound ports that are redirected: `*` or ports with commas.
    pub include_inbound_ports: String,
    /// Inbound ports that are not redirected.
    pub exclude_inbound_ports: String,
    /// Outbound ports that are redirected whatever the network.
    pub include_outbound_ports: String,
    /// Outbound ports that are not redirected.
    pub exclude_outbound_ports: String,
}

/// Why a configuration cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct ConfigError {
    /// Which part.
    what: &'static str,
    /// What the reader says.
    reason: String,
}

// === impl InjectConfig ===

impl InjectConfig {
    /// Reads the texts of the two ConfigMaps: key `config` of `istio-sidecar-injector` and key `mesh` of `istio`. An empty text
    /// means defaults.
    ///
    /// # Errors
    /// When a text is not YAML of the right shape.
    pub fn parse(injector: &str, mesh: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            injector: read(
                "key config of ConfigMap istio-sidecar-injector cannot be read",
                injector,
            )?,
            mesh: read("key mesh of ConfigMap istio cannot be read", mesh)?,
            has_native_sidecars: false,
        })
    }

    /// Takes down what a cluster of a version has. Init containers that keep running are there from Kubernetes 1.29 on.
    pub fn for_version(&mut self, major: &str, minor: &str) {
        // Some distributions write `29+`.
        let number = |text: &str| {
            let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
            digits.parse::<u32>().unwrap_or(0)
        };
        self.has_native_sidecars = (number(major), number(minor)) >= (1, 29);
    }

    /// Address of the control plane, `istiod.istio-system.svc:15012`.
    pub fn discovery_address(&self) -> String {
        let service = crate::install::revised("istiod", &self.injector.revision);
        format!(
            "{service}.{}.svc:15012",
            self.injector.values.istio_namespace
        )
    }
}

fn read<T: Default + serde::de::DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, ConfigError> {
    let failed = |reason| ConfigError { what, reason };
    match source::value(text).map_err(failed)? {
        Value::Null => Ok(T::default()),
        value => T::deserialize(value).map_err(|error| failed(error.to_string())),
    }
}

// === impl InjectorSettings ===

impl Default for InjectorSettings {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            always_inject_selector: Vec::new(),
            never_inject_selector: Vec::new(),
            revision: "default".into(),
            values: ProxyValues::default(),
        }
    }
}

// === impl ProxyValues ===

impl Default for ProxyValues {
    fn default() -> Self {
        let quantities = |cpu: &str, memory: &str| {
            let pair = |name: &str, amount: &str| (name.to_owned(), Quantity(amount.to_owned()));
            Some([pair("cpu", cpu), pair("memory", memory)].into())
        };
        Self {
            hub: "meshctl".into(),
            tag: VERSION.into(),
            image: "proxyv2".into(),
            image_pull_policy: String::new(),
            image_pull_secrets: Vec::new(),
            cluster_domain: "cluster.local".into(),
            cluster_id: "Kubernetes".into(),
            istio_namespace: "istio-system".into(),
            log_level: "warning".into(),
            rewrite_app_http_probe: true,
            native_sidecar: None,
            resources: ResourceRequirements {
                requests: quantities("10m", "40Mi"),
                limits: quantities("2", "1Gi"),
                claims: None,
            },
            include_ip_ranges: "*".into(),
            exclude_ip_ranges: String::new(),
            include_inbound_ports: "*".into(),
            exclude_inbound_ports: String::new(),
            include_outbound_ports: String::new(),
            exclude_outbound_ports: String::new(),
        }
    }
}

impl ProxyValues {
    /// The reference of an image: `hub/name:tag`, or the name itself when it has a slash.
    pub fn image_reference(&self, name: &str) -> String {
        if name.contains('/') {
            name.to_owned()
        } else {
            format!("{}/{name}:{}", self.hub, self.tag)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn init_containers_keep_running_from_a_version_on() {
        for (version, expected) in [
            (("1", "28"), false),
            (("1", "29+"), true),
            (("1", "35"), true),
            (("2", "0"), true),
            (("", ""), false),
        ] {
            let mut config = InjectConfig::default();
            config.for_version(version.0, version.1);
            assert_eq!(config.has_native_sidecars, expected, "{version:?}");
        }
    }
}
