//! Who a client is: Istio's node ids and metadata.
//!
//! A node id is `KIND~ADDRESS~POD.NAMESPACE~DOMAIN`; metadata is a free object whose well-known keys say more. Foreign clients are
//! understood as far as they go: what is missing gets the defaults of a sidecar with redirected traffic.

use std::collections::BTreeMap;
use std::net::IpAddr;

use mesh_ir::{Capture, Locality, ProxyKind, ProxyScope};
use prost_types::{Struct, Value, value::Kind};

use crate::discovery::{self, Node};

/// Everything that a client tells about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeInfo {
    /// Sidecar or gateway.
    pub kind: ProxyKind,
    /// Address of the pod, where it is known.
    pub address: Option<IpAddr>,
    /// Name of the pod.
    pub pod: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Domain for short names, `NAMESPACE.svc.cluster.local`.
    pub domain: String,
    /// Service cluster of the node, `app.namespace` in Istio.
    pub cluster: String,
    /// Where it runs.
    pub locality: Option<Locality>,
    /// Program, `envoy` or our own.
    pub user_agent: String,
    /// Version of the program.
    pub version: String,
    /// Istio's node metadata.
    pub metadata: Struct,
}

/// Why a node cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNode {
    /// The id has another form.
    #[error("the node id {0:?} is not of the form KIND~ADDRESS~POD.NAMESPACE~DOMAIN")]
    Form(String),
    /// The kind of proxy is unknown.
    #[error("the node id {id:?} begins with {kind:?}, expected sidecar or router")]
    Kind {
        /// Whole id.
        id: String,
        /// Its first part.
        kind: String,
    },
    /// Nothing says which namespace the proxy belongs to.
    #[error("the node id {0:?} names no namespace, and the metadata has no NAMESPACE")]
    Namespace(String),
}

/// Keys of the metadata.
pub mod keys {
    /// Name of the pod.
    pub const NAME: &str = "NAME";
    /// Namespace of the pod.
    pub const NAMESPACE: &str = "NAMESPACE";
    /// Labels of the pod, an object.
    pub const LABELS: &str = "LABELS";
    /// Addresses of the pod, joined by commas.
    pub const INSTANCE_IPS: &str = "INSTANCE_IPS";
    /// Cluster in the sense of Kubernetes.
    pub const CLUSTER_ID: &str = "CLUSTER_ID";
    /// Network in multi-network meshes.
    pub const NETWORK: &str = "NETWORK";
    /// Version of the proxy.
    pub const ISTIO_VERSION: &str = "ISTIO_VERSION";
    /// Service account of the pod.
    pub const SERVICE_ACCOUNT: &str = "SERVICE_ACCOUNT";
    /// Name of the owner of the pod.
    pub const WORKLOAD_NAME: &str = "WORKLOAD_NAME";
    /// `REDIRECT`, `TPROXY` or `NONE`.
    pub const INTERCEPTION_MODE: &str = "INTERCEPTION_MODE";
    /// Ours: whether it discovers virtual hosts one by one (VHDS), which Envoy never says by itself.
    pub const VHDS: &str = "VHDS";
    /// `true` where the proxy answers its workload's DNS.
    pub const DNS_CAPTURE: &str = "DNS_CAPTURE";
    /// Ours: where the application binds, when nothing redirects traffic.
    pub const MESH_APP_ADDRESS: &str = "MESH_APP_ADDRESS";

    /// What tells one proxy from all others, or is a part of its scope by itself.
    pub(super) const INDIVIDUAL: [&str; 8] = [
        NAME,
        NAMESPACE,
        INSTANCE_IPS,
        CLUSTER_ID,
        NETWORK,
        ISTIO_VERSION,
        VHDS,
        MESH_APP_ADDRESS,
    ];
}

// === impl NodeInfo ===

impl NodeInfo {
    /// A node with nothing but a name.
    pub fn new(kind: ProxyKind, address: Option<IpAddr>, pod: &str, namespace: &str) -> Self {
        Self {
            kind,
            address,
            pod: pod.to_owned(),
            namespace: namespace.to_owned(),
            domain: [namespace, "svc.cluster.local"].join("."),
            cluster: String::new(),
            locality: None,
            user_agent: String::new(),
            version: String::new(),
            metadata: Struct::default(),
        }
    }

    /// Istio's node id.
    pub fn id(&self) -> String {
        let kind = match self.kind {
            ProxyKind::Sidecar => "sidecar",
            ProxyKind::Gateway => "router",
        };
        let address = self
            .address
            .map(|address| address.to_string())
            .unwrap_or_default();
        let pod = [self.pod.as_str(), &self.namespace].join(".");
        [kind, &address, &pod, &self.domain].join("~")
    }

