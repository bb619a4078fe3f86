//! What is known of the configuration, for people who look at the proxy.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use mesh_ir::{List, ProxyConfig, Secret};
use mesh_xds::ResourceType;
use mesh_xds::client::Client;

/// Everything about the configuration but what it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The configuration in force.
    pub config: Arc<ProxyConfig>,
    /// The proxy's own certificate, and whom it trusts; not discovered.
    pub identity: List<Secret>,
    /// When they came.
    pub identified: Option<SystemTime>,
    /// Versions by type and name.
    pub resources: BTreeMap<ResourceType, BTreeMap<String, Meta>>,
    /// Resources of which the last version was refused.
    pub refused: BTreeMap<(ResourceType, String), Refusal>,
    /// Since when there is a stream to the control plane.
    pub connected: Option<SystemTime>,
    /// What the control plane calls itself.
    pub control_plane: Option<String>,
}

/// About one resource in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Its version, as the control plane wrote it.
    pub version: String,
    /// When this version came.
    pub updated: SystemTime,
}

/// Why a version of a resource is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The version.
    pub version: String,
    /// Why.
    pub reason: String,
    /// When it came.
    pub at: SystemTime,
}

/// What is known, shared between discovery, which changes it, and pages, which look.
#[derive(Debug, Default)]
pub struct SharedKnown(Mutex<Known>);

// === impl SharedKnown ===

impl SharedKnown {
    /// Looks at it. Nobody may look for long: discovery waits.
    pub fn look<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A copy, to look at for as long as it takes.
    pub fn copy(&self) -> Known {
        self.look(Known::clone)
    }

    /// Changes it.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl Known ===

impl Known {
    /// About one resource.
    pub fn meta(&self, kind: ResourceType, name: &str) -> Option<&Meta> {
        self.resources.get(&kind)?.get(name)
    }

    /// About a route table: its own version and time, or those of the virtual host that changed after it, where these are resources of
    /// their own.
    pub fn table_meta(&self, name: &str) -> Option<&Meta> {
        let start = [name, "/"].concat();
        let hosts = self.resources.get(&ResourceType::VirtualHost);
        let hosts = hosts
            .into_iter()
            .flat_map(|hosts| hosts.range(start.clone()..));
        let hosts = hosts.take_while(|(host, _)| host.starts_with(&start));
        let hosts = hosts.map(|(_, meta)| meta);
        self.meta(ResourceType::Route, name)
            .into_iter()
            .chain(hosts)
            .max_by_key(|meta| meta.updated)
    }

    /// The refusals of a type.
    pub fn refused(&self, kind: ResourceType) -> impl Iterator<Item = (&str, &Refusal)> {
        self.refused
            .iter()
            .filter(move |((of, _), _)| *of == kind)
            .map(|((_, name), refusal)| (name.as_str(), refusal))
    }

    /// The control plane has said something new of these names: what was refused before no longer matters.
    pub(crate) fn answered(&mut self, kind: ResourceType, names: &[String]) {
        for name in names {
            self.refused.remove(&(kind, name.clone()));
        }
    }

    pub(crate) fn refuse(
        &mut self,
        kind: ResourceType,
        name: String,
        reason: String,
        version: String,
        at: SystemTime,
    ) {
        let refusal = Refusal {
            version,
            reason,
            at,
        };
        self.refused.insert((kind, name), refusal);
    }

    /// The versions of these resources as they are now.
    pub(super) fn note_versions(
        &mut self,
        kind: ResourceType,
        names: Vec<String>,
        client: &Client,
        now: SystemTime,
    ) {
        let metas = self.resources.entry(kind).or_default();
        for name in names {
            let Some(version) = client.version(kind, &name) else {
                metas.remove(&name);
                continue;
            };
            if metas.get(&name).is_none_or(|meta| meta.version != version) {
                let meta = Meta {
                    version: version.to_owned(),
                    updated: now,
                };
                metas.insert(name, meta);
            }
        }
        // What nothing refers to any more is gone without being named.
        for (kind, metas) in &mut self.resources {
            if metas.len() != client.count(*kind) {
                metas.retain(|name, _| client.version(*kind, name).is_some());
            }
        }
    }
}
