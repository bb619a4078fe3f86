//! What the registry says to others: `/debug/syncz` in Istio's keys, and how far one object has got.

use std::collections::BTreeMap;

use mesh_ir::ProxyKind;
use mesh_xds::ResourceType;
use mesh_xds::node::keys;
use mesh_xds::server::{Exchange, TypeStatus};
use serde::Serialize;

use super::connections::{Connection, Connections, Progress};

/// One proxy in `/debug/syncz`. What is sent and what is acknowledged are nonces: equal ones mean that the proxy is in step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SyncStatus {
    proxy: String,
    proxy_type: &'static str,
    cluster_id: String,
    istio_version: String,
    cluster_sent: String,
    cluster_acked: String,
    listener_sent: String,
    listener_acked: String,
    route_sent: String,
    route_acked: String,
    endpoint_sent: String,
    endpoint_acked: String,
    secret_sent: String,
    secret_acked: String,
    variant: &'static str,
    connected_since: u64,
    /// The newest snapshot of which the proxy has acknowledged everything that concerns it.
    acknowledged: Option<u64>,
    refused: Vec<RefusedResource>,
}

/// A resource that a proxy refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedResource {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    reason: String,
}

/// How far an object has got.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Distribution {
    generation: Option<u64>,
    acknowledged: Vec<String>,
    pending: Vec<String>,
    refused: Vec<RefusedBy>,
}

/// A resource and who refuses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedBy {
    proxy: String,
    #[serde(flatten)]
    resource: RefusedResource,
}

// === impl Connections ===

impl Connections {
    /// Every proxy with what it was sent and what it has acknowledged, sorted by name.
    pub fn sync_status(&self) -> Vec<SyncStatus> {
        self.proxies()
            .values()
            .map(|connection| sync_status(connection))
            .collect()
    }

    /// Which proxies have acknowledged a generation, once there is one.
    pub fn distribution(&self, generation: Option<u64>) -> Distribution {
        let mut distribution = Distribution {
            generation,
            ..Distribution::default()
        };
        for (proxy, connection) in self.proxies() {
            let progress = connection.progress();
            let resources = refused(&progress);
            distribution
                .refused
                .extend(resources.into_iter().map(|resource| RefusedBy {
                    proxy: proxy.clone(),
                    resource,
                }));
            let has_it = generation.is_some() && progress.acknowledged() >= generation;
            if has_it {
                &mut distribution.acknowledged
            } else {
                &mut distribution.pending
            }
            .push(proxy);
        }
        distribution
    }
}

fn sync_status(connection: &Connection) -> SyncStatus {
    let progress = connection.progress();
    let sent = |kind| nonces(&progress.types, kind).0;
    let acked = |kind| nonces(&progress.types, kind).1;
    SyncStatus {
        proxy: connection.proxy(),
        proxy_type: match connection.node.kind {
            ProxyKind::Sidecar => "sidecar",
            ProxyKind::Gateway => "router",
        },
        cluster_id: connection
            .node
            .text(keys::CLUSTER_ID)
            .unwrap_or("Kubernetes")
            .to_owned(),
        istio_version: connection.node.version.clone(),
        cluster_sent: sent(ResourceType::Cluster),
        cluster_acked: acked(ResourceType::Cluster),
        listener_sent: sent(ResourceType::Listener),
        listener_acked: acked(ResourceType::Listener),
        route_sent: sent(ResourceType::Route),
        route_acked: acked(ResourceType::Route),
        endpoint_sent: sent(ResourceType::Endpoints),
        endpoint_acked: acked(ResourceType::Endpoints),
        secret_sent: sent(ResourceType::Secret),
        secret_acked: acked(ResourceType::Secret),
        variant: connection.variant,
        connected_since: connection
            .since
            .duration_since(std::time::UNIX_EPOCH)
            .map(|since| since.as_secs())
            .unwrap_or_default(),
        acknowledged: progress.acknowledged(),
        refused: refused(&progress),
    }
}

/// Nonces of the last response and of the last one that was accepted; empty where there was none. A proxy that has come back and has
/// everything was sent nothing: what it has is from an earlier stream.
fn nonces(types: &BTreeMap<ResourceType, TypeStatus>, kind: ResourceType) -> (String, String) {
    let Some(status) = types.get(&kind) else {
        return Default::default();
    };
    let nonce = |exchange: &Option<Exchange>| match exchange {
        Some(exchange) => exchange.nonce.to_string(),
        None => String::new(),
    };
    if status.sent.is_none() && status.synced.is_some() {
        return ("resumed".to_owned(), "resumed".to_owned());
    }
    (nonce(&status.sent), nonce(&status.acked))
}

fn refused(progress: &Progress) -> Vec<RefusedResource> {
    let each = |(kind, status): (&ResourceType, &TypeStatus)| {
        let kind = kind.short();
        status
            .refused
            .iter()
            .map(|(name, refusal)| RefusedResource {
                kind,
                name: name.to_string(),
                reason: refusal.reason.to_string(),
            })
            .collect::<Vec<_>>()
    };
    progress.types.iter().flat_map(each).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mesh_xds::NodeInfo;
    use mesh_xds::server::Refusal;

    use super::*;

    fn status(synced: u64, nonces: (Option<&str>, Option<&str>)) -> TypeStatus {
        let exchange = |nonce: &str| Exchange {
            version: synced,
            nonce: nonce.into(),
            at: std::time::UNIX_EPOCH,
        };
        TypeStatus {
            subscribed: true,
            synced: Some(synced),
            sent: nonces.0.map(exchange),
            acked: nonces.1.map(exchange),
            ..TypeStatus::default()
        }
    }

    #[test]
    fn an_object_has_arrived_where_its_snapshot_is_acknowledged() {
        let connections = Arc::<Connections>::default();
        let connect = |pod| {
            connections.register(
                NodeInfo::new(ProxyKind::Sidecar, None, pod, "default"),
                "delta",
            )
        };
        let (quick, slow, _silent) = (connect("quick"), connect("slow"), connect("silent"));
        let mut clusters = status(4, (Some("9"), Some("9")));
        let reason = "too small".into();
        clusters
            .refused
            .insert("c".into(), Refusal { version: 1, reason });
        let types = [
            (ResourceType::Cluster, clusters),
            (ResourceType::Listener, status(5, (None, None))),
        ];
        quick
            .connection
            .update_progress(|progress| progress.types = types.into());
        let types = [(ResourceType::Cluster, status(3, (Some("9"), Some("8"))))];
        slow.connection
            .update_progress(|progress| progress.types = types.into());

        let found = connections.distribution(Some(4));
        assert_eq!(found.acknowledged, ["quick.default"]);
        assert_eq!(found.pending, ["silent.default", "slow.default"]);
        assert_eq!(found.refused.len(), 1);
        assert!(connections.distribution(None).acknowledged.is_empty());

        let shown = connections.sync_status();
        assert_eq!(
            (
                shown[0].cluster_sent.as_str(),
                shown[0].cluster_acked.as_str()
            ),
            ("9", "9")
        );
        assert_eq!(shown[0].listener_sent, shown[0].listener_acked);
        assert_eq!(
            (
                shown[2].cluster_sent.as_str(),
                shown[2].cluster_acked.as_str()
            ),
            ("9", "8")
        );
        assert_eq!(shown[1].cluster_sent, "");
        drop(quick);
        assert_eq!(connections.count(), 2);
    }
}