    /// A text of the metadata.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.metadata.fields.get(key)?.kind.as_ref()? {
            Kind::StringValue(text) => Some(text),
            _ => None,
        }
    }

    /// Sets a text of the metadata.
    pub fn set_text(&mut self, key: &str, value: impl Into<String>) {
        self.metadata
            .fields
            .insert(key.to_owned(), Value::from(value.into()));
    }

    /// Whether it asks for route configurations that leave virtual hosts to discovery.
    pub fn has_vhds(&self) -> bool {
        let value = self.metadata.fields.get(keys::VHDS);
        match value.and_then(|value| value.kind.as_ref()) {
            Some(Kind::BoolValue(asked)) => *asked,
            Some(Kind::StringValue(text)) => text == "true",
            _ => false,
        }
    }

    /// Labels of the pod.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let Some(Kind::StructValue(labels)) = self
            .metadata
            .fields
            .get(keys::LABELS)
            .and_then(|value| value.kind.as_ref())
        else {
            return BTreeMap::new();
        };
        labels
            .fields
            .iter()
            .filter_map(|(key, value)| match value.kind.as_ref()? {
                Kind::StringValue(text) => Some((key.clone(), text.clone())),
                _ => None,
            })
            .collect()
    }

    /// Sets the labels of the pod.
    pub fn set_labels(&mut self, labels: &BTreeMap<String, String>) {
        let fields = labels
            .iter()
            .map(|(key, value)| (key.clone(), Value::from(value.clone())))
            .collect();
        let kind = Some(Kind::StructValue(Struct { fields }));
        self.metadata
            .fields
            .insert(keys::LABELS.to_owned(), Value { kind });
    }

    /// The texts of the metadata that proxies have in common.
    fn common_metadata(&self) -> BTreeMap<String, String> {
        let fields = self.metadata.fields.iter();
        fields
            .filter(|(key, _)| !keys::INDIVIDUAL.contains(&key.as_str()))
            .filter_map(|(key, value)| match value.kind.as_ref()? {
                Kind::StringValue(text) => Some((key.clone(), text.clone())),
                _ => None,
            })
            .collect()
    }

    /// What translation needs to know of the proxy.
    ///
    /// Capture is by loopback when the metadata names the application's address, nothing redirects traffic and the pod's address is
    /// known; by redirection otherwise.
    pub fn scope(&self) -> ProxyScope {
        let mut scope = ProxyScope::new(self.kind, self.namespace.clone(), self.labels());
        let app = self
            .text(keys::MESH_APP_ADDRESS)
            .and_then(|text| text.parse().ok());
        if let (Some("NONE"), Some(pod), Some(app)) =
            (self.text(keys::INTERCEPTION_MODE), self.address, app)
        {
            scope.capture = Capture::Loopback { pod, app };
        }
        // Without capture by the kernel the proxy is told names, and resolves them.
        scope.captures_dns = matches!(self.text(keys::DNS_CAPTURE), Some("true" | "1"))
            || matches!(scope.capture, Capture::Loopback { .. });
        scope.address = self.address;
        scope.locality = self.locality.clone();
        if let Some(cluster) = self.text(keys::CLUSTER_ID).filter(|id| !id.is_empty()) {
            scope.cluster_id = cluster.to_owned();
        }
        if let Some(network) = self.text(keys::NETWORK) {
            scope.network = network.to_owned();
        }
        if let Some((_, domain)) = self.domain.split_once(".svc.") {
            scope.dns_domain = domain.to_owned();
        }
        scope.version = self
            .text(keys::ISTIO_VERSION)
            .unwrap_or_default()
            .to_owned();
        scope.metadata = self.common_metadata();
        scope
    }

    /// Whether the workload has an address of IPv6.
    pub fn has_ipv6(&self) -> bool {
        let all = self.text(keys::INSTANCE_IPS).unwrap_or_default();
        let mut all = all.split(',').filter_map(|ip| ip.trim().parse().ok());
        all.any(|ip: IpAddr| ip.is_ipv6()) || self.address.is_some_and(|ip| ip.is_ipv6())
    }

    /// The node of a request.
    pub fn to_node(&self) -> Node {
        Node {
            id: self.id(),
            cluster: self.cluster.clone(),
            metadata: Some(self.metadata.clone()),
            locality: self.locality.as_ref().map(|locality| discovery::Locality {
                region: locality.region.to_string(),
                zone: locality.zone.to_string(),
                sub_zone: locality.subzone.to_string(),
            }),
            user_agent_name: self.user_agent.clone(),
            user_agent_version: self.version.clone(),
        }
    }
}

impl TryFrom<Node> for NodeInfo {
    type Error = InvalidNode;

