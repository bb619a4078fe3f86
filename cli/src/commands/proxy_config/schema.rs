//! The parts of Envoy's JSON that tables show. Everything may be missing: Envoy leaves out what has its default value, and fields
//! that are not named here are of no concern.

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Cluster {
    pub name: String,
    /// Left out when it is STATIC.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub cluster_type: Option<Named>,
    pub metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Named {
    pub name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Metadata {
    pub filter_metadata: FilterMetadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct FilterMetadata {
    pub istio: IstioMetadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct IstioMetadata {
    /// `/apis/networking.istio.io/v1alpha3/namespaces/default/virtual-service/reviews`.
    pub config: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Secret {
    pub name: String,
    pub tls_certificate: Option<TlsCertificate>,
    pub validation_context: Option<ValidationContext>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TlsCertificate {
    pub certificate_chain: DataSource,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ValidationContext {
    pub trusted_ca: DataSource,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DataSource {
    /// In base64.
    pub inline_bytes: Option<String>,
    pub inline_string: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Listener {
    pub name: String,
    pub address: Address,
    pub additional_addresses: Vec<AdditionalAddress>,
    pub filter_chains: Vec<FilterChain>,
    pub default_filter_chain: Option<FilterChain>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct AdditionalAddress {
    pub address: Address,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Address {
    pub socket_address: Option<SocketAddress>,
    pub pipe: Option<Pipe>,
    pub envoy_internal_address: Option<InternalAddress>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SocketAddress {
    pub address: String,
    pub port_value: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Pipe {
    pub path: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct InternalAddress {
    pub server_listener_name: String,
    pub endpoint_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct FilterChain {
    pub filter_chain_match: ChainMatch,
    pub filters: Vec<Filter>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ChainMatch {
    pub destination_port: Option<u32>,
    pub prefix_ranges: Vec<PrefixRange>,
    pub server_names: Vec<String>,
    pub transport_protocol: String,
    pub application_protocols: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PrefixRange {
    pub address_prefix: String,
    pub prefix_len: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Filter {
    pub name: String,
    pub typed_config: FilterConfig,
}

/// The settings of a network filter: those of the HTTP connection manager and of the TCP proxy together.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct FilterConfig {
    #[serde(rename = "@type")]
    pub kind: String,
    pub rds: Option<Rds>,
    pub route_config: Option<RouteConfig>,
    pub cluster: String,
    pub weighted_clusters: WeightedClusters,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Rds {
    pub route_config_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WeightedClusters {
    pub clusters: Vec<Named>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RouteConfig {
    pub name: String,
    pub virtual_hosts: Vec<VirtualHost>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct VirtualHost {
    pub name: String,
    pub domains: Vec<String>,
    pub routes: Vec<Route>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Route {
    #[serde(rename = "match")]
    pub matches: RouteMatch,
    pub route: Option<RouteAction>,
    pub metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RouteMatch {
    pub prefix: String,
    pub path: String,
    pub path_separated_prefix: String,
    pub safe_regex: Option<Regex>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Regex {
    pub regex: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RouteAction {
    pub cluster: String,
}

/// One cluster in `/clusters`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClusterStatus {
    pub name: String,
    pub host_statuses: Vec<HostStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct HostStatus {
    pub address: Address,
    pub health_status: HealthStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct HealthStatus {
    pub eds_health_status: Option<String>,
    pub failed_outlier_check: bool,
}

/// The endpoints of a cluster in a dump.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Assignment {
    pub cluster_name: String,
    pub endpoints: Vec<LocalityEndpoints>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct LocalityEndpoints {
    pub locality: Locality,
    pub lb_endpoints: Vec<LbEndpoint>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Locality {
    pub region: String,
    pub zone: String,
    pub sub_zone: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct LbEndpoint {
    pub endpoint: Endpoint,
    pub health_status: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    pub address: Address,
}

/// The typed view of a resource.
pub fn view<T: serde::de::DeserializeOwned>(value: &Value) -> anyhow::Result<T> {
    T::deserialize(value).map_err(|error| {
        let name = ["name", "cluster_name"]
            .iter()
            .find_map(|key| value.get(key)?.as_str());
        crate::failure::data(format!(
            "resource {:?} has not the shape of Envoy's: {error}",
            name.unwrap_or_default()
        ))
    })
}

// === impl Address ===

impl Address {
    /// The address without a port.
    pub fn host(&self) -> String {
        match (
            &self.socket_address,
            &self.pipe,
            &self.envoy_internal_address,
        ) {
            (Some(socket), _, _) => socket.address.clone(),
            (_, Some(pipe), _) => format!("unix://{}", pipe.path),
            (_, _, Some(internal)) => format!(
                "envoy://{}/{}",
                internal.server_listener_name, internal.endpoint_id
            ),
            (None, None, None) => String::new(),
        }
    }

    /// The port; 0 where there is none.
    pub fn port(&self) -> u32 {
        self.socket_address
            .as_ref()
            .map_or(0, |socket| socket.port_value)
    }

    /// Address and port.
    pub fn full(&self) -> String {
        match &self.socket_address {
            Some(socket) if socket.address.contains(':') => {
                format!("[{}]:{}", socket.address, socket.port_value)
            }
            Some(socket) => format!("{}:{}", socket.address, socket.port_value),
            None => self.host(),
        }
    }
}

// === impl Metadata ===

impl Metadata {
    /// The Istio object that a resource was made of: `reviews.default`, or nothing.
    pub fn object(&self) -> String {
        let mut parts = self.filter_metadata.istio.config.split('/').rev();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(name), Some(_kind), Some(namespace)) => format!("{name}.{namespace}"),
            _ => String::new(),
        }
    }
}
