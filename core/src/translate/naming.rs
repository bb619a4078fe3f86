//! Names that Istio's users know, and short forms of hosts.

use std::net::IpAddr;
use std::sync::Arc;

use mesh_ir::{ClusterName, ConfigRef, ServiceRef};

use crate::resource::ResourceKey;
use crate::snapshot::derived::backend_tls::is_of_policy;
use crate::snapshot::derived::certificates::OTHER_NAMESPACE;
use crate::snapshot::{Alias, MeshService, Registry};

/// Version that Istio writes into its metadata, whatever the object's own is.
const CONFIG_VERSION: &str = "networking.istio.io/v1alpha3";

/// Ends the name of the Secret whose certificates are trusted.
pub(super) const TRUSTED: &str = "-cacert";

/// `kubernetes://NAME`, the secret that is made of a Secret.
pub(super) fn credential(name: &str) -> Arc<str> {
    match name.starts_with(OTHER_NAMESPACE) || is_of_policy(name) {
        true => name.into(),
        false => ["kubernetes://", name].concat().into(),
    }
}

/// `outbound|PORT|SUBSET|HOST`.
pub(super) fn outbound_cluster(port: u16, subset: &str, host: &str) -> Arc<str> {
    ClusterName::outbound(port, subset, host).to_string().into()
}

/// `inbound|PORT||`.
pub(super) fn inbound_cluster(port: u16) -> Arc<str> {
    ClusterName::inbound(port).to_string().into()
}

/// `ADDRESS_PORT`.
pub(super) fn listener_name(address: IpAddr, port: u16) -> Arc<str> {
    format!("{address}_{port}").into()
}

/// `HOST:PORT`, of virtual hosts and of route tables of one service.
pub(super) fn host_port(host: &str, port: u16) -> Arc<str> {
    format!("{host}:{port}").into()
}

/// The reference to an object of Istio's networking group.
pub(super) fn config_ref(kind: &str, key: &ResourceKey) -> ConfigRef {
    ConfigRef {
        api_version: CONFIG_VERSION.into(),
        kind: kind.into(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    }
}

/// A service as metrics name it.
pub(super) fn service_ref(service: &MeshService) -> ServiceRef {
    ServiceRef {
        host: service.host.clone(),
        name: service.name.clone(),
        namespace: service.namespace.clone(),
    }
}

/// All names under which clients of a namespace know a service: the host, and for Kubernetes Services the forms that the search
/// domains of a pod complete.
pub(super) fn host_forms(service: &MeshService, namespace: &str, domain: &str) -> Vec<Arc<str>> {
    let host = &service.host;
    match search_name(service, domain) {
        Some(name) => search_forms(host, &name, &service.namespace, namespace),
        None => vec![host.clone()],
    }
}

/// The same for another name of a service.
pub(super) fn alias_forms(alias: &Alias, namespace: &str) -> Vec<Arc<str>> {
    let Alias {
        host,
        name,
        namespace: own,
        visibility: _,
    } = alias;
    search_forms(host, &name.to_ascii_lowercase().into(), own, namespace)
}

fn search_forms(
    host: &Arc<str>,
    name: &Arc<str>,
    own: &Arc<str>,
    namespace: &str,
) -> Vec<Arc<str>> {
    let mut forms = vec![host.clone(), format!("{host}.").into()];
    if &**own == namespace {
        forms.push(name.clone());
    }
    forms.push(format!("{name}.{own}").to_ascii_lowercase().into());
    forms.push(format!("{name}.{own}.svc").to_ascii_lowercase().into());
    forms
}

/// The name of a Kubernetes Service that the search domains of a pod complete; none for other hosts.
pub(super) fn search_name(service: &MeshService, domain: &str) -> Option<Arc<str>> {
    let suffix = [".svc.", domain].concat();
    let in_domain = service.registry == Registry::Kubernetes && service.host.ends_with(&suffix);
    in_domain.then(|| service.name.to_ascii_lowercase().into())
}