    fn try_from(node: Node) -> Result<Self, Self::Error> {
        let Node {
            id,
            cluster,
            metadata,
            locality,
            user_agent_name,
            user_agent_version,
        } = node;
        let parts: Vec<&str> = id.split('~').collect();
        let [kind, address, name, domain] = parts.as_slice() else {
            return Err(InvalidNode::Form(id));
        };
        let kind = match *kind {
            "sidecar" => ProxyKind::Sidecar,
            "router" => ProxyKind::Gateway,
            other => {
                return Err(InvalidNode::Kind {
                    kind: other.to_owned(),
                    id,
                });
            }
        };
        // Pod names may contain dots, namespaces may not.
        let (pod, namespace) = name.rsplit_once('.').unwrap_or((name, ""));
        let mut info = Self {
            kind,
            address: address.parse().ok(),
            pod: pod.to_owned(),
            namespace: namespace.to_owned(),
            domain: (*domain).to_owned(),
            cluster,
            locality: locality.map(|locality| Locality {
                region: locality.region.into(),
                zone: locality.zone.into(),
                subzone: locality.sub_zone.into(),
            }),
            user_agent: user_agent_name,
            version: user_agent_version,
            metadata: metadata.unwrap_or_default(),
        };
        // Istio trusts the metadata over the id.
        if let Some(namespace) = info.text(keys::NAMESPACE).filter(|text| !text.is_empty()) {
            info.namespace = namespace.to_owned();
        }
        if info.namespace.is_empty() {
            return Err(InvalidNode::Namespace(id));
        }
        if info.address.is_none() {
            info.address = info
                .text(keys::INSTANCE_IPS)
                .and_then(|list| list.split(',').find_map(|ip| ip.trim().parse().ok()));
        }
        if let Some(version) = info.text(keys::ISTIO_VERSION)
            && info.version.is_empty()
        {
            info.version = version.to_owned();
        }
        Ok(info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, metadata: &[(&str, &str)]) -> Node {
        Node {
            id: id.to_owned(),
            metadata: Some(Struct {
                fields: metadata
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), Value::from(*value)))
                    .collect(),
            }),
            ..Node::default()
        }
    }

    const ID: &str = "sidecar~10.1.2.3~reviews-v1.a.default~default.svc.example.org";

    #[test]
    fn ids_are_parsed_and_written() {
        let mut info = NodeInfo::try_from(node(ID, &[("CLUSTER_ID", "east")])).unwrap();
        assert_eq!(info.pod, "reviews-v1.a");
        assert_eq!(info.namespace, "default");
        assert_eq!(info.id(), ID);
        let labels = BTreeMap::from([("app".to_owned(), "reviews".to_owned())]);
        info.set_labels(&labels);
        assert_eq!(NodeInfo::try_from(info.to_node()), Ok(info.clone()));
        let scope = info.scope();
        assert_eq!(scope.labels, labels);
        assert_eq!(scope.dns_domain, "example.org");
        assert_eq!(scope.cluster_id, "east");
        assert_eq!(scope.capture, Capture::Redirect);
    }

    #[test]
    fn capture_is_by_loopback_only_when_all_is_known() {
        let capture = |metadata: &[(&str, &str)]| {
            NodeInfo::try_from(node(ID, metadata))
                .unwrap()
                .scope()
                .capture
        };
        let app = ("MESH_APP_ADDRESS", "127.1.0.9");
        assert_eq!(
            capture(&[("INTERCEPTION_MODE", "NONE"), app]),
            Capture::Loopback {
                pod: [10, 1, 2, 3].into(),
                app: [127, 1, 0, 9].into(),
            }
        );
        assert_eq!(capture(&[app]), Capture::Redirect);
        assert_eq!(capture(&[("INTERCEPTION_MODE", "NONE")]), Capture::Redirect);
    }

    #[test]
    fn the_metadata_fills_gaps() {
        let metadata = [("NAMESPACE", "ns"), ("INSTANCE_IPS", "x, 10.0.0.1")];
        let info = NodeInfo::try_from(node("router~~gw~", &metadata)).unwrap();
        assert_eq!(info.kind, ProxyKind::Gateway);
        assert_eq!(info.namespace, "ns");
        assert_eq!(info.address, Some([10, 0, 0, 1].into()));
        assert_eq!(info.scope().dns_domain, "cluster.local");
    }

    #[test]
    fn other_ids_are_refused() {
        for id in [
            "",
            "sidecar~a~b",
            "ztunnel~1.1.1.1~a.b~c",
            "router~~gw~",
            "a~b~c~d~e",
        ] {
            assert!(NodeInfo::try_from(node(id, &[])).is_err(), "{id}");
        }
    }
}
