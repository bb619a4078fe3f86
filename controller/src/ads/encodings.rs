//! Encoded configuration: translated and encoded once for each generation, whoever asks first.
//!
//! Proxies of one namespace share the outbound part, which is nearly all there is; equal scopes share even the rest.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use mesh_core::translate::{Outbound, OutboundKey};
use mesh_ir::{ProxyConfig, ProxyScope};
use mesh_xds::resource::{Encoder, ResourceSnapshot};
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
    scopes: FxHashMap<ProxyScope, Cell>,
    outbound: FxHashMap<OutboundKey, Cell>,
}

/// A place that the first one who needs it fills.
type Cell = Arc<OnceLock<ResourceSnapshot>>;

// === impl Encodings ===

impl Encodings {
    /// What a proxy of this scope should have, numbered by the generation.
    pub fn of(&self, published: &Published, scope: &ProxyScope) -> ResourceSnapshot {
        let encode = || self.encode(published, scope);
        match self.cell(published.generation, scope) {
            Some(cell) => cell.get_or_init(encode).clone(),
            None => encode(),
        }
    }

    fn encode(&self, published: &Published, scope: &ProxyScope) -> ResourceSnapshot {
        let translator = &published.translator;
        let key = OutboundKey::of(translator.snapshot(), scope);
        // The values themselves are forgotten as soon as they are encoded.
        let encode = || {
            let outbound = translator.outbound_once(&key);
            self.encoder().encode(&whole(outbound))
        };
        let shared = match self.outbound_cell(published.generation, &key) {
            Some(cell) => cell.get_or_init(encode).clone(),
            None => encode(),
        };
        let own = translator.own(scope);
        self.encoder()
            .encode_over(&shared, &own)
            .with_version(published.generation)
    }

    /// The place for a scope's result; none for a generation that is over.
    fn cell(&self, generation: u64, scope: &ProxyScope) -> Option<Cell> {
        let mut current = self.current(generation)?;
        if let Some(cell) = current.scopes.get(scope) {
            return Some(Arc::clone(cell));
        }
        Some(Arc::clone(current.scopes.entry(scope.clone()).or_default()))
    }

    /// The same for an outbound part.
    fn outbound_cell(&self, generation: u64, key: &OutboundKey) -> Option<Cell> {
        let mut current = self.current(generation)?;
        Some(Arc::clone(current.outbound.entry(key.clone()).or_default()))
    }

    /// The places of a generation; the first one who asks for a newer generation begins it.
    fn current(&self, generation: u64) -> Option<MutexGuard<'_, Current>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.generation < generation {
            *current = Current {
                generation,
                ..Current::default()
            };
            self.encoder().sweep();
        }
        (current.generation == generation).then_some(current)
    }

    fn encoder(&self) -> MutexGuard<'_, Encoder> {
        self.encoder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outbound part as a configuration.
fn whole(outbound: Outbound) -> ProxyConfig {
    let Outbound {
        listeners,
        routes,
        clusters,
        endpoints,
        names,
        diagnostics: _,
    } = outbound;
    ProxyConfig {
        listeners,
        routes,
        clusters,
        endpoints,
        secrets: Vec::new(),
        names,
    }
}
