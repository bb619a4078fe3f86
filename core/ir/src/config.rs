//! What one kind of proxy must do, as shared values: proxies whose scopes lead to the same resource hold the same `Arc`.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Cluster, Endpoints, Listener, NameTable, RouteConfig, Secret};

/// The result of translation: every list is sorted by name and free of duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProxyConfig {
    /// Where to listen and what to do with connections.
    pub listeners: Vec<Arc<Listener>>,
    /// Route tables that listeners name.
    pub routes: Vec<Arc<RouteConfig>>,
    /// Upstreams.
    pub clusters: Vec<Arc<Cluster>>,
    /// Endpoints of the clusters that discover them.
    pub endpoints: Vec<Arc<Endpoints>>,
    /// Keys and certificates that listeners or clusters name.
    pub secrets: Vec<Arc<Secret>>,
    /// Addresses of host names.
    pub names: Arc<NameTable>,
}

/// The configuration object that a route or cluster came from, for `VIRTUAL SERVICE` columns and explanations.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConfigRef {
    /// API group and version, `networking.istio.io/v1alpha3` (the one Istio writes into its metadata).
    pub api_version: Arc<str>,
    /// Kind in kebab case, `virtual-service`.
    pub kind: Arc<str>,
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl fmt::Display for ConfigRef {
    /// The path form that Istio stores under `filter_metadata.istio.config`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            api_version,
            kind,
            namespace,
            name,
        } = self;
        write!(
            f,
            "/apis/{api_version}/namespaces/{namespace}/{kind}/{name}"
        )
    }
}

impl std::str::FromStr for ConfigRef {
    type Err = InvalidConfigRef;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            [
                "",
                "apis",
                group,
                version,
                "namespaces",
                namespace,
                kind,
                name,
            ] => Ok(Self {
                api_version: [*group, *version].join("/").into(),
                kind: (*kind).into(),
                namespace: (*namespace).into(),
                name: (*name).into(),
            }),
            _ => Err(InvalidConfigRef(text.to_owned())),
        }
    }
}

/// Why a string does not name a configuration object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not of the form /apis/GROUP/VERSION/namespaces/NAMESPACE/KIND/NAME")]
pub struct InvalidConfigRef(pub String);
