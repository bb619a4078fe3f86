//! Hosts files: cluster names for programs that have no cluster DNS.
//!
//! There is one file per namespace, because a bare name means the Service of one's own namespace. Every Service with a
//! ClusterIP has its usual names; a headless Service has a line per ready pod, under the Service's names and, where
//! the pod has a host name in it, its own. Programs find their file by `MESH_HOSTS`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;

use super::cluster_ip;

/// The text of the file that programs of a namespace read.
pub fn render(viewer: &str, services: &[Arc<Service>], slices: &[Arc<EndpointSlice>]) -> String {
    let mut lines: BTreeMap<IpAddr, BTreeSet<String>> = BTreeMap::new();
    let mut order: Vec<(IpAddr, Vec<String>)> = Vec::new();
    for service in services {
        let names = names(
            &service.name_any(),
            &service.namespace().unwrap_or_default(),
            viewer,
        );
        match cluster_ip(service) {
            Some(address) => order.push((address, names)),
            None => order.extend(headless(service, slices, &names)),
        }
    }
    let mut text =
        String::from("# Written by the sandbox's node from its Services; changes are lost.\n");
    for (address, names) in order {
        let known = lines.entry(address).or_default();
        let fresh: Vec<_> = names
            .into_iter()
            .filter(|name| known.insert(name.clone()))
            .collect();
        if !fresh.is_empty() {
            text.push_str(&format!("{address} {}\n", fresh.join(" ")));
        }
    }
    text
}

fn names(name: &str, namespace: &str, viewer: &str) -> Vec<String> {
    let bare = (namespace == viewer).then(|| name.to_owned());
    let qualified =
        ["", ".svc", ".svc.cluster.local"].map(|suffix| format!("{name}.{namespace}{suffix}"));
    bare.into_iter().chain(qualified).collect()
}

fn headless(
    service: &Service,
    slices: &[Arc<EndpointSlice>],
    names: &[String],
) -> Vec<(IpAddr, Vec<String>)> {
    let is_headless = service
        .spec
        .as_ref()
        .and_then(|spec| spec.cluster_ip.as_deref())
        == Some("None");
    let ours = slices.iter().filter(|slice| {
        is_headless
            && slice.namespace() == service.namespace()
            && slice.labels().get("kubernetes.io/service-name") == Some(&service.name_any())
    });
    let endpoints = ours.flat_map(|slice| &slice.endpoints).filter(|endpoint| {
        endpoint
            .conditions
            .as_ref()
            .and_then(|conditions| conditions.ready)
            != Some(false)
    });
    endpoints
        .filter_map(|endpoint| {
            let address = endpoint.addresses.first()?.parse().ok()?;
            let own = endpoint.hostname.iter();
            let own = own.flat_map(|host| names.iter().map(move |name| format!("{host}.{name}")));
            Some((address, own.chain(names.iter().cloned()).collect()))
        })
        .collect()
}

/// Replaces the file when its text changed; readers never see half of it.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    // No namespace has such a name.
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, text)?;
    std::fs::rename(fresh, path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn services_and_headless_pods_have_names() {
        let service = |name: &str, ip: &str| {
            let value =
                json!({"metadata": {"name": name, "namespace": "n"}, "spec": {"clusterIP": ip}});
            Arc::new(serde_json::from_value(value).unwrap())
        };
        let slice = json!({
            "metadata": {"name": "db-x", "namespace": "n", "labels": {"kubernetes.io/service-name": "db"}},
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": ["127.9.1.1"], "hostname": "db-0", "conditions": {"ready": true}},
                {"addresses": ["127.9.1.2"], "conditions": {"ready": false}},
            ],
        });
        let slices = vec![Arc::new(serde_json::from_value(slice).unwrap())];
        let services = [
            service("web", "127.9.128.1"),
            service("db", "None"),
            service("ext", ""),
        ];
        let text = render("n", &services, &slices);
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "127.9.128.1 web web.n web.n.svc web.n.svc.cluster.local",
                "127.9.1.1 db-0.db db-0.db.n db-0.db.n.svc db-0.db.n.svc.cluster.local db db.n db.n.svc db.n.svc.cluster.local",
            ]
        );
        let text = render("other", &services, &slices);
        let first = text.lines().nth(1).unwrap();
        assert_eq!(
            first, "127.9.128.1 web.n web.n.svc web.n.svc.cluster.local",
            "bare names are one's own"
        );
    }
}
