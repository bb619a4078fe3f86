//! Every resource survives the wire: what is encoded decodes to the same value, for values that are made up at random.

mod generate;

use std::fmt::Debug;

use envoy_types::pb::envoy::config as envoy;
use mesh_ir::{ProxyConfig, ProxyTables};
use proptest::prelude::*;

use super::*;

/// A cluster whose endpoints are discovered.
pub(crate) fn cluster_with_eds(name: &str) -> Cluster {
    Cluster::new(name, mesh_ir::ClusterKind::Eds)
}

fn round_trip<T: XdsResource + PartialEq + Debug>(value: &T) -> Result<(), TestCaseError> {
    let decoded = T::decode(&value.encode());
    prop_assert_eq!(decoded.as_ref(), Ok(value));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn listeners_round_trip(value in generate::listener()) {
        round_trip(&value)?;
    }

    #[test]
    fn routes_round_trip(value in generate::route_config()) {
        round_trip(&value)?;
    }

    #[test]
    fn virtual_hosts_round_trip(value in generate::route_config()) {
        for host in value.virtual_hosts {
            let name = mesh_ir::names::virtual_host_resource(&value.name, &host.name);
            // The last slash ends the name of the table.
            if !host.name.contains('/') {
                round_trip(&DiscoveredHost { name, host })?;
            }
        }
    }

    #[test]
    fn clusters_round_trip(value in generate::cluster()) {
        round_trip(&value)?;
    }

    #[test]
    fn endpoints_round_trip(value in generate::endpoints()) {
        round_trip(&value)?;
    }

    #[test]
    fn secrets_round_trip(value in generate::secret()) {
        round_trip(&value)?;
    }

    #[test]
    fn name_tables_round_trip(value in generate::name_table()) {
        round_trip(&value)?;
    }

    /// Everything that is written to the wire can be shown as JSON.
    #[test]
    fn resources_are_shown(
        listener in generate::listener(),
        routes in generate::route_config(),
        cluster in generate::cluster(),
        endpoints in generate::endpoints(),
        secret in generate::secret(),
    ) {
        for any in [
            listener.encode(),
            routes.encode(),
            cluster.encode(),
            endpoints.encode(),
            secret.encode(),
        ] {
            let shown = crate::json::any_to_json(&any);
            prop_assert!(shown.is_ok(), "{:?}", shown);
        }
    }

    /// Damaged bytes are refused or understood, they never panic.
    #[test]
    fn damaged_resources_never_panic(
        value in generate::listener(),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = value.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Listener::decode(&bytes);
        let _ = crate::json::any_to_json(&bytes);
        let _ = Cluster::decode(&bytes);
    }

    #[test]
    fn equal_values_have_equal_versions(value in generate::cluster()) {
        prop_assert_eq!(version_of(&value), version_of(&value.clone()));
        let mut other = value.clone();
        other.client.connect_timeout += std::time::Duration::from_nanos(1);
        prop_assert_ne!(version_of(&value), version_of(&other));
    }
}

#[track_caller]
fn check_refused<T: XdsResource + Debug>(message: &impl Message, expect: &str) {
    let error = T::decode(&wrap(T::TYPE, message)).unwrap_err();
    assert_eq!(error.to_string(), expect);
}

