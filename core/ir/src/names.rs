//! Names of clusters as Istio writes them: `outbound|9080|v3|reviews.default.svc.cluster.local`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::listener::Direction;

/// Cluster for destinations that no service claims, when the mesh allows them.
pub const PASSTHROUGH: &str = "PassthroughCluster";
/// Cluster without endpoints: everything routed there fails.
pub const BLACK_HOLE: &str = "BlackHoleCluster";
/// Cluster for inbound ports that no service claims.
pub const INBOUND_PASSTHROUGH: &str = "InboundPassthroughCluster";
/// Listener of captured outbound traffic.
pub const VIRTUAL_OUTBOUND: &str = "virtualOutbound";
/// Listener of captured inbound traffic.
pub const VIRTUAL_INBOUND: &str = "virtualInbound";
/// Virtual host of unknown outbound hosts when the mesh allows them.
pub const ALLOW_ANY: &str = "allow_any";
/// Virtual host of unknown outbound hosts when the mesh refuses them.
pub const BLOCK_ALL: &str = "block_all";

/// Secret with a workload's own certificate and key, as Istio's agents serve it.
pub const WORKLOAD_CERTIFICATE: &str = "default";
/// Secret with the certificates that are trusted to have signed those of other workloads.
pub const ROOT_CERTIFICATES: &str = "ROOTCA";

/// The parts of a service cluster's name, `direction|port|subset|host`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClusterName {
    /// Towards services, or towards the local workload.
    pub direction: Direction,
    /// Service port.
    pub port: u16,
    /// Subset of a `DestinationRule`; empty for the whole service.
    pub subset: Arc<str>,
    /// Fully qualified host; empty for inbound clusters.
    pub host: Arc<str>,
}

/// Why a string is not a service cluster's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a cluster name of the form direction|port|subset|host")]
pub struct InvalidClusterName(pub String);

/// The name under which a virtual host of a route configuration is a resource of its own, `TABLE/HOST`. Envoy takes what is before the
/// last slash for the table.
pub fn virtual_host_resource(table: &str, host: &str) -> Arc<str> {
    [table, "/", host].concat().into()
}

// === impl ClusterName ===

impl ClusterName {
    /// `outbound|PORT|SUBSET|HOST`.
    pub fn outbound(port: u16, subset: &str, host: &str) -> Self {
        Self {
            direction: Direction::Outbound,
            port,
            subset: subset.into(),
            host: host.into(),
        }
    }

    /// `inbound|PORT||`.
    pub fn inbound(port: u16) -> Self {
        Self {
            direction: Direction::Inbound,
            port,
            subset: "".into(),
            host: "".into(),
        }
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            direction,
            port,
            subset,
            host,
        } = self;
        write!(f, "{direction}|{port}|{subset}|{host}")
    }
}

impl FromStr for ClusterName {
    type Err = InvalidClusterName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidClusterName(text.to_owned());
        let mut parts = text.split('|');
        let (Some(direction), Some(port), Some(subset), Some(host), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err(invalid());
        };
        let direction = match direction {
            "outbound" => Direction::Outbound,
            "inbound" => Direction::Inbound,
            _ => return Err(invalid()),
        };
        let port = port.parse().map_err(|_| invalid())?;
        Ok(Self {
            direction,
            port,
            subset: subset.into(),
            host: host.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for text in [
            "outbound|9080|v3|reviews.default.svc.cluster.local",
            "inbound|9080||",
        ] {
            assert_eq!(text.parse::<ClusterName>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_names_are_refused() {
        for text in [
            "",
            "PassthroughCluster",
            "outbound|http||x",
            "outbound|80|v1",
            "a|1||b",
            "inbound|1||b|c",
        ] {
            assert!(text.parse::<ClusterName>().is_err(), "{text}");
        }
    }
}
