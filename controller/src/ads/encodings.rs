//! Encoded configuration by scope: translated and encoded once for each generation, whoever asks first.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use mesh_ir::ProxyScope;
use mesh_xds::resource::{Encoder, Snapshot};
use rustc_hash::FxHashMap;

use crate::publish::Published;

/// What has been encoded for the current generation.
#[derive(Default)]
pub struct Encodings {
    current: Mutex<Current>,
    encoder: Mutex<Encoder>,
}

#[derive(Default)]
struct Current {
    generation: u64,
    scopes: FxHashMap<ProxyScope, Arc<OnceLock<Snapshot>>>,
}

// === impl Encodings ===

impl Encodings {
    /// What a proxy of this scope should have, numbered by the generation.
    pub fn of(&self, published: &Published, scope: &ProxyScope) -> Snapshot {
        let encode = || {
            let translated = published.translator.translate(scope);
            let mut encoder = self.encoder.lock().unwrap_or_else(PoisonError::into_inner);
            encoder
                .encode(&translated.config)
                .with_version(published.generation)
        };
        match self.cell(published.generation, scope) {
            Some(cell) => cell.get_or_init(encode).clone(),
            None => encode(),
        }
    }

    /// The place for a scope's result; none for a generation that is over.
    fn cell(&self, generation: u64, scope: &ProxyScope) -> Option<Arc<OnceLock<Snapshot>>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.generation > generation {
            return None;
        }
        if current.generation < generation {
            *current = Current {
                generation,
                scopes: FxHashMap::default(),
            };
            self.encoder
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .sweep();
        }
        if let Some(cell) = current.scopes.get(scope) {
            return Some(Arc::clone(cell));
        }
        Some(Arc::clone(current.scopes.entry(scope.clone()).or_default()))
    }
}
