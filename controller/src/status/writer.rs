//! Writes status: as leader, only what differs, and not faster than the API server likes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use mesh_core::resource::ResourceKey;
use mesh_core::snapshot::{WantedStatus, statuses};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::ledger::{Ledger, Observed};
use super::refusals::Refusals;
use super::{conditions, wanted};
use crate::publish::Published;

/// Field manager of what the running control plane writes.
const MANAGER: &str = "istiod";
/// Shortest time between two writes.
const PACE: Duration = Duration::from_millis(50);
/// How often it is asked what proxies refuse.
const REFUSALS: Duration = Duration::from_secs(5);
/// Pause after a write that has failed.
const RETRY: Duration = Duration::from_secs(2);
/// Limit for a write.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Shortest time between two looks at what follows from snapshots.
const SNAPSHOTS: Duration = Duration::from_millis(200);

/// Writes until it is dropped. `refusals` says what proxies refuse now.
pub async fn write(
    client: Client,
    ledger: Arc<Ledger>,
    mut published: watch::Receiver<Arc<Published>>,
    refusals: impl Fn() -> Refusals,
) {
    let mut writer = Writer {
        client,
        refused: Refusals::new(),
        wanted: BTreeMap::new(),
    };
    published.mark_changed();
    let mut snapshots = tokio::time::interval(SNAPSHOTS);
    snapshots.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut look = tokio::time::interval(REFUSALS);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What an earlier leader has left undone.
    ledger.revisit_all();
    loop {
        tokio::select! {
            () = ledger.changed() => {}
            Ok(()) = published.changed() => {
                snapshots.tick().await;
                let latest = published.borrow_and_update().clone();
                ledger.revisit(&writer.follow(latest).await);
            }
            _ = look.tick() => ledger.revisit(&writer.take(refusals())),
        }
        while let Some((key, observed)) = ledger.next() {
            let Some(patch) = writer.patch(&key, &observed) else {
                continue;
            };
            pace.tick().await;
            if !writer.apply(&key, &patch).await {
                tokio::time::sleep(RETRY).await;
                ledger.revisit([&key]);
            }
        }
    }
}

struct Writer {
    client: Client,
    refused: Refusals,
    /// What follows from the last snapshot.
    wanted: BTreeMap<ResourceKey, WantedStatus>,
}

// === impl Writer ===

impl Writer {
    /// Takes what proxies refuse now; gives the objects for which that is news.
    fn take(&mut self, refused: Refusals) -> BTreeSet<ResourceKey> {
        let before = std::mem::replace(&mut self.refused, refused);
        let keys = before.keys().chain(self.refused.keys());
        keys.filter(|key| before.get(*key) != self.refused.get(*key))
            .cloned()
            .collect()
    }

    /// Takes what follows from a snapshot; gives the objects for which that is news.
    async fn follow(&mut self, latest: Arc<Published>) -> BTreeSet<ResourceKey> {
        if latest.generation == 0 {
            return BTreeSet::new();
        }
        let made = tokio::task::spawn_blocking(move || statuses(latest.translator.snapshot()));
        let made = match made.await {
            Ok(made) => made,
            Err(error) => {
                tracing::error!(%error, "failed to make the status of objects; the last one stays");
                return BTreeSet::new();
            }
        };
        let before = std::mem::replace(&mut self.wanted, made);
        let changed = self.wanted.iter();
        changed
            .filter(|(key, wanted)| before.get(*key) != Some(wanted))
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn patch(&self, key: &ResourceKey, observed: &Observed) -> Option<Value> {
        if !key.kind.row().group().ends_with(".istio.io") {
            return wanted::patch(observed, self.wanted.get(key)?, &now());
        }
        let refusals = self.refused.get(key).map_or(&[][..], Vec::as_slice);
        conditions::patch(observed, refusals, &now())
    }

    /// Whether the patch needs no other attempt.
    async fn apply(&self, key: &ResourceKey, patch: &Value) -> bool {
        let row = key.kind.row();
        let (group, version) = row.api_version().split_once('/').unwrap_or_default();
        let gvk = GroupVersionKind::gvk(group, version, row.name);
        let resource = ApiResource::from_gvk_with_plural(&gvk, row.plural);
        let client = self.client.clone();
        let api: Api<DynamicObject> = match key.kind.is_namespaced() {
            true => Api::namespaced_with(client, &key.namespace, &resource),
            false => Api::all_with(client, &resource),
        };
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(patch);
        let written = api.patch_status(&key.name, &params, &patch);
        match tokio::time::timeout(TIMEOUT, written).await {
            Ok(Ok(_)) => true,
            // Changed or gone meanwhile, which comes as an event.
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => true,
            Ok(Err(error)) => {
                tracing::warn!(object = %key, %error, "failed to write the status of an object; trying again");
                false
            }
            Err(_) => false,
        }
    }
}

/// The time as status has it, in whole seconds.
fn now() -> String {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second())
        .unwrap_or(now)
        .to_string()
}