fn table(route: envoy::route::v3::Route) -> envoy::route::v3::RouteConfiguration {
    envoy::route::v3::RouteConfiguration {
        virtual_hosts: vec![envoy::route::v3::VirtualHost {
            routes: vec![route],
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[test]
fn what_would_change_traffic_is_refused_by_its_path() {
    use envoy::route::v3::{Route, RouteAction, RouteMatch, route, route_action, route_match};
    let matcher = RouteMatch {
        path_specifier: Some(route_match::PathSpecifier::Prefix("/".into())),
        ..Default::default()
    };
    let action = RouteAction {
        cluster_specifier: Some(route_action::ClusterSpecifier::Cluster("c".into())),
        append_x_forwarded_host: true,
        ..Default::default()
    };
    check_refused::<RouteConfig>(
        &table(Route {
            r#match: Some(matcher),
            action: Some(route::Action::Route(action)),
            ..Default::default()
        }),
        "virtual_hosts[0].routes[0].route.append_x_forwarded_host: not supported by this proxy",
    );
    check_refused::<RouteConfig>(
        &table(Route::default()),
        "virtual_hosts[0].routes[0].match: missing",
    );
}

#[test]
fn a_bad_expression_is_refused_with_its_reason() {
    use envoy::route::v3::{Route, RouteMatch, route_match};
    let matcher = RouteMatch {
        path_specifier: Some(route_match::PathSpecifier::SafeRegex(header_match::regex(
            "a(",
        ))),
        ..Default::default()
    };
    check_refused::<RouteConfig>(
        &table(Route {
            r#match: Some(matcher),
            action: Some(envoy::route::v3::route::Action::DirectResponse(
                envoy::route::v3::DirectResponseAction {
                    status: 200,
                    ..Default::default()
                },
            )),
            ..Default::default()
        }),
        "virtual_hosts[0].routes[0].match.safe_regex.regex: invalid regular expression \"a(\": unclosed group",
    );
}

#[test]
fn another_type_is_refused() {
    let any = wrap(
        ResourceType::Cluster,
        &envoy::cluster::v3::Cluster::default(),
    );
    let error = Listener::decode(&any).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the resource is a type.googleapis.com/envoy.config.cluster.v3.Cluster, expected \
         type.googleapis.com/envoy.config.listener.v3.Listener"
    );
}

#[test]
fn limits_that_envoy_would_add_are_written_as_none() {
    let cluster = envoy::cluster::v3::Cluster {
        name: "c".into(),
        cluster_discovery_type: Some(envoy::cluster::v3::cluster::ClusterDiscoveryType::Type(4)),
        lb_policy: 6,
        ..Default::default()
    };
    let decoded = Cluster::decode(&wrap(ResourceType::Cluster, &cluster)).unwrap();
    assert_eq!(decoded.client.limits.max_retries, Some(3));
    assert_eq!(decoded.client.limits.max_connections, Some(1024));
    assert_eq!(
        decoded.client.connect_timeout,
        std::time::Duration::from_secs(5)
    );
}

#[test]
fn type_urls_are_those_of_the_messages() {
    use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::Secret as SecretProto;
    let urls = [
        envoy::cluster::v3::Cluster::type_url(),
        envoy::endpoint::v3::ClusterLoadAssignment::type_url(),
        SecretProto::type_url(),
        envoy::listener::v3::Listener::type_url(),
        envoy::route::v3::RouteConfiguration::type_url(),
    ];
    for (kind, url) in ResourceType::ALL.iter().zip(urls) {
        assert_eq!(kind.type_url(), url);
        assert_eq!(ResourceType::from_type_url(&url), Some(*kind));
        assert_eq!(ResourceType::ALL[kind.index()], *kind);
    }
}

#[test]
fn layers_are_encoded_once_and_forgotten_with_their_snapshots() {
    let endpoints = |cluster: &str, priority| {
        Arc::new(Endpoints {
            cluster: cluster.into(),
            localities: vec![mesh_ir::LocalityEndpoints {
                priority,
                ..mesh_ir::LocalityEndpoints::new(mesh_ir::Locality::default(), vec![])
            }],
        })
    };
    let config = |second| ProxyConfig {
        endpoints: vec![endpoints("a", 0), endpoints("b", second)].into(),
        ..ProxyConfig::default()
    };
    let whole = |_: &RouteConfig| VirtualHosts::Inline;
    let encoder = Encoder::default();
    let layers = ConfigLayers::default().next(&config(0), whole);
    let first = encoder.encode(&layers.over(&ProxyTables::default()));
    let same = encoder.encode(&layers.next(&config(0), whole).over(&ProxyTables::default()));
    let kind = ResourceType::Endpoints;
    let any =
        |snapshot: &ResourceSnapshot, name: &str| snapshot.get(kind).get(name).unwrap().any.clone();
    assert_eq!(any(&first, "b").as_ptr(), any(&same, "b").as_ptr());
    drop(same);

    let layers = layers.next(&config(1), whole);
    let tables = layers.over(&ProxyTables::default());
    let next = encoder.encode_after(&first, &tables);
    assert_eq!(any(&first, "a").as_ptr(), any(&next, "a").as_ptr());
    assert_ne!(any(&first, "b"), any(&next, "b"));
    assert_eq!(next.get(kind).changed_since(first.get(kind)), ["b".into()]);
    assert!(Arc::ptr_eq(
        next.get(ResourceType::Cluster),
        first.get(ResourceType::Cluster)
    ));
    assert!(Arc::ptr_eq(
        encoder.encode_after(&next, &tables).get(kind),
        next.get(kind)
    ));
    assert_eq!(encoder.len(), 2);
    drop((first, next));
    assert!(encoder.is_empty());
}

#[test]
fn a_table_is_split_into_its_virtual_hosts() {
    let host = |name: &str| {
        Arc::new(mesh_ir::VirtualHost {
            name: name.into(),
            domains: vec![name.into()],
            routes: vec![],
        })
    };
    let table = RouteConfig {
        name: "80".into(),
        virtual_hosts: vec![host("a"), host("b")],
        discovers_virtual_hosts: false,
        ignore_port_in_host: true,
    };
    let config = ProxyConfig {
        routes: vec![Arc::new(table)].into(),
        ..ProxyConfig::default()
    };
    let layers = ConfigLayers::default().next(&config, |_| VirtualHosts::Discovered);
    let snapshot = Encoder::default().encode(&layers.over(&ProxyTables::default()));
    let names = |kind| -> Vec<String> {
        let set = snapshot.get(kind).iter();
        set.map(|(name, _)| name.to_string()).collect()
    };
    assert_eq!(names(ResourceType::Route), ["80"]);
    assert_eq!(names(ResourceType::VirtualHost), ["80/a", "80/b"]);
    let head = &snapshot.get(ResourceType::Route).get("80").unwrap().any;
    let head = RouteConfig::decode(head).unwrap();
    assert!(head.discovers_virtual_hosts && head.virtual_hosts.is_empty());
}
