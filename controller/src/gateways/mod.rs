//! Gives the Gateways of the Gateway API what they run on, and makes the GatewayClasses that they name. The leader alone does it.
//!
//! ```text
//! Published, injector's settings --mesh_core::gateways--> objects --what is not as it was applied--> server-side apply
//! drift.rs: an object was changed or deleted by others -----------------------^
//! ```

mod apply;
mod drift;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use mesh_core::gateways::{ManagedGateway, ManagedObject, classes, managed};
use mesh_core::resource::{Kind, ResourceKey};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::publish::Published;
use crate::webhook::Settings;
use apply::Outcome;
use drift::Drift;

/// Shortest time between two looks at all Gateways.
const PACE: Duration = Duration::from_millis(200);
/// How often it is looked whether the settings have changed, and tried again what has failed.
const TICK: Duration = Duration::from_secs(5);
/// Pause before a GatewayClass is tried again, which fails while the Gateway API is not installed.
const CLASSES_AGAIN: Duration = Duration::from_secs(30);

/// A Gateway: namespace and name.
type Name = (Arc<str>, Arc<str>);

/// Keeps what Gateways run on until it is dropped.
pub async fn keep(
    client: Client,
    mut published: watch::Receiver<Arc<Published>>,
    settings: Settings,
    revision: String,
) {
    let mut keeper = Keeper {
        client: client.clone(),
        revision,
        applied: BTreeMap::new(),
        classes_again: Instant::now(),
    };
    let mut drift = Drift::watch(&client);
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let latest = published.borrow_and_update().clone();
        let config = settings.load_full();
        if latest.generation > 0
            && let Some(config) = config
        {
            keeper.make_classes(&latest).await;
            let all = managed(latest.translator.snapshot(), &config, &keeper.revision);
            keeper.keep_all(all).await;
        }
        tokio::time::sleep(PACE).await;
        tokio::select! {
            changed = published.changed() => if changed.is_err() { return },
            gateways = drift.next() => keeper.forget(&gateways),
            _ = tick.tick() => {}
        }
    }
}

struct Keeper {
    client: Client,
    revision: String,
    /// What is in the cluster as it was applied.
    applied: BTreeMap<Name, ManagedGateway>,
    /// When missing GatewayClasses are made.
    classes_again: Instant,
}

// === impl Keeper ===

impl Keeper {
    /// Makes the GatewayClasses that are missing. One that is there is its owner's business.
    async fn make_classes(&mut self, published: &Published) {
        let now = Instant::now();
        if now < self.classes_again {
            return;
        }
        self.classes_again = now + CLASSES_AGAIN;
        let snapshot = published.translator.snapshot();
        for (name, value) in classes() {
            let key = ResourceKey {
                kind: Kind::GatewayClass,
                namespace: "".into(),
                name: name.into(),
            };
            if snapshot.get(&key).is_none() {
                apply::class(&self.client, name, &value).await;
            }
        }
    }

    async fn keep_all(&mut self, all: Vec<ManagedGateway>) {
        // What a Gateway that is gone ran on is removed by Kubernetes, as owned by it.
        let names: Vec<Name> = all.iter().map(ManagedGateway::key).collect();
        self.applied.retain(|name, _| names.contains(name));
        for gateway in all {
            let name = gateway.key();
            if self.applied.get(&name) == Some(&gateway) {
                continue;
            }
            if self.apply(&gateway).await {
                self.applied.insert(name, gateway);
            }
        }
    }

    /// Whether all is in the cluster as it should be.
    async fn apply(&self, gateway: &ManagedGateway) -> bool {
        let before = self.applied.get(&gateway.key());
        for object in &gateway.objects {
            let known = before.is_some_and(|before| has(before, object));
            match apply::object(&self.client, &gateway.namespace, object, known).await {
                Outcome::Done => {}
                // Goes on with the others: a service account of the user's own is used as it is.
                Outcome::Foreign => {}
                Outcome::Failed => return false,
            }
        }
        tracing::info!(
            namespace = &*gateway.namespace,
            gateway = &*gateway.name,
            "the gateway has what it runs on"
        );
        true
    }

    fn forget(&mut self, gateways: &[Name]) {
        for name in gateways {
            self.applied.remove(name);
        }
    }
}

/// Whether an object of this kind and name was applied for the Gateway before.
fn has(gateway: &ManagedGateway, object: &ManagedObject) -> bool {
    let mut objects = gateway.objects.iter();
    objects.any(|known| known.resource == object.resource && known.name == object.name)
}

/// Names of Gateways.
trait Named {
    fn key(&self) -> Name;
}

impl Named for ManagedGateway {
    fn key(&self) -> Name {
        (self.namespace.clone(), self.name.clone())
    }
}

#[cfg(test)]
mod tests;
