//! `MeshConfig`: settings of the whole mesh, from the key `mesh` of the ConfigMap `istio`.

use mesh_ir::PathNormalization;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    DefaultProviders, DurationText, ExtensionProvider, HttpRetry, LocalityLbSetting, TlsProtocol,
    ZoneAwareLbSetting,
};

/// Settings of the whole mesh. Absent fields mean Istio's defaults, which the methods give.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshConfig {
    /// Trust domain of identities; `cluster.local`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_domain: Option<String>,
    /// Namespace whose objects are for the whole mesh; `istio-system`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_namespace: Option<String>,
    /// What happens to traffic for hosts that the mesh does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound_traffic_policy: Option<OutboundTrafficPolicy>,
    /// Limit for a connection to be established; 10 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<DurationText>,
    /// File of the access log; off when empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_log_file: Option<String>,
    /// Format of the access log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_log_format: Option<String>,
    /// `TEXT` or `JSON`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_log_encoding: Option<String>,
    /// Whether access logs go to `defaultConfig.envoyAccessLogService` too; nothing acts on it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_envoy_access_log_service: Option<bool>,
    /// Whether requests are traced, where no `Telemetry` says so; no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_tracing: Option<bool>,
    /// Services that telemetry and policies refer to by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extension_providers: Vec<ExtensionProvider>,
    /// Which of them are used where a `Telemetry` does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_providers: Option<DefaultProviders>,
    /// Who sees services that do not say; `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub default_service_export_to: Vec<String>,
    /// Who sees VirtualServices that do not say; `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub default_virtual_service_export_to: Vec<String>,
    /// Who sees DestinationRules that do not say; `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub default_destination_rule_export_to: Vec<String>,
    /// Retries of routes that do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_http_retry_policy: Option<HttpRetry>,
    /// What is done to the paths of requests before policies and routes look at them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_normalization: Option<ProxyPathNormalization>,
    /// Settings of proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_config: Option<serde_json::Value>,
    /// Whether traffic inside the mesh is encrypted on its own accord; yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_auto_mtls: Option<bool>,
    /// Whether application metrics are served by the agent as well; yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_prometheus_merge: Option<bool>,
    /// `OFF`, `DEFAULT` or `STRICT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_controller_mode: Option<String>,
    /// Service of the gateway that obeys Ingresses, whose address their status tells; `istio-ingressgateway` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_service: Option<String>,
    /// Port of captured traffic; nothing acts on another than 15001.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_listen_port: Option<i64>,
    /// How long the first bytes of a connection are waited for; nothing acts on it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_detection_timeout: Option<DurationText>,
    /// Further names of the trust domain; nothing acts on them yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trust_domain_aliases: Vec<String>,
    /// Preference for near endpoints, where DestinationRules do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locality_lb_setting: Option<LocalityLbSetting>,
    /// Preference for endpoints of the same zone; nothing acts on it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_aware_lb_setting: Option<ZoneAwareLbSetting>,
    /// Settings of some services; nothing acts on them yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub service_settings: Vec<ServiceSettings>,
    /// Versions and algorithms of TLS where gateways and rules say none, but for the mesh's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_defaults: Option<MeshTls>,
    /// Versions and algorithms that workloads take from each other.
    #[serde(rename = "meshMTLS", skip_serializing_if = "Option::is_none")]
    pub mesh_mtls: Option<MeshTls>,
}

/// Settings of some services.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSettings {
    /// Hosts of the services, or patterns of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

/// Versions and algorithms of TLS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshTls {
    /// Oldest version; 1.2 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_protocol_version: Option<TlsProtocol>,
    /// Cipher suites before TLS 1.3 by OpenSSL's names, the preferred one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cipher_suites: Vec<String>,
    /// Elliptic curves by Envoy's names, such as `P-256`; inside of the mesh they cannot be chosen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ecdh_curves: Vec<String>,
}

/// What happens to traffic for unknown hosts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OutboundTrafficPolicy {
    /// The policy; `ALLOW_ANY` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<OutboundMode>,
}

