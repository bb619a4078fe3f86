//! Encoded configuration: translated and encoded once for each generation, whoever asks first.
//!
//! Proxies of one namespace share the outbound part, which is nearly all there is; equal scopes share even the rest.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use mesh_core::translate::Outbound;
use mesh_ir::{ProxyConfig, ProxyScope};
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
    scopes: FxHashMap<ProxyScope, Cell>,
    /// By the address of the translated part, which lives as long as its generation's translator.
    outbound: FxHashMap<usize, (Arc<Outbound>, Cell)>,
}

/// A place that the first one who needs it fills.
type Cell = Arc<OnceLock<Snapshot>>;

// === impl Encodings ===

impl Encodings {
    /// What a proxy of this scope should have, numbered by the generation.
    pub fn of(&self, published: &Published, scope: &ProxyScope) -> Snapshot {
        let encode = || self.encode(published, scope);
        match self.cell(published.generation, scope) {
            Some(cell) => cell.get_or_init(encode).clone(),
            None => encode(),
        }
    }

    fn encode(&self, published: &Published, scope: &ProxyScope) -> Snapshot {
        let (outbound, own) = published.translator.translate_apart(scope);
        let shared = self
            .outbound_cell(&outbound)
            .get_or_init(|| self.encoder().encode(&whole(&outbound)))
            .clone();
        self.encoder()
            .encode_over(&shared, &own)
            .with_version(published.generation)
    }

    /// The place for a scope's result; none for a generation that is over.
    fn cell(&self, generation: u64, scope: &ProxyScope) -> Option<Cell> {
        let mut current = self.current();
        if current.generation > generation {
            return None;
        }
        if current.generation < generation {
            *current = Current {
                generation,
                ..Current::default()
            };
            self.encoder().sweep();
        }
        if let Some(cell) = current.scopes.get(scope) {
            return Some(Arc::clone(cell));
        }
        Some(Arc::clone(current.scopes.entry(scope.clone()).or_default()))
    }

    fn outbound_cell(&self, outbound: &Arc<Outbound>) -> Cell {
        let mut current = self.current();
        let address = Arc::as_ptr(outbound).addr();
        let (_, cell) = current
            .outbound
            .entry(address)
            .or_insert_with(|| (Arc::clone(outbound), Cell::default()));
        Arc::clone(cell)
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn encoder(&self) -> MutexGuard<'_, Encoder> {
        self.encoder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outbound part as a configuration, which costs a few counters.
fn whole(outbound: &Outbound) -> ProxyConfig {
    let Outbound {
        listeners,
        routes,
        clusters,
        endpoints,
        names,
        diagnostics: _,
    } = outbound;
    ProxyConfig {
        listeners: listeners.clone(),
        routes: routes.clone(),
        clusters: clusters.clone(),
        endpoints: endpoints.clone(),
        secrets: Vec::new(),
        names: Arc::clone(names),
    }
}
