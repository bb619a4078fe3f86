//! Patched resources, shown as JSON.

use std::sync::Arc;

use mesh_ir::patch::{
    ChainPatch, ClusterPatch, ListenerPatch, PatchOperation, RouteNamePatch, RoutePatch,
};
use mesh_ir::{
    ChainMatch, Cluster, ClusterKind, ConfigRef, FilterChain, Forward, HttpConnectionManager,
    HttpFilter, Listener, Network, ProxyConfig, ProxyTables, Route, RouteAction, RouteConfig,
    RouteMatch, Routes, Target, TcpProxy, VirtualHost,
};
use serde_json::{Value, json};

use super::*;
use crate::resource::{Encoder, ResourceSnapshot};

fn message(target: &PatchTarget) -> &'static str {
    match target {
        PatchTarget::Listener(_) => "envoy.config.listener.v3.Listener",
        PatchTarget::FilterChain(_) => "envoy.config.listener.v3.FilterChain",
        PatchTarget::ListenerFilter(_) => "envoy.config.listener.v3.ListenerFilter",
        PatchTarget::NetworkFilter(_) => "envoy.config.listener.v3.Filter",
        PatchTarget::HttpFilter(_) => {
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter"
        }
        PatchTarget::RouteConfiguration(_) => "envoy.config.route.v3.RouteConfiguration",
        PatchTarget::VirtualHost(_) => "envoy.config.route.v3.VirtualHost",
        PatchTarget::HttpRoute(_) => "envoy.config.route.v3.Route",
        PatchTarget::Cluster(_) => "envoy.config.cluster.v3.Cluster",
    }
}

fn patch(target: PatchTarget, operation: PatchOperation, value: &Value) -> Patch {
    let encoded = mesh_envoy::from_json(message(&target), value).unwrap();
    Patch {
        context: None,
        target,
        operation,
        value: encoded.to_vec().into(),
        origin: ConfigRef {
            api_version: "v".into(),
            kind: "envoy-filter".into(),
            namespace: "n".into(),
            name: "n".into(),
        },
    }
}

fn route(name: &str) -> Route {
    let forward = Forward::to(Target::Cluster("c".into()));
    Route {
        name: name.into(),
        ..Route::new(RouteMatch::prefix("/"), RouteAction::Forward(forward))
    }
}

fn table(name: &str) -> RouteConfig {
    let host = |name: &str| {
        Arc::new(VirtualHost {
            name: name.into(),
            domains: vec![name.into()],
            routes: vec![route("one"), route("two")],
        })
    };
    RouteConfig {
        name: name.into(),
        virtual_hosts: vec![host("a:80"), host("b:80")],
        discovers_virtual_hosts: false,
        ignore_port_in_host: true,
    }
}

/// An outbound listener of port 80, and the listener of captured inbound traffic.
fn config() -> ProxyConfig {
    let http = |direction, routes| {
        Network::Http(HttpConnectionManager {
            filters: vec![HttpFilter::Fault],
            ..HttpConnectionManager::new("s".into(), direction, routes)
        })
    };
    let mut outbound = Listener::new(
        "0.0.0.0_80".into(),
        ([0; 4], 80).into(),
        Direction::Outbound,
    );
    let routes = Routes::Discovered("80".into());
    outbound.chains = vec![FilterChain::new(
        "",
        ChainMatch::default(),
        http(Direction::Outbound, routes),
    )];
    let mut inbound = Listener::new(
        "virtualInbound".into(),
        ([0; 4], 15006).into(),
        Direction::Inbound,
    );
    let own = |port: u16| {
        let routes = Routes::Inline(Arc::new(table(&format!("inbound|{port}||"))));
        FilterChain::new(
            format!("in-{port}"),
            ChainMatch::port(port),
            http(Direction::Inbound, routes),
        )
    };
    let tcp = Network::Tcp(TcpProxy::to("c"));
    inbound.chains = vec![
        own(8080),
        own(9090),
        FilterChain::new("tcp", ChainMatch::port(1), tcp),
    ];
    let cluster = |name: &str| Arc::new(Cluster::new(name, ClusterKind::Eds));
    ProxyConfig {
        listeners: vec![Arc::new(outbound), Arc::new(inbound)].into(),
        routes: vec![Arc::new(table("80"))].into(),
        clusters: vec![
            cluster("outbound|80||a"),
            cluster("outbound|80|v1|a"),
            cluster("outbound|81||b"),
        ]
        .into(),
        ..ProxyConfig::default()
    }
}

