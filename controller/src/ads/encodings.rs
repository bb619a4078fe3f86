//! Encoded configuration, made once for all who need it and handed to each stream as it becomes ready.
//!
//! ```text
//! Published --> one blocking task: outbound tables by namespace --> encoded layers (mesh-xds)
//!                                  own parts by scope ---------------^   |
//!                                                                        v
//!                                  streams of a scope <--watch-- ResourceSnapshot
//! ```
//!
//! Translation and encoding run on the blocking pool, one batch after the other and outside of all locks: streams never wait for more
//! than their own snapshot. Proxies of one namespace share the outbound part, which is nearly all there is; equal scopes share even the
//! rest.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use mesh_core::translate::{OutboundKey, Translator};
use mesh_ir::{ProxyConfig, ProxyScope, ProxyTables, Secret, Table};
use mesh_xds::resource::{ConfigLayers, Encoder, ResourceSnapshot, VirtualHosts};
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::identity::SecretScope;
use crate::publish::Published;

/// What has been encoded, and for whom.
#[derive(Default)]
pub struct Encodings {
    slots: Mutex<FxHashMap<Arc<Key>, Weak<Slot>>>,
    /// Tells the encoding task of new slots.
    wanted: Notify,
    encoder: Encoder,
}

/// All that a configuration depends on beside the publication.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whose configuration.
    pub scope: ProxyScope,
    /// How it gets virtual hosts.
    pub hosts: VirtualHosts,
    /// Which Secrets of its namespace it may be given.
    pub secrets: SecretScope,
}

/// A snapshot and where it comes from.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    /// What the proxy should have, numbered by the generation; 0 while there is nothing.
    pub snapshot: ResourceSnapshot,
    /// When it was published.
    pub published: Option<Instant>,
}

/// The snapshots of one key, for as long as it is held.
pub struct Subscription {
    /// Keeps it among those that are encoded.
    slot: Arc<Slot>,
    snapshots: watch::Receiver<Encoded>,
}

/// The latest snapshot of a key.
struct Slot {
    key: Arc<Key>,
    latest: watch::Sender<Encoded>,
    /// What the next layers of its own part are made from, where that has route tables.
    own: Mutex<ConfigLayers>,
}

/// What the batches of one encoding task remember: outbound parts with whole route tables by their keys.
#[derive(Default)]
struct Outbounds {
    generation: u64,
    parts: FxHashMap<OutboundKey, Part>,
}

#[derive(Default)]
struct Part {
    generation: u64,
    /// Of the tables that the layers were made from.
    version: (u64, u64),
    /// Of route tables and nothing else.
    layers: ConfigLayers,
    tables: ProxyTables,
}

// === impl Encodings ===

impl Encodings {
    /// The snapshots for a key, from now on.
    pub fn subscribe(&self, key: Key) -> Subscription {
        let slot = self.slot(Arc::new(key));
        let snapshots = slot.latest.subscribe();
        self.wanted.notify_one();
        Subscription { slot, snapshots }
    }

    /// Encodes each publication for all who are subscribed, and the latest one for those who come. Ends with the publications.
    pub async fn run(self: Arc<Self>, mut publications: watch::Receiver<Arc<Published>>) {
        let mut outbounds = Outbounds::default();
        loop {
            let published = publications.borrow_and_update().clone();
            if published.generation > 0 {
                let this = Arc::clone(&self);
                let batch = tokio::task::spawn_blocking(move || {
                    this.encode(&published, &mut outbounds);
                    outbounds
                });
                outbounds = match batch.await {
                    Ok(outbounds) => outbounds,
                    Err(error) => {
                        tracing::error!(%error, "failed to encode a configuration; proxies keep the one before");
                        Outbounds::default()
                    }
                };
            }
            tokio::select! {
                changed = publications.changed() => if changed.is_err() {
                    return;
                },
                () = self.wanted.notified() => {}
            }
        }
    }

    fn slot(&self, key: Arc<Key>) -> Arc<Slot> {
        let mut slots = self.slots();
        if let Some(slot) = slots.get(&key).and_then(Weak::upgrade) {
            return slot;
        }
        let slot = Arc::new(Slot {
            key: Arc::clone(&key),
            latest: watch::Sender::default(),
            own: Mutex::default(),
        });
        slots.insert(key, Arc::downgrade(&slot));
        slot
    }