#[cfg(test)]
mod tests {
    use mesh_core::resource::{Kind, decode_value};
    use mesh_core::source::Origin;
    use serde_json::json;

    use super::*;
    use crate::testing::FakeApi;

    const PATH: &str = "/apis/networking.istio.io/v1/namespaces/default/virtualservices/v";

    fn object(weight: i32) -> Value {
        json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": "v", "namespace": "default", "generation": 1},
            "spec": {"hosts": ["v"], "http": [{"route": [{"destination": {"host": "v"}, "weight": weight}]}]}})
    }

    fn nothing_published() -> watch::Receiver<Arc<Published>> {
        let nothing = Published::nothing(&mesh_core::snapshot::SnapshotOptions::default());
        watch::channel(Arc::new(nothing)).1
    }

    /// The watcher's part.
    fn observe(ledger: &Ledger, object: Value) {
        let (resource, _) = decode_value(object, Origin::Builtin, None);
        ledger.observe(&resource.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_object_is_told_once_and_its_recovery_too() {
        let api = FakeApi::default();
        let ledger = Arc::<Ledger>::default();
        tokio::spawn(write(
            api.client(),
            Arc::clone(&ledger),
            nothing_published(),
            Refusals::new,
        ));
        let settle = || tokio::time::sleep(Duration::from_secs(3));
        let accepted = || api.get(PATH).unwrap()["status"]["conditions"][0]["status"].clone();
        let writes = || api.seen().len();

        observe(&ledger, api.put(PATH, object(-1)));
        settle().await;
        assert_eq!((accepted(), writes()), (json!("False"), 1));
        // It comes back as an event, and that is the end of it.
        observe(&ledger, api.get(PATH).unwrap());
        settle().await;
        assert_eq!(writes(), 1);

        let mut healed = object(1);
        healed["status"] = api.get(PATH).unwrap()["status"].clone();
        observe(&ledger, api.put(PATH, healed));
        settle().await;
        assert_eq!((accepted(), writes()), (json!("True"), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_of_proxies_are_told_and_a_failing_server_is_asked_again() {
        let api = FakeApi::default();
        let ledger = Arc::<Ledger>::default();
        observe(&ledger, api.put(PATH, object(1)));
        let key = ResourceKey {
            kind: Kind::VirtualService,
            namespace: "default".into(),
            name: "v".into(),
        };
        api.inject(|_| Some(crate::testing::Fault::Status(500)));
        let refuse =
            move || Refusals::from([(key.clone(), vec!["proxy p refuses RDS 80: bad".to_owned()])]);
        tokio::spawn(write(api.client(), ledger, nothing_published(), refuse));
        tokio::time::sleep(Duration::from_secs(20)).await;
        let attempts = api.seen().len();
        assert!((5..=11).contains(&attempts), "{attempts}");
        api.heal();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let status = &api.get(PATH).unwrap()["status"];
        assert_eq!(
            status["conditions"][1]["reason"], "RefusedByProxy",
            "{status}"
        );
        assert_eq!(status["observedGeneration"], 1);
    }
}