fn encode(patches: Vec<Patch>) -> ResourceSnapshot {
    let patches = PatchSet::new(ProxyKind::Sidecar, patches);
    let tables = ProxyTables::from(&config());
    Encoder::default().encode_patched(&ResourceSnapshot::default(), &tables, Some(&patches))
}

fn show(snapshot: &ResourceSnapshot, kind: ResourceType, name: &str) -> Value {
    let entry = snapshot.get(kind).get(name).unwrap();
    mesh_envoy::any_to_json(&entry.any).unwrap()
}

/// The names of a list of objects.
fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().into_iter().flatten();
    list.map(|item| item["name"].as_str().unwrap_or_default())
        .collect()
}

const HCM: &str = "envoy.filters.network.http_connection_manager";
const ROUTER: &str = "envoy.filters.http.router";
const FAULT: &str = "envoy.filters.http.fault";
const LISTENER: ResourceType = ResourceType::Listener;

fn http_filter(name: Option<&str>, port: Option<u32>) -> PatchTarget {
    PatchTarget::HttpFilter(ListenerPatch {
        port,
        filter: Some(HCM.into()),
        http_filter: name.map(Into::into),
        ..ListenerPatch::default()
    })
}

fn lua() -> Value {
    json!({ "name": "lua", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        "default_source_code": { "inline_string": "x" },
    } })
}

#[track_caller]
fn check_http_filters(target: PatchTarget, operation: PatchOperation, expect: &[&str]) {
    let snapshot = encode(vec![patch(target, operation, &lua())]);
    let shown = show(&snapshot, LISTENER, "0.0.0.0_80");
    let filters = &shown["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"];
    assert_eq!(names(filters), expect);
}

#[test]
fn http_filters_are_inserted_replaced_and_removed() {
    use PatchOperation::{Add, InsertAfter, InsertBefore, InsertFirst, Remove, Replace};
    let router = || http_filter(Some(ROUTER), None);
    check_http_filters(router(), InsertBefore, &[FAULT, "lua", ROUTER]);
    check_http_filters(
        http_filter(Some(FAULT), None),
        InsertAfter,
        &[FAULT, "lua", ROUTER],
    );
    check_http_filters(
        http_filter(None, None),
        InsertBefore,
        &["lua", FAULT, ROUTER],
    );
    check_http_filters(
        http_filter(None, None),
        InsertFirst,
        &["lua", FAULT, ROUTER],
    );
    check_http_filters(router(), Add, &[FAULT, ROUTER, "lua"]);
    check_http_filters(http_filter(Some(FAULT), None), Replace, &["lua", ROUTER]);
    check_http_filters(http_filter(Some(FAULT), None), Remove, &[ROUTER]);
    check_http_filters(http_filter(None, None), Remove, &[FAULT, ROUTER]);
    check_http_filters(
        http_filter(Some("none"), None),
        InsertBefore,
        &[FAULT, ROUTER],
    );
    check_http_filters(
        http_filter(Some(ROUTER), Some(81)),
        InsertBefore,
        &[FAULT, ROUTER],
    );
}

