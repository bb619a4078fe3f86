//! What is made for a Gateway against an API server in memory.

use mesh_core::inject::InjectConfig;
use mesh_core::resource::{Resource, decode_value};
use mesh_core::snapshot::{Snapshot, SnapshotOptions};
use mesh_core::source::Origin;
use mesh_core::translate::Translator;
use serde_json::{Value, json};

use super::*;
use crate::testing::FakeApi;

const SERVICE: &str = "/api/v1/namespaces/shop/services/front-istio";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/front-istio";
const ACCOUNT: &str = "/api/v1/namespaces/shop/serviceaccounts/front-istio";
const CLASS: &str = "/apis/gateway.networking.k8s.io/v1/gatewayclasses/istio";

fn gateway(port: u16) -> Arc<Resource> {
    let value = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": "front", "namespace": "shop", "uid": "u"},
        "spec": {"gatewayClassName": "istio", "listeners": [{"name": "http", "port": port, "protocol": "HTTP"}]},
    });
    Arc::new(decode_value(value, Origin::Builtin, None).0.unwrap())
}

fn publication(generation: u64, resources: Vec<Arc<Resource>>) -> Arc<Published> {
    let (snapshot, _) = Snapshot::build(resources, &SnapshotOptions::default());
    Arc::new(Published {
        generation,
        translator: Translator::new(Arc::new(snapshot)),
        ..Published::nothing(&SnapshotOptions::default())
    })
}

fn settings() -> Settings {
    let settings = Settings::default();
    settings.store(Some(Arc::new(InjectConfig::default())));
    settings
}

fn settle() -> impl Future<Output = ()> {
    tokio::time::sleep(Duration::from_secs(12))
}

fn ports(api: &FakeApi) -> Vec<Value> {
    let service = api.get(SERVICE).unwrap();
    let ports = service["spec"]["ports"].as_array().unwrap().iter();
    ports.map(|port| port["port"].clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_gateway_gets_what_it_runs_on_and_gets_it_again() {
    let api = FakeApi::default();
    let (published, receiver) = watch::channel(publication(1, vec![gateway(80)]));
    tokio::spawn(keep(api.client(), receiver, settings(), "default".into()));
    settle().await;
    assert_eq!(ports(&api), [json!(15021), json!(80)]);
    let class = api.get(CLASS).unwrap();
    assert_eq!(
        class["spec"]["controllerName"],
        "istio.io/gateway-controller"
    );
    assert!(api.get(ACCOUNT).is_some());

    // Nothing is written for no reason.
    let writes = || {
        api.seen()
            .iter()
            .filter(|seen| seen.method == "PATCH")
            .count()
    };
    let before = writes();
    settle().await;
    assert_eq!(writes(), before);

    published.send_replace(publication(2, vec![gateway(8080)]));
    settle().await;
    assert_eq!(ports(&api), [json!(15021), json!(8080)]);

    api.delete(DEPLOYMENT);
    settle().await;
    assert!(api.get(DEPLOYMENT).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_has_made_stays() {
    let api = FakeApi::default();
    let own = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "front-istio", "namespace": "shop"},
        "spec": {"ports": [{"port": 1}]}});
    api.put(SERVICE, own);
    let (_published, receiver) = watch::channel(publication(1, vec![gateway(80)]));
    tokio::spawn(keep(api.client(), receiver, settings(), "default".into()));
    settle().await;
    assert_eq!(ports(&api), [json!(1)]);
    assert!(api.get(DEPLOYMENT).is_some());
}
