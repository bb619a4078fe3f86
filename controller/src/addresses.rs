//! Writes the addresses that hosts of ServiceEntries are given into the entries' status. Done by the leader.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use mesh_core::resource::{Kind, Resource};
use mesh_core::snapshot::{Allocation, Snapshot};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::publish::Published;

/// Field manager of what the running control plane writes.
const MANAGER: &str = "istiod";
/// Pause after a write that has failed.
const RETRY: Duration = Duration::from_secs(2);
/// Limit for a write.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Writes until it is dropped, or nothing is published any more.
pub async fn write(client: Client, mut published: watch::Receiver<Arc<Published>>) {
    let mut seen: Vec<Arc<Resource>> = Vec::new();
    loop {
        let snapshot = published.borrow_and_update().translator.snapshot().clone();
        let mut failed = false;
        // Nobody has said anything before the first publication.
        if !is_seen(&snapshot, &seen) {
            for allocation in snapshot.allocations() {
                failed |= !apply(&client, &allocation).await;
            }
            let entries = snapshot.resources(Kind::ServiceEntry);
            seen = if failed {
                Vec::new()
            } else {
                entries.into_iter().cloned().collect()
            };
        }
        tokio::select! {
            changed = published.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(RETRY), if failed => {}
        }
    }
}

/// Whether the entries of a snapshot are the very ones that were seen.
fn is_seen(snapshot: &Snapshot, seen: &[Arc<Resource>]) -> bool {
    let mut entries = snapshot.resources(Kind::ServiceEntry).into_iter();
    seen.iter()
        .all(|seen| entries.next().is_some_and(|entry| Arc::ptr_eq(entry, seen)))
        && entries.next().is_none()
}

/// The status that says the addresses. Its other fields are somebody else's.
fn patch(allocation: &Allocation) -> Value {
    let addresses = allocation.addresses.iter();
    let addresses: Vec<Value> = addresses
        .map(|address| json!({ "value": address.value.to_string(), "host": &*address.host }))
        .collect();
    json!({ "status": { "addresses": addresses } })
}

/// Whether the patch needs no other attempt.
async fn apply(client: &Client, allocation: &Allocation) -> bool {
    let key = &allocation.entry;
    let row = key.kind.row();
    let (group, version) = row.api_version().split_once('/').unwrap_or_default();
    let gvk = GroupVersionKind::gvk(group, version, row.name);
    let resource = ApiResource::from_gvk_with_plural(&gvk, row.plural);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &key.namespace, &resource);
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(patch(allocation));
    let written = api.patch_status(&key.name, &params, &patch);
    match tokio::time::timeout(TIMEOUT, written).await {
        Ok(Ok(_)) => true,
        // Gone meanwhile, which comes as an event.
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => true,
        Ok(Err(error)) => {
            tracing::warn!(object = %key, %error, "failed to write the addresses of an object; trying again");
            false
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::resource::decode_value;
    use mesh_core::snapshot::SnapshotOptions;
    use mesh_core::source::Origin;
    use mesh_core::translate::Translator;

    use super::*;
    use crate::testing::{FakeApi, Fault};

    const PATH: &str = "/apis/networking.istio.io/v1/namespaces/default/serviceentries/a";

    fn published(object: Value) -> Arc<Published> {
        let options = SnapshotOptions::default();
        let resource = decode_value(object, Origin::Builtin, None).0.unwrap();
        let (snapshot, _) = Snapshot::build(vec![Arc::new(resource)], &options);
        Arc::new(Published {
            translator: Translator::new(Arc::new(snapshot)),
            ..Published::nothing(&options)
        })
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_without_addresses_are_given_some() {
        let api = FakeApi::default();
        let object = api.put(
            PATH,
            json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
                "metadata": {"name": "a", "namespace": "default"},
                "spec": {"hosts": ["a.example"], "resolution": "DNS", "ports": [{"number": 80, "name": "http"}]},
                "status": {"conditions": []}}),
        );
        api.inject(|_| Some(Fault::Status(500)));
        let (sender, receiver) = watch::channel(published(object));
        tokio::spawn(write(api.client(), receiver));
        tokio::time::sleep(Duration::from_secs(5)).await;
        api.heal();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let status = api.get(PATH).unwrap()["status"].clone();
        let addresses = status["addresses"].as_array().unwrap();
        assert_eq!(addresses.len(), 2, "{status}");
        assert_eq!(addresses[0]["host"], "a.example");
        assert_eq!(status["conditions"], json!([]), "of others");
        // It comes back as an event, and that is the end of it.
        let writes = api.seen().len();
        sender.send(published(api.get(PATH).unwrap())).unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(api.seen().len(), writes);
    }
}