#[test]
fn chains_of_captured_traffic_are_told_by_their_port() {
    let target = http_filter(Some(ROUTER), Some(8080));
    let snapshot = encode(vec![patch(target, PatchOperation::InsertBefore, &lua())]);
    let shown = show(&snapshot, LISTENER, "virtualInbound");
    let filters = |chain: usize| {
        let filter = &shown["filter_chains"][chain]["filters"][0];
        names(&filter["typed_config"]["http_filters"])
    };
    assert_eq!(filters(0), [FAULT, "lua", ROUTER]);
    assert_eq!(filters(1), [FAULT, ROUTER]);
}

#[test]
fn network_filters_are_merged_with_what_is_there() {
    let target = PatchTarget::NetworkFilter(ListenerPatch {
        filter: Some(HCM.into()),
        ..ListenerPatch::default()
    });
    let value = json!({ "name": HCM, "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "common_http_protocol_options": { "idle_timeout": "30s" }, "via": "me",
    } });
    let snapshot = encode(vec![patch(target, PatchOperation::Merge, &value)]);
    let shown = show(&snapshot, LISTENER, "0.0.0.0_80");
    let config = &shown["filter_chains"][0]["filters"][0]["typed_config"];
    assert_eq!(
        config["common_http_protocol_options"]["idle_timeout"],
        "30s"
    );
    assert_eq!(
        (&config["via"], &config["stat_prefix"]),
        (&"me".into(), &"s".into())
    );
    assert_eq!(names(&config["http_filters"]), [FAULT, ROUTER]);
}

#[test]
fn chains_and_listeners_are_changed_added_and_removed() {
    let chain = PatchTarget::FilterChain(ListenerPatch {
        chain: ChainPatch {
            name: Some("in-9090".into()),
            ..ChainPatch::default()
        },
        ..ListenerPatch::default()
    });
    let listener = |name: &str| {
        PatchTarget::Listener(ListenerPatch {
            name: Some(name.into()),
            ..ListenerPatch::default()
        })
    };
    let timeout = json!({ "listener_filters_timeout": "3s" });
    let snapshot = encode(vec![
        patch(chain, PatchOperation::Remove, &json!({})),
        patch(listener("virtualInbound"), PatchOperation::Merge, &timeout),
        patch(listener("0.0.0.0_80"), PatchOperation::Remove, &json!({})),
        patch(
            listener(""),
            PatchOperation::Add,
            &json!({ "name": "mine" }),
        ),
    ]);
    let shown = show(&snapshot, LISTENER, "virtualInbound");
    assert_eq!(names(&shown["filter_chains"]), ["in-8080", "tcp"]);
    assert_eq!(shown["listener_filters_timeout"], "3s");
    let set = snapshot.get(LISTENER);
    let all: Vec<&str> = set.iter().map(|(name, _)| &**name).collect();
    assert_eq!(all, ["mine", "virtualInbound"]);
    assert_eq!(set.len(), 2);
}

fn hosts(shown: &Value) -> Vec<(&str, Vec<&str>)> {
    let hosts = shown["virtual_hosts"].as_array().unwrap().iter();
    hosts
        .map(|host| (host["name"].as_str().unwrap(), names(&host["routes"])))
        .collect()
}

