//! Translation with memory, for those who serve many proxies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use mesh_ir::{ProxyConfig, ProxyScope};

use super::cache::TranslationCache;
use super::config::{LocalResources, ProxyResources};
use super::outbound::{Outbound, OutboundKey, outbound};
use crate::diag::Diagnostic;
use crate::snapshot::Snapshot;

/// Translates one snapshot for many proxies, from any number of threads. Proxies that depend on the same share the same values;
/// [`Translator::next`] carries over what a new snapshot leaves as it was, so that unchanged clusters and endpoints are even the
/// same `Arc`s.
#[derive(Debug)]
pub struct Translator {
    snapshot: Arc<Snapshot>,
    cache: TranslationCache,
    outbound: Mutex<BTreeMap<OutboundKey, Arc<OnceLock<Arc<Outbound>>>>>,
}

/// A configuration with the findings about the objects that it depends on.
#[derive(Clone, Debug)]
pub struct Translated {
    /// What the proxy must do.
    pub config: ProxyConfig,
    /// What is wrong with or without effect in the objects.
    pub diagnostics: Vec<Diagnostic>,
}

// === impl Translator ===

impl Translator {
    /// A translator without memory of earlier snapshots.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            cache: TranslationCache::default(),
            outbound: Mutex::default(),
        }
    }

    /// The translator of a newer snapshot. Objects that are the same `Arc` in both snapshots cost next to nothing.
    pub fn next(&self, snapshot: Arc<Snapshot>) -> Self {
        Self {
            cache: self.cache.next(&snapshot),
            snapshot,
            outbound: Mutex::default(),
        }
    }

    /// The snapshot that is translated.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// What a proxy must do, as [`super::translate`] says it.
    pub fn translate(&self, scope: &ProxyScope) -> Translated {
        let parts =
            ProxyResources::translate(&self.snapshot, &self.cache, scope, |key| self.outbound(key));
        Translated {
            config: parts.join(),
            diagnostics: parts.diagnostics(),
        }
    }

    /// What a proxy has of its own, apart from the outbound part that it shares with all that have its [`OutboundKey`]; in no order.
    /// Where both have a name, its own counts.
    pub fn own(&self, scope: &ProxyScope) -> ProxyConfig {
        LocalResources::translate(&self.snapshot, &self.cache, scope).into_config()
    }

    /// The outbound part for a key, for callers that remember what they make of it: it is not remembered here.
    pub fn outbound_once(&self, key: &OutboundKey) -> Outbound {
        outbound(&self.snapshot, &self.cache, key)
    }

    /// The outbound part for a key, the same `Arc` for all proxies that have the key.
    pub fn outbound(&self, key: &OutboundKey) -> Arc<Outbound> {
        let cell = self
            .outbound
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(key.clone())
            .or_default()
            .clone();
        cell.get_or_init(|| Arc::new(outbound(&self.snapshot, &self.cache, key)))
            .clone()
    }
}