    fn slots(&self) -> MutexGuard<'_, FxHashMap<Arc<Key>, Weak<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings all slots up to date.
    fn encode(&self, published: &Published, outbounds: &mut Outbounds) {
        let slots: Vec<Arc<Slot>> = {
            let mut slots = self.slots();
            slots.retain(|_, slot| slot.strong_count() > 0);
            slots.values().filter_map(Weak::upgrade).collect()
        };
        for slot in slots {
            if slot.latest.borrow().snapshot.version() >= published.generation {
                continue;
            }
            // What one configuration stumbles over must not keep all others from theirs.
            let one = AssertUnwindSafe(|| self.encode_slot(&slot, published, outbounds));
            if catch_unwind(one).is_err() {
                *outbounds = Outbounds::default();
                tracing::error!(
                    namespace = slot.key.scope.namespace,
                    "failed to encode a configuration; its proxies keep the one before"
                );
            }
        }
        outbounds.forget_unused(published.generation);
    }

    fn encode_slot(&self, slot: &Slot, published: &Published, outbounds: &mut Outbounds) {
        let Key {
            scope,
            hosts,
            secrets,
        } = &*slot.key;
        let tables = outbounds.tables(published, scope, *hosts);
        let mut own = published.translator.own_tables(scope);
        match secrets {
            SecretScope::All => {}
            SecretScope::None => own.secrets = only(&own.secrets, &BTreeSet::new()),
            SecretScope::OfGateway => {
                let granted = published.translator.granted_secrets(scope);
                own.secrets = only(&own.secrets, &granted);
            }
        }
        let tables = if own.routes.is_empty() {
            tables.over(&own)
        } else {
            let mut layers = slot.own.lock().unwrap_or_else(PoisonError::into_inner);
            *layers = layers.next(&own.to_config(), |_| *hosts);
            layers.over(&tables)
        };
        let before = slot.latest.borrow().snapshot.clone();
        let patches = published.translator.patches(scope);
        let patches = patches.as_deref();
        let snapshot = self.encoder.encode_patched(&before, &tables, patches);
        slot.latest.send_replace(Encoded {
            snapshot: snapshot.with_version(published.generation),
            published: Some(published.at),
        });
    }
}

// === impl Subscription ===

impl Subscription {
    /// What the snapshots are made for.
    pub fn key(&self) -> &Key {
        &self.slot.key
    }

    /// The latest snapshot.
    pub fn latest(&mut self) -> Encoded {
        self.snapshots.borrow_and_update().clone()
    }

    /// Waits for a snapshot that has not been looked at.
    pub async fn changed(&mut self) {
        if self.snapshots.changed().await.is_err() {
            // The slot, and with it the sender, lives as long as this.
            std::future::pending::<()>().await;
        }
    }
}

// === impl Outbounds ===

impl Outbounds {
    /// The outbound part that a proxy of this scope shares with others.
    fn tables(
        &mut self,
        published: &Published,
        scope: &ProxyScope,
        hosts: VirtualHosts,
    ) -> ProxyTables {
        let translator = &published.translator;
        let key = OutboundKey::of(translator.snapshot(), scope);
        let tables = &translator.outbound(&key).tables;
        if hosts == VirtualHosts::Discovered {
            return tables.clone();
        }
        let part = self.parts.entry(key).or_default();
        if part.generation < published.generation {
            part.generation = published.generation;
            let version = (tables.routes.version(), tables.virtual_hosts.version());
            if part.version != version {
                part.version = version;
                part.layers = part.layers.next(&whole_routes(tables), |_| hosts);
            }
            let whole = part.layers.over(&ProxyTables::default());
            part.tables = ProxyTables {
                routes: whole.routes,
                virtual_hosts: whole.virtual_hosts,
                ..tables.clone()
            };
        }
        part.tables.clone()
    }

    /// Forgets what no slot of a publication has used.
    fn forget_unused(&mut self, generation: u64) {
        if self.generation < generation {
            self.generation = generation;
            self.parts.retain(|_, part| part.generation == generation);
        }
    }
}

/// The secrets of these names, and those that are anybody's.
fn only(secrets: &Table<Secret>, names: &BTreeSet<Arc<str>>) -> Table<Secret> {
    let all = secrets
        .iter()
        .filter(|(name, ..)| names.contains(*name) || Translator::is_public_secret(name));
    let config = ProxyConfig {
        secrets: all.map(|(_, secret, _)| secret.clone()).collect(),
        ..ProxyConfig::default()
    };
    ProxyTables::of(&config, None).secrets
}

/// Route tables with their virtual hosts in them, for clients that do not discover those.
fn whole_routes(tables: &ProxyTables) -> ProxyConfig {
    let routes = tables.routes.iter();
    ProxyConfig {
        routes: routes
            .map(|(_, routes, _)| tables.whole_routes(routes))
            .collect(),
        ..ProxyConfig::default()
    }
}
