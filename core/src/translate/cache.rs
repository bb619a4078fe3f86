//! Compiled VirtualServices, shared by all proxies and kept from one snapshot to the next where the objects stay the same.

use std::sync::{Arc, Mutex, PoisonError};

use mesh_ir::PersistentMap;

use super::rules::CompiledRules;
use crate::resource::ResourceKey;
use crate::snapshot::{Difference, MeshVirtualService, Snapshot};

/// What was compiled before.
#[derive(Debug, Default)]
pub(super) struct TranslationCache {
    rules: Mutex<PersistentMap<ResourceKey, Arc<CompiledRules>>>,
}

// === impl TranslationCache ===

impl TranslationCache {
    /// The memory for the next snapshot: without what differs there.
    pub(super) fn next(&self, difference: &Difference) -> Self {
        if difference.everything {
            return Self::default();
        }
        let mut rules = self.lock().clone();
        for key in &difference.virtual_service_objects {
            rules.remove(key);
        }
        Self {
            rules: Mutex::new(rules),
        }
    }

    /// The compiled form of a VirtualService.
    pub(super) fn rules(
        &self,
        snapshot: &Snapshot,
        source: &Arc<MeshVirtualService>,
    ) -> Arc<CompiledRules> {
        let key = &source.resource.key;
        if let Some(known) = self.lock().get(key) {
            return known.clone();
        }
        let domain = &snapshot.options().dns_domain;
        let compiled = Arc::new(CompiledRules::compile(source, snapshot.mesh(), domain));
        self.lock().insert(key.clone(), compiled.clone());
        compiled
    }

    /// Memory stays usable after a panic elsewhere: entries are only ever inserted whole.
    fn lock(&self) -> std::sync::MutexGuard<'_, PersistentMap<ResourceKey, Arc<CompiledRules>>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
