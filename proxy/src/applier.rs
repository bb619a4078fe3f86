//! Hands configurations to the workers, and tries again what failed for reasons that may pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mesh_ir::ProxyConfig;
use mesh_xds::ResourceType;
use tokio::sync::watch;

use crate::admin::State;
use crate::lifecycle::Stage;
use crate::runtime::ApplyError;
use crate::worker::Workers;

/// Pause before a port that was taken is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Applies one configuration after the other.
pub(crate) struct Applier<'a> {
    workers: &'a Workers,
    state: &'a State,
    /// Listeners without socket, and why.
    unbound: BTreeMap<Arc<str>, String>,
    /// What else could not be done, so that it is said once and not again with each configuration.
    failed: BTreeSet<String>,
}

// === impl Applier ===

impl<'a> Applier<'a> {
    pub(crate) fn new(workers: &'a Workers, state: &'a State) -> Self {
        Self {
            workers,
            state,
            unbound: BTreeMap::new(),
            failed: BTreeSet::new(),
        }
    }

    /// Applies until there are no more configurations.
    pub(crate) async fn run(mut self, mut configs: watch::Receiver<Arc<ProxyConfig>>) {
        loop {
            let changed = configs.changed();
            if self.unbound.is_empty() {
                if changed.await.is_err() {
                    return;
                }
            } else {
                let outcome = tokio::time::timeout(RETRY, changed).await;
                if matches!(outcome, Ok(Err(_))) {
                    return;
                }
            }
            let config = configs.borrow_and_update().clone();
            self.apply(&config);
        }
    }

    fn apply(&mut self, config: &ProxyConfig) {
        let mut unbound = BTreeMap::new();
        let mut failed = BTreeSet::new();
        for error in self.workers.apply(config) {
            let reason = error.to_string();
            match error {
                ApplyError::Bind { listener, .. } => {
                    if self.unbound.get(&listener) != Some(&reason) {
                        tracing::error!("{reason}; trying again");
                    }
                    unbound.insert(listener, reason);
                }
                ApplyError::Route { .. } | ApplyError::Tls { .. } => {
                    if !self.failed.contains(&reason) {
                        tracing::error!("{reason}");
                    }
                    failed.insert(reason);
                }
            }
        }
        self.state.runtime.store(self.workers.runtime());
        self.tell(&unbound);
        self.unbound = unbound;
        self.failed = failed;
        self.state.lifecycle.advance(Stage::Live);
    }

    /// Says in the dump which listeners have no socket.
    fn tell(&self, unbound: &BTreeMap<Arc<str>, String>) {
        if *unbound == self.unbound {
            return;
        }
        let kind = ResourceType::Listener;
        let gone: Vec<String> = self.unbound.keys().map(ToString::to_string).collect();
        self.state.known.change(|known| {
            known.answered(kind, &gone);
            for (name, reason) in unbound {
                let version = known.meta(kind, name).map(|meta| meta.version.clone());
                known.refuse(
                    kind,
                    name.to_string(),
                    reason.clone(),
                    version.unwrap_or_default(),
                    SystemTime::now(),
                );
            }
        });
    }
}
