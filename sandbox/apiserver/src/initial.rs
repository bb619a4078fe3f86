//! What is there before anyone asks: the namespaces of every cluster, what each namespace has, and the API's own Service.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::authorization::{BootstrapRule, ROLES};
use super::state::{Api, now};
use super::store::State;
use super::{defaults, follow, metadata};

/// The ConfigMap with the API's certificate authority.
pub const ROOT_CA: &str = "kube-root-ca.crt";

const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Creates all of it.
pub fn create(api: &Api, address: SocketAddr) {
    let mut state = api.store.lock();
    for name in NAMESPACES {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        put(api, &mut state, "", "namespaces", object);
    }
    create_roles(api, &mut state);
    let (host, port) = (address.ip().to_string(), address.port());
    let first = api.addresses.first().to_string();
    let metadata = |name: &str| {
        json!({"name": name, "namespace": "default",
               "labels": {"component": "apiserver", "provider": "kubernetes"}})
    };
    let endpoint_port = json!({"name": "https", "port": port, "protocol": "TCP"});
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata("kubernetes"),
        "spec": {"clusterIP": first, "clusterIPs": [first], "type": "ClusterIP",
                 "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}]},
    });
    put(api, &mut state, "", "services", service);
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": metadata("kubernetes"),
        "subsets": [{"addresses": [{"ip": host}], "ports": [endpoint_port]}],
    });
    put(api, &mut state, "", "endpoints", endpoints);
    let mut slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata("kubernetes"),
        "addressType": "IPv4", "endpoints": [{"addresses": [host], "conditions": {"ready": true}}], "ports": [endpoint_port],
    });
    slice["metadata"]["labels"]["kubernetes.io/service-name"] = json!("kubernetes");
    put(api, &mut state, "discovery.k8s.io", "endpointslices", slice);
}

/// The roles of every cluster, and their bindings.
fn create_roles(api: &Api, state: &mut State) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    let metadata = |name: &str| {
        json!({"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
               "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}})
    };
    for role in ROLES {
        let rules = role.rules.iter().map(|rule| match rule {
            BootstrapRule::Resources(groups, resources, verbs) => {
                json!({"apiGroups": groups, "resources": resources, "verbs": verbs})
            }
            BootstrapRule::Paths(paths, verbs) => json!({"nonResourceURLs": paths, "verbs": verbs}),
        });
        let rules: Vec<Value> = rules.collect();
        let mut object = json!({"apiVersion": format!("{GROUP}/v1"), "kind": "ClusterRole",
            "metadata": metadata(role.name), "rules": rules});
        let label = |role: &str| format!("{GROUP}/aggregate-to-{role}");
        for whole in role.part_of {
            object["metadata"]["labels"][label(whole)] = json!("true");
        }
        if role.is_aggregated {
            let selector = json!({"matchLabels": {label(role.name): "true"}});
            object["aggregationRule"] = json!({"clusterRoleSelectors": [selector]});
        }
        put(api, state, GROUP, "clusterroles", object);
        if !role.groups.is_empty() {
            let groups = role.groups.iter();
            let subjects =
                groups.map(|group| json!({"apiGroup": GROUP, "kind": "Group", "name": group}));
            let binding = json!({"apiVersion": format!("{GROUP}/v1"), "kind": "ClusterRoleBinding",
                "metadata": metadata(role.name), "subjects": subjects.collect::<Vec<_>>(),
                "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role.name}});
            put(api, state, GROUP, "clusterrolebindings", binding);
        }
    }
}

/// What every namespace has from the start.
pub fn furnish(api: &Api, state: &mut State, namespace: &str) {
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": namespace},
    });
    let authority = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": ROOT_CA, "namespace": namespace},
        "data": {"ca.crt": api.ca},
    });
    for (plural, object) in [("serviceaccounts", account), ("configmaps", authority)] {
        put(api, state, "", plural, object);
    }
}

/// Stores an object of the server's own, unless there is one of that name.
fn put(api: &Api, state: &mut State, group: &str, plural: &str, mut object: Value) {
    let Some(served) = api.kind(group, plural) else {
        return;
    };
    let text = |field: &str| {
        object["metadata"][field]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let key = (text("namespace"), text("name"));
    let table = served.kind.id();
    if state.get(&table, &key.0, &key.1).is_some() {
        return;
    }
    object["metadata"]["uid"] = json!(metadata::uid());
    object["metadata"]["creationTimestamp"] = json!(now().to_string());
    defaults::apply(&served.kind, &mut object, None);
    let stored = state.put(&table, key, object);
    follow::stored(api, state, &served.kind, &stored);
}
