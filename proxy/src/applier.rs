//! Hands configurations to the workers, with the proxy's own certificate among their secrets, and tries again what failed for reasons
//! that may pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mesh_ir::{List, ProxyConfig, Secret};
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
    /// The proxy's own certificate, and whom it trusts.
    identity: List<Secret>,
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
            identity: List::default(),
            unbound: BTreeMap::new(),
            failed: BTreeSet::new(),
        }
    }

    /// Applies until there are no more configurations. A new certificate is applied to the configuration in force. Where somebody cares for
    /// a certificate, nothing is applied before there is one, so that the first connection can be in TLS.
    pub(crate) async fn run(
        mut self,
        mut configs: watch::Receiver<Arc<ProxyConfig>>,
        mut identities: watch::Receiver<List<Secret>>,
    ) {
        let mut current = None;
        let mut has_agent = true;
        loop {
            tokio::select! {
                changed = configs.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    current = Some(configs.borrow_and_update().clone());
                }
                changed = identities.changed(), if has_agent => {
                    has_agent = changed.is_ok();
                    self.identify(identities.borrow_and_update().clone());
                }
                () = tokio::time::sleep(RETRY), if !self.unbound.is_empty() => {}
            }
            if let Some(config) = &current
                && !(has_agent && self.identity.is_empty())
            {
                let config = self.with_identity(config);
                self.apply(&config);
            }
        }
    }

    fn identify(&mut self, identity: List<Secret>) {
        let now = SystemTime::now();
        self.state.known.change(|known| {
            known.identity = identity.clone();
            known.identified = Some(now);
        });
        self.identity = identity;
    }

    /// The configuration with the proxy's own secrets, which count before others of the same names.
    fn with_identity(&self, config: &Arc<ProxyConfig>) -> Arc<ProxyConfig> {
        if self.identity.is_empty() {
            return config.clone();
        }
        let is_own =
            |secret: &&Arc<Secret>| self.identity.iter().any(|own| own.name == secret.name);
        let others = config.secrets.iter().filter(|secret| !is_own(secret));
        let mut secrets: Vec<_> = self.identity.iter().chain(others).cloned().collect();
        secrets.sort_by(|a, b| a.name.cmp(&b.name));
        Arc::new(ProxyConfig {
            secrets: secrets.into(),
            ..(**config).clone()
        })
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
