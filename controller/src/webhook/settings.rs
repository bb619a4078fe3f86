//! The injector's settings, read from its ConfigMaps and read again whenever they change. Settings that cannot be read leave the
//! last good ones in place.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::version::Info;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use mesh_core::inject::InjectConfig;
use mesh_core::install::{INJECTOR_CONFIG_MAP, MESH_CONFIG_MAP, revised};

use crate::config::WatchBackoff;

/// Keys of the texts.
const INJECTOR_KEY: &str = "config";
const MESH_KEY: &str = "mesh";

/// The settings; none before they were read.
pub type Settings = Arc<ArcSwapOption<InjectConfig>>;

/// The texts as last read.
#[derive(Debug, Default)]
struct Texts {
    injector: Option<String>,
    mesh: Option<String>,
}

/// Keeps the settings until it is dropped.
pub async fn watch(client: Client, namespace: String, revision: String, settings: Settings) {
    let version = version(&client).await;
    let names = [INJECTOR_CONFIG_MAP, MESH_CONFIG_MAP].map(|name| revised(name, &revision));
    let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let stream = |name: &str| {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        watcher(api.clone(), config).backoff(WatchBackoff::default())
    };
    let mut events = pin!(futures::stream::select(
        stream(&names[0]),
        stream(&names[1])
    ));
    let mut texts = Texts::default();
    while let Some(event) = events.next().await {
        let map = match event {
            Ok(watcher::Event::Apply(map) | watcher::Event::InitApply(map)) => map,
            // An installation that is being removed: pods that still come get what was last known.
            Ok(_) => continue,
            Err(error) => {
                tracing::debug!(%error, "failed to watch the injector's ConfigMaps; trying again");
                continue;
            }
        };
        texts.take(&map, &names[0]);
        match texts.read() {
            Some(Ok(mut config)) => {
                config.for_version(&version.major, &version.minor);
                settings.store(Some(Arc::new(config)));
            }
            Some(Err(error)) => {
                tracing::error!(
                    error,
                    "failed to read the injector's settings; the last good ones stay"
                );
            }
            None => {}
        }
    }
}

/// The cluster's version, as soon as its API server tells it. Until then no pod is injected, rather than some in another way.
async fn version(client: &Client) -> Info {
    let mut pause = Duration::from_millis(200);
    loop {
        match client.apiserver_version().await {
            Ok(version) => return version,
            Err(error) => {
                tracing::warn!(%error, "failed to read the API server's version; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
            }
        }
    }
}

// === impl Texts ===

impl Texts {
    fn take(&mut self, map: &ConfigMap, injector: &str) {
        let text = |key: &str| map.data.as_ref().and_then(|data| data.get(key)).cloned();
        if map.name_any() == injector {
            self.injector = Some(text(INJECTOR_KEY).unwrap_or_default());
        } else {
            self.mesh = Some(text(MESH_KEY).unwrap_or_default());
        }
    }

    /// The settings, once both texts are there.
    fn read(&self) -> Option<Result<InjectConfig, String>> {
        let (injector, mesh) = (self.injector.as_ref()?, self.mesh.as_ref()?);
        Some(InjectConfig::parse(injector, mesh).map_err(|error| error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::testing::FakeApi;

    #[tokio::test(start_paused = true)]
    async fn broken_settings_leave_the_last_good_ones() {
        let api = FakeApi::default();
        api.put("/version", json!({"major": "1", "minor": "35+"}));
        let settings = Settings::default();
        let task = watch(
            api.client(),
            "own".into(),
            "default".into(),
            Arc::clone(&settings),
        );
        tokio::spawn(task);
        let put = |name: &str, key: &str, text: &str| {
            let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": "own"}, "data": {key: text}});
            api.put(&format!("/api/v1/namespaces/own/configmaps/{name}"), map);
        };
        let hub = || {
            settings
                .load()
                .as_ref()
                .map(|config| config.injector.values.hub.clone())
        };
        let settle = || tokio::time::sleep(Duration::from_secs(6));
        put("istio-sidecar-injector", "config", "values: {hub: a}");
        settle().await;
        assert_eq!(hub(), None);
        put("istio", "mesh", "accessLogFile: /dev/stdout");
        settle().await;
        assert_eq!(hub().as_deref(), Some("a"));
        assert!(settings.load().as_ref().unwrap().has_native_sidecars);
        put("istio-sidecar-injector", "config", "values: [");
        settle().await;
        assert_eq!(hub().as_deref(), Some("a"));
        put("istio-sidecar-injector", "config", "values: {hub: b}");
        settle().await;
        assert_eq!(hub().as_deref(), Some("b"));
    }
}
