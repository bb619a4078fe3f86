//! All clusters of a runtime, found by name or position.

use std::sync::Arc;

use mesh_ir::{Endpoints, List, ProxyConfig};
use rustc_hash::FxHashMap;

use super::cluster::Transport;
use super::{Cluster, Source};

/// Position of a cluster in its runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterId(u32);

/// Positions of clusters by name. Runtimes that follow each other have the same value while no cluster comes or goes.
pub type ClusterIds = FxHashMap<Arc<str>, ClusterId>;

/// The clusters, sorted by name, and what they were compiled from.
#[derive(Debug, Default)]
pub struct Clusters {
    configs: List<mesh_ir::Cluster>,
    endpoints: List<Endpoints>,
    pub(super) list: Vec<Arc<Cluster>>,
    pub(super) ids: Arc<ClusterIds>,
    /// Those whose endpoints are host names.
    pub(super) named: Vec<Arc<Cluster>>,
    /// Whether TLS is spoken to some.
    tls: bool,
}

// === impl Clusters ===

impl Clusters {
    /// The clusters of a configuration: those before where nothing is different. `transport` says how a cluster is spoken to.
    pub fn after(
        before: &Arc<Self>,
        config: &ProxyConfig,
        mut transport: impl FnMut(&mesh_ir::Cluster) -> Transport,
    ) -> Arc<Self> {
        let (configs, endpoints) = (&config.clusters, &config.endpoints);
        let same_configs = Arc::ptr_eq(&before.configs, configs);
        // What TLS is made from may have changed elsewhere.
        if same_configs && Arc::ptr_eq(&before.endpoints, endpoints) && !before.tls {
            return before.clone();
        }
        let mut told = endpoints.iter().peekable();
        let mut tls = false;
        let compile = |(index, config): (usize, &Arc<mesh_ir::Cluster>)| {
            // Both lists are sorted by the clusters' names.
            while told.next_if(|told| told.cluster < config.name).is_some() {}
            let told = told.next_if(|told| told.cluster == config.name);
            let transport = transport(config);
            tls |= !matches!(transport, Transport::Plaintext);
            match before.near(index, &config.name) {
                Some(known) if known.is_of(config, told, &transport) => known.clone(),
                known => Arc::new(Cluster::new(
                    config.clone(),
                    told.cloned(),
                    transport,
                    known.map(|known| &**known),
                )),
            }
        };
        let list: Vec<Arc<Cluster>> = configs.iter().enumerate().map(compile).collect();
        let same_names = list.len() == before.list.len()
            && (same_configs
                || list
                    .iter()
                    .zip(&before.list)
                    .all(|(a, b)| a.name() == b.name()));
        let ids = if same_names {
            before.ids.clone()
        } else {
            let ids = list.iter().enumerate();
            let id = |(index, cluster): (usize, &Arc<Cluster>)| {
                (cluster.name().clone(), ClusterId(index as u32))
            };
            Arc::new(ids.map(id).collect())
        };
        let named = list
            .iter()
            .filter(|cluster| matches!(cluster.source, Source::Dns(..)));
        Arc::new(Self {
            configs: configs.clone(),
            endpoints: endpoints.clone(),
            named: named.cloned().collect(),
            list,
            ids,
            tls,
        })
    }

    /// The cluster of a name, which is probably at this position.
    fn near(&self, index: usize, name: &str) -> Option<&Arc<Cluster>> {
        match self.list.get(index) {
            Some(cluster) if **cluster.name() == *name => Some(cluster),
            _ => self.list.get(self.ids.get(name)?.index()),
        }
    }
}

// === impl ClusterId ===

impl ClusterId {
    /// Position among the clusters.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}
