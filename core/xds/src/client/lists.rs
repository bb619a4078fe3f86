//! The configuration as it was last put together, so that the next one only puts together the lists that may be different.

use std::collections::BTreeSet;

use mesh_ir::{List, ProxyConfig};

use super::Client;
use super::store::Store;
use crate::ResourceType;
use crate::resource::Resource;

/// The lists of a configuration.
#[derive(Debug)]
pub(super) struct Lists {
    config: ProxyConfig,
    stale: BTreeSet<ResourceType>,
}

// === impl Lists ===

impl Default for Lists {
    /// Nothing has been put together yet.
    fn default() -> Self {
        Self {
            config: ProxyConfig::default(),
            stale: ResourceType::ALL.into_iter().collect(),
        }
    }
}

impl Lists {
    /// Notes that values of a type are different, or which of them are complete.
    pub(super) fn note(&mut self, kind: ResourceType) {
        // Route tables are put together from their virtual hosts.
        self.stale.insert(match kind {
            ResourceType::VirtualHost => ResourceType::Route,
            other => other,
        });
        if kind == ResourceType::Route {
            self.stale.insert(ResourceType::Listener);
        }
    }

    /// Notes that it is known of more or other names of a type whether they exist. What refers to them may be complete now, or no
    /// longer.
    pub(super) fn note_readiness(&mut self, kind: ResourceType) {
        match kind {
            ResourceType::Endpoints => self.note(ResourceType::Cluster),
            ResourceType::Route | ResourceType::VirtualHost => self.note(ResourceType::Route),
            ResourceType::Secret => {
                self.note(ResourceType::Cluster);
                self.note(ResourceType::Listener);
            }
            ResourceType::Cluster | ResourceType::Listener | ResourceType::NameTable => {}
        }
    }
}

impl Client {
    /// The configuration: the last good version of everything that is complete. Valid at any time; clusters and listeners that still
    /// wait for endpoints or routes are left out, or there in their version before. A list in which nothing is different since the
    /// last call is the very same.
    pub fn config(&mut self) -> ProxyConfig {
        let mut config = std::mem::take(&mut self.lists.config);
        for kind in std::mem::take(&mut self.lists.stale) {
            match kind {
                ResourceType::Cluster => {
                    config.clusters = self.list(kind, |value| match value {
                        Resource::Cluster(value) => Some(value.clone()),
                        _ => None,
                    });
                }
                ResourceType::Endpoints => {
                    config.endpoints = self.list(kind, |value| match value {
                        Resource::Endpoints(value) => Some(value.clone()),
                        _ => None,
                    });
                }
                ResourceType::Listener => {
                    config.listeners = self.list(kind, |value| match value {
                        Resource::Listener(value) => Some(value.clone()),
                        _ => None,
                    });
                }
                ResourceType::Route => {
                    config.routes = self.list(kind, |value| match value {
                        Resource::Route(value) if value.discovers_virtual_hosts => {
                            self.tables.get(&value.name).cloned()
                        }
                        Resource::Route(value) => Some(value.clone()),
                        _ => None,
                    });
                }
                ResourceType::Secret => {
                    config.secrets = self.list(kind, |value| match value {
                        Resource::Secret(value) => Some(value.clone()),
                        _ => None,
                    });
                }
                ResourceType::NameTable => {
                    config.names = self.list(kind, |value| match value {
                        Resource::NameTable(value) => Some(value.clone()),
                        _ => None,
                    });
                }
                // Parts of the tables.
                ResourceType::VirtualHost => {}
            }
        }
        self.lists.config = config.clone();
        config
    }

    /// The complete values of a type in the order of their names.
    fn list<T>(
        &self,
        kind: ResourceType,
        part: impl Fn(&Resource) -> Option<std::sync::Arc<T>>,
    ) -> List<T> {
        let stored = self.store(kind).map(|store: &Store| &store.resources);
        let complete = stored
            .into_iter()
            .flat_map(|resources| resources.values())
            .filter_map(|stored| match &stored.before {
                _ if self.is_ready(&stored.value) => Some(&stored.value),
                Some(before) if self.is_ready(before) => Some(before),
                _ => None,
            });
        complete.filter_map(part).collect()
    }
}