#[test]
fn routes_are_patched_within_their_hosts() {
    let routes = |host: Option<&str>, route: Option<&str>| {
        PatchTarget::HttpRoute(RoutePatch {
            host: host.map(Into::into),
            route: route.map(|name| RouteNamePatch {
                name: Some(name.into()),
                action: None,
            }),
            ..RoutePatch::default()
        })
    };
    let new = json!({ "name": "new", "match": { "prefix": "/new" }, "direct_response": { "status": 200 } });
    let header =
        json!({ "request_headers_to_add": [{ "header": { "key": "x-a", "value": "1" } }] });
    let added = json!({ "name": "c:80", "domains": ["c"] });
    let snapshot = encode(vec![
        patch(
            routes(Some("a:80"), Some("two")),
            PatchOperation::InsertBefore,
            &new,
        ),
        patch(
            routes(Some("b:80"), Some("one")),
            PatchOperation::Remove,
            &json!({}),
        ),
        patch(
            routes(Some("b:80"), None),
            PatchOperation::InsertFirst,
            &new,
        ),
        patch(routes(None, Some("two")), PatchOperation::Merge, &header),
        patch(
            PatchTarget::VirtualHost(RoutePatch {
                port: Some(80),
                ..RoutePatch::default()
            }),
            PatchOperation::Add,
            &added,
        ),
    ]);
    let shown = show(&snapshot, ResourceType::Route, "80");
    let expect = [
        ("a:80", vec!["one", "new", "two"]),
        ("b:80", vec!["new", "two"]),
    ];
    assert_eq!(hosts(&shown)[..2], expect);
    assert_eq!(shown["virtual_hosts"][2]["name"], "c:80");
    let merged = &shown["virtual_hosts"][0]["routes"][2];
    assert_eq!(merged["request_headers_to_add"][0]["header"]["key"], "x-a");
    assert_eq!(merged["route"]["cluster"], "c");
    // The tables within listeners are patched as well.
    let inbound = show(&snapshot, LISTENER, "virtualInbound");
    let table = &inbound["filter_chains"][0]["filters"][0]["typed_config"]["route_config"];
    assert_eq!(hosts(table)[..2], expect);
}

#[test]
fn clusters_are_told_by_what_they_are_for() {
    let cluster = |service: Option<&str>, subset: Option<&str>| {
        PatchTarget::Cluster(ClusterPatch {
            service: service.map(Into::into),
            subset: subset.map(Into::into),
            ..ClusterPatch::default()
        })
    };
    let snapshot = encode(vec![
        patch(
            cluster(Some("a"), None),
            PatchOperation::Merge,
            &json!({ "connect_timeout": "0.5s" }),
        ),
        patch(
            cluster(None, Some("v1")),
            PatchOperation::Remove,
            &json!({}),
        ),
        patch(
            cluster(None, None),
            PatchOperation::Add,
            &json!({ "name": "mine", "connect_timeout": "1s" }),
        ),
    ]);
    let kind = ResourceType::Cluster;
    let all: Vec<String> = snapshot
        .get(kind)
        .iter()
        .map(|(name, _)| name.to_string())
        .collect();
    assert_eq!(all, ["mine", "outbound|80||a", "outbound|81||b"]);
    assert_eq!(
        show(&snapshot, kind, "outbound|80||a")["connect_timeout"],
        "0.500s"
    );
}

#[test]
fn what_patches_leave_as_it_is_keeps_its_version_and_is_shared() {
    let encoder = Encoder::default();
    let tables = ProxyTables::from(&config());
    let plain = encoder.encode(&tables);
    let target = PatchTarget::Cluster(ClusterPatch {
        service: Some("b".into()),
        ..ClusterPatch::default()
    });
    let patches = vec![patch(
        target,
        PatchOperation::Merge,
        &json!({ "connect_timeout": "7s" }),
    )];
    let patches = PatchSet::new(ProxyKind::Sidecar, patches);
    let patched = encoder.encode_patched(&plain, &tables, Some(&patches));
    assert!(Arc::ptr_eq(plain.get(LISTENER), patched.get(LISTENER)));
    let kind = ResourceType::Cluster;
    let version =
        |snapshot: &ResourceSnapshot, name: &str| snapshot.get(kind).get(name).unwrap().version;
    assert_eq!(
        version(&plain, "outbound|80||a"),
        version(&patched, "outbound|80||a")
    );
    assert_ne!(
        version(&plain, "outbound|81||b"),
        version(&patched, "outbound|81||b")
    );
    // The same again is the very same, and without patches everything is as it was.
    let again = encoder.encode_patched(&patched, &tables, Some(&patches));
    assert!(Arc::ptr_eq(again.get(kind), patched.get(kind)));
    assert_eq!(encoder.encode_after(&patched, &tables), plain);
}
