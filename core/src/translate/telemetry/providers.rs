//! The mesh's extension providers, with those that every mesh has.

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::{
    DefaultProxyConfig, ExtensionProvider, FileLogProvider, MeshConfig, ProviderService,
    ZipkinProvider,
};
use crate::snapshot::Snapshot;
use crate::translate::naming::outbound_cluster;

/// The file log that every mesh has, in the mesh's own format.
pub(super) const ENVOY: &str = "envoy";
/// The metrics that every mesh has.
const PROMETHEUS: &str = "prometheus";
const STDOUT: &str = "/dev/stdout";

/// Providers as a workload can reach them.
pub(super) struct Providers<'s> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) namespace: &'s str,
}

// === impl Providers ===

impl<'s> Providers<'s> {
    pub(super) fn mesh(&self) -> &'s MeshConfig {
        self.snapshot.mesh()
    }

    /// The provider of a name.
    pub(super) fn get(&self, name: &str) -> Option<Cow<'s, ExtensionProvider>> {
        find(self.mesh(), name)
    }

    /// The cluster of a provider's service; none if the workload sees no such service.
    pub(super) fn cluster(&self, service: &impl ProviderService) -> Option<Arc<str>> {
        let port = u16::try_from(service.port())
            .ok()
            .filter(|port| *port > 0)?;
        let host = host(service.service());
        let found = self.snapshot.find_service(host, self.namespace)?;
        let has_port = found.ports.iter().any(|known| known.port == port);
        has_port.then(|| outbound_cluster(port, "", &found.host))
    }

    /// The host of a service without the namespace.
    pub(super) fn host<'p>(&self, service: &'p impl ProviderService) -> &'p str {
        host(service.service())
    }
}

pub(super) fn find<'m>(mesh: &'m MeshConfig, name: &str) -> Option<Cow<'m, ExtensionProvider>> {
    let mut all = mesh.extension_providers.iter();
    if let Some(found) = all.find(|provider| provider.name == name) {
        return Some(Cow::Borrowed(found));
    }
    let mut built_in = ExtensionProvider {
        name: name.to_owned(),
        ..ExtensionProvider::default()
    };
    match name {
        ENVOY => {
            built_in.envoy_file_access_log = Some(FileLogProvider {
                path: STDOUT.to_owned(),
                ..FileLogProvider::default()
            });
        }
        PROMETHEUS => built_in.prometheus = Some(serde_json::json!({})),
        _ => return None,
    }
    Some(Cow::Owned(built_in))
}

/// The hosts of all services that telemetry may be sent to.
pub(super) fn hosts(mesh: &MeshConfig) -> impl Iterator<Item = String> {
    let named = mesh.extension_providers.iter().flat_map(|provider| {
        let ExtensionProvider {
            zipkin,
            opentelemetry,
            envoy_http_als,
            envoy_tcp_als,
            envoy_otel_als,
            ..
        } = provider;
        let services: [Option<&dyn ProviderService>; 5] = [
            zipkin.as_ref().map(|it| it as _),
            opentelemetry.as_ref().map(|it| it as _),
            envoy_http_als.as_ref().map(|it| it as _),
            envoy_tcp_als.as_ref().map(|it| it as _),
            envoy_otel_als.as_ref().map(|it| it as _),
        ];
        services.into_iter().flatten()
    });
    let named = named.map(|service| host(service.service()).to_owned());
    let default = default_zipkin(mesh).map(|zipkin| zipkin.service);
    named.chain(default)
}

/// `HOST` or `NAMESPACE/HOST`.
fn host(service: &str) -> &str {
    service.split_once('/').map_or(service, |(_, host)| host)
}

/// What proxies start with.
pub(super) fn default_config(mesh: &MeshConfig) -> DefaultProxyConfig {
    let value = mesh.default_config.clone().unwrap_or_default();
    serde_json::from_value(value).unwrap_or_default()
}

/// The collector of `defaultConfig.tracing`; Istio's own default where there is none.
pub(super) fn default_zipkin(mesh: &MeshConfig) -> Option<ZipkinProvider> {
    if mesh.enable_tracing != Some(true) {
        return None;
    }
    let config = default_config(mesh).tracing.unwrap_or_default();
    let others = config.lightstep.is_some() || config.datadog.is_some();
    let address = match config.zipkin.and_then(|zipkin| zipkin.address) {
        Some(address) => address,
        None if others => return None,
        None => format!("zipkin.{}:9411", mesh.root_namespace()),
    };
    let (host, port) = address.rsplit_once(':')?;
    let service = match host.split('.').collect::<Vec<_>>().as_slice() {
        [name] => format!("{name}.{}.svc.cluster.local", mesh.root_namespace()),
        [name, namespace] => format!("{name}.{namespace}.svc.cluster.local"),
        [_, _, "svc"] => format!("{host}.cluster.local"),
        _ => host.to_owned(),
    };
    Some(ZipkinProvider {
        service,
        port: port.parse().ok()?,
        ..ZipkinProvider::default()
    })
}
