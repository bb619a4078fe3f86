//! What is known of the configuration, for people who look at the proxy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use mesh_ir::ProxyConfig;
use mesh_xds::ResourceType;

/// Everything about the configuration but what it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The configuration in force.
    pub config: Arc<ProxyConfig>,
    /// Versions by type and name.
    pub resources: BTreeMap<ResourceType, Arc<BTreeMap<String, Meta>>>,
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

// === impl Known ===

impl Known {
    /// About one resource.
    pub fn meta(&self, kind: ResourceType, name: &str) -> Option<&Meta> {
        self.resources.get(&kind)?.get(name)
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

    /// The versions of a type as they are now.
    pub(super) fn note_versions(
        &mut self,
        kind: ResourceType,
        versions: BTreeMap<String, String>,
        now: SystemTime,
    ) {
        let before = self.resources.get(&kind).cloned().unwrap_or_default();
        let metas = versions.into_iter().map(|(name, version)| {
            let meta = match before.get(&name) {
                Some(meta) if meta.version == version => meta.clone(),
                _ => Meta {
                    version,
                    updated: now,
                },
            };
            (name, meta)
        });
        self.resources.insert(kind, Arc::new(metas.collect()));
    }
}