/// Policies for unknown hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OutboundMode {
    /// It goes where it was meant to go.
    AllowAny,
    /// It is refused.
    RegistryOnly,
    /// HTTP requests go to what their `Host` resolves to, everything else to where it was meant to go.
    AllowAnyDynamicDns,
}

/// What is done to the paths of requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyPathNormalization {
    /// The level; `MERGE_SLASHES` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalization: Option<NormalizationType>,
}

/// Levels of path normalization; each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NormalizationType {
    /// The default, `MERGE_SLASHES`.
    Default,
    /// Paths stay as they come.
    None,
    /// Escaped unreserved characters are unescaped, backslashes become slashes, dot segments are resolved.
    Base,
    /// Slashes that follow each other become one.
    MergeSlashes,
    /// Escaped slashes and backslashes are unescaped first.
    DecodeAndMergeSlashes,
}

// === impl MeshConfig ===

impl MeshConfig {
    /// Namespace whose objects are for the whole mesh.
    pub fn root_namespace(&self) -> &str {
        self.root_namespace.as_deref().unwrap_or("istio-system")
    }

    /// The service that proxies ask or tell under a name.
    pub fn extension_provider(&self, name: &str) -> Option<&ExtensionProvider> {
        let mut providers = self.extension_providers.iter();
        providers.find(|provider| provider.name == name)
    }

    /// The hosts of the services that proxies ask about requests.
    pub fn authorizer_hosts(&self) -> impl Iterator<Item = &str> {
        let providers = self.extension_providers.iter();
        let services = providers.flat_map(|provider| {
            let http = provider.envoy_ext_authz_http.as_ref();
            let grpc = provider.envoy_ext_authz_grpc.as_ref();
            let http = http.map(|http| http.service.as_str());
            http.into_iter()
                .chain(grpc.map(|grpc| grpc.service.as_str()))
        });
        services.map(|service| service.split_once('/').map_or(service, |(_, host)| host))
    }

    /// What happens to traffic for unknown hosts.
    pub fn outbound_mode(&self) -> OutboundMode {
        self.outbound_traffic_policy
            .as_ref()
            .and_then(|policy| policy.mode)
            .unwrap_or(OutboundMode::AllowAny)
    }

    /// What is done to the paths of requests.
    pub fn path_normalization(&self) -> PathNormalization {
        let asked = self
            .path_normalization
            .as_ref()
            .and_then(|path| path.normalization);
        match asked {
            // Istio's is BASE. Most servers take `//admin` for `/admin`, which policies for `/admin` must not overlook.
            None | Some(NormalizationType::Default | NormalizationType::MergeSlashes) => {
                PathNormalization::MergeSlashes
            }
            Some(NormalizationType::None) => PathNormalization::None,
            Some(NormalizationType::Base) => PathNormalization::Base,
            Some(NormalizationType::DecodeAndMergeSlashes) => {
                PathNormalization::DecodeAndMergeSlashes
            }
        }
    }

    /// Preference for near endpoints where DestinationRules do not say: by default they are preferred where endpoints are ejected.
    pub fn locality_lb_setting(&self) -> &LocalityLbSetting {
        static DEFAULT: LocalityLbSetting = LocalityLbSetting {
            distribute: Vec::new(),
            failover: Vec::new(),
            failover_priority: Vec::new(),
            enabled: Some(true),
        };
        self.locality_lb_setting.as_ref().unwrap_or(&DEFAULT)
    }

    /// The domain of the identities of the mesh's workloads.
    pub fn trust_domain(&self) -> &str {
        let named = self.trust_domain.as_deref();
        named
            .filter(|domain| !domain.is_empty())
            .unwrap_or("cluster.local")
    }

    /// Limit for a connection to be established.
    pub fn connect_timeout(&self) -> std::time::Duration {
        self.connect_timeout
            .map_or(std::time::Duration::from_secs(10), |text| text.0)
    }
}
