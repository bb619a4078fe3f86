//! Of a configuration that follows another only what is different is compiled, and everything leads where it should.

use std::net::SocketAddr;
use std::sync::Arc;

use mesh_ir::matching::PlainRequest;
use mesh_ir::{
    ChainMatch, Cluster, ClusterKind, Direction, Endpoint, Endpoints, FilterChain, Forward,
    HttpConnectionManager, Listener, Locality, LocalityEndpoints, ProxyConfig, Route, RouteAction,
    RouteConfig, RouteMatch, Target, VirtualHost,
};

use super::{Compiler, Network, Routes, Runtime};

const SERVICES: [&str; 4] = ["a", "b", "c", "d"];

fn cluster(name: &str) -> Arc<Cluster> {
    Arc::new(Cluster::new(name, ClusterKind::Eds))
}

fn endpoints(cluster: &str, last: u8) -> Arc<Endpoints> {
    let endpoint = Endpoint::new(SocketAddr::from(([127, 0, 0, last], 80)));
    Arc::new(Endpoints {
        cluster: cluster.into(),
        localities: vec![LocalityEndpoints::new(Locality::default(), vec![endpoint])],
    })
}

fn host(name: &str, cluster: &str) -> Arc<VirtualHost> {
    let forward = Forward::to(Target::Cluster(cluster.into()));
    Arc::new(VirtualHost {
        name: name.into(),
        domains: vec![name.into()],
        routes: vec![Route::new(
            RouteMatch::prefix("/"),
            RouteAction::Forward(forward),
        )],
    })
}

fn table(hosts: &[Arc<VirtualHost>]) -> Arc<RouteConfig> {
    Arc::new(RouteConfig {
        name: "80".into(),
        virtual_hosts: hosts.to_vec(),
        discovers_virtual_hosts: false,
        ignore_port_in_host: true,
    })
}

fn config() -> ProxyConfig {
    let routes = mesh_ir::Routes::Discovered("80".into());
    let manager = HttpConnectionManager::new("http".into(), Direction::Outbound, routes);
    let network = mesh_ir::Network::Http(manager);
    let listener = Listener {
        chains: vec![FilterChain::new("http", ChainMatch::default(), network)],
        ..Listener::new(
            "80".into(),
            SocketAddr::from(([0, 0, 0, 0], 80)),
            Direction::Outbound,
        )
    };
    ProxyConfig {
        listeners: [Arc::new(listener)].into(),
        routes: [table(&SERVICES.map(|name| host(name, name)))].into(),
        clusters: SERVICES.map(cluster).into(),
        endpoints: SERVICES.map(|name| endpoints(name, 1)).into(),
        ..ProxyConfig::default()
    }
}

fn compile(before: &Runtime, config: &ProxyConfig) -> Runtime {
    let compiler = Compiler {
        before,
        telemetry: &|_| Arc::default(),
        namespace: "default",
        read_file: &|_| Err(std::io::ErrorKind::NotFound.into()),
    };
    let (runtime, errors) = compiler.compile(config);
    assert!(errors.is_empty(), "{errors:?}");
    runtime
}

fn routes(runtime: &Runtime) -> Arc<Routes> {
    let Network::Http(http) = &runtime.listener("80").unwrap().chains[0].network else {
        panic!("no HTTP");
    };
    http.routes.clone().unwrap()
}

/// The cluster that a request to a host leads to, and the last byte of its endpoint's address.
fn led_to(runtime: &Runtime, host: &str) -> Option<(String, u8)> {
    let routes = routes(runtime);
    let matched = routes.table.route(&PlainRequest::get(host, "/"))?;
    let cluster = runtime.cluster(routes.targets(&matched)[0]?)?;
    let SocketAddr::V4(address) = cluster.members()?.get(0)?.address else {
        panic!("no IPv4");
    };
    Some((cluster.name().to_string(), address.ip().octets()[3]))
}

fn leads(runtime: &Runtime, expected: &[(&str, &str, u8)]) {
    for (host, cluster, last) in expected {
        assert_eq!(
            led_to(runtime, host),
            Some(((*cluster).to_owned(), *last)),
            "{host}"
        );
    }
}

#[test]
fn an_endpoint_is_one_cluster() {
    let before = config();
    let mut after = before.clone();
    let changed = ["a", "b", "c"].map(|name| endpoints(name, if name == "b" { 2 } else { 1 }));
    after.endpoints = changed
        .into_iter()
        .chain([before.endpoints[3].clone()])
        .collect();
    let one = compile(&Runtime::default(), &before);
    let two = compile(&one, &after);
    leads(&two, &[("a", "a", 1), ("b", "b", 2), ("d", "d", 1)]);
    let same = |index: usize| Arc::ptr_eq(&one.clusters()[index], &two.clusters()[index]);
    assert_eq!([0, 1, 2, 3].map(same), [true, false, true, true]);
    assert!(Arc::ptr_eq(&routes(&one), &routes(&two)));
    assert!(Arc::ptr_eq(
        one.listener("80").unwrap(),
        two.listener("80").unwrap()
    ));
    // Nothing at all.
    let three = compile(&two, &after);
    assert!(Arc::ptr_eq(&two.clusters, &three.clusters));
}

#[test]
fn a_rule_is_one_virtual_host() {
    let before = config();
    let one = compile(&Runtime::default(), &before);
    let mut hosts = before.routes[0].virtual_hosts.clone();
    hosts[1] = host("b", "c");
    let mut after = before.clone();
    after.routes = [table(&hosts)].into();
    let two = compile(&one, &after);
    leads(&two, &[("a", "a", 1), ("b", "c", 1), ("c", "c", 1)]);
    assert!(Arc::ptr_eq(&one.clusters, &two.clusters));
    // Other hosts before it, and one that is gone.
    hosts.remove(0);
    hosts.insert(0, host("aa", "d"));
    hosts.insert(0, host("a0", "d"));
    after.routes = [table(&hosts)].into();
    let three = compile(&two, &after);
    leads(
        &three,
        &[("a0", "d", 1), ("aa", "d", 1), ("b", "c", 1), ("d", "d", 1)],
    );
    assert_eq!(led_to(&three, "a"), None);
}

#[test]
fn routes_follow_their_clusters_to_other_positions() {
    let before = config();
    let one = compile(&Runtime::default(), &before);
    let mut after = before.clone();
    let clusters = [cluster("0")]
        .into_iter()
        .chain(before.clusters[1..].iter().cloned());
    after.clusters = clusters.collect();
    let told = [endpoints("0", 9)]
        .into_iter()
        .chain(before.endpoints[1..].iter().cloned());
    after.endpoints = told.collect();
    let two = compile(&one, &after);
    // As many clusters as before, one of another name.
    assert_eq!(led_to(&two, "a"), None);
    leads(&two, &[("b", "b", 1), ("d", "d", 1)]);
    after.clusters = after.clusters[1..].into();
    let three = compile(&two, &after);
    leads(&three, &[("b", "b", 1), ("c", "c", 1), ("d", "d", 1)]);
    assert!(Arc::ptr_eq(&three.clusters()[0], &one.clusters()[1]));
}
