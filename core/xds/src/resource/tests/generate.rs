//! Arbitrary values of the intermediate representation, within what its documentation promises.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use mesh_ir::*;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;

pub(crate) fn text() -> impl Strategy<Value = Arc<str>> {
    "[a-z0-9.|_%-]{1,12}".prop_map(Into::into)
}

fn any_text() -> impl Strategy<Value = Arc<str>> {
    "[ -~]{0,12}".prop_map(Into::into)
}

fn path() -> impl Strategy<Value = Arc<str>> {
    "/[a-z0-9/\\\\]{0,8}".prop_map(Into::into)
}

fn pattern() -> impl Strategy<Value = Arc<str>> {
    prop_oneof![Just("/a/(.*)"), Just("[a-z]+(b|c)"), Just("(v[0-9])")].prop_map(Into::into)
}

fn duration() -> impl Strategy<Value = Duration> {
    (0u64..100_000, 1u32..1_000_000_000).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

fn address() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

fn config_ref() -> impl Strategy<Value = ConfigRef> {
    ("[a-z]{1,5}", "[a-z]{1,5}", "[a-z]{1,5}").prop_map(|(kind, namespace, name)| ConfigRef {
        api_version: "networking.istio.io/v1alpha3".into(),
        kind: kind.into(),
        namespace: namespace.into(),
        name: name.into(),
    })
}

fn header_ops() -> impl Strategy<Value = HeaderOps> {
    let append = prop_oneof![Just(HeaderAppend::Append), Just(HeaderAppend::Overwrite)];
    let value = (text(), any_text(), append).prop_map(|(name, value, append)| HeaderValue {
        name,
        value,
        append,
    });
    (vec(text(), 0..2), vec(value, 0..3)).prop_map(|(remove, set)| HeaderOps { remove, set })
}

fn value_match() -> impl Strategy<Value = ValueMatch> {
    prop_oneof![
        Just(ValueMatch::Present),
        any_text().prop_map(|text| ValueMatch::Text(StringMatch::Exact(text))),
        any_text().prop_map(|text| ValueMatch::Text(StringMatch::Prefix(text))),
        any_text().prop_map(|text| ValueMatch::Text(StringMatch::Suffix(text))),
        pattern().prop_map(|text| ValueMatch::Text(StringMatch::Regex(text))),
    ]
}

fn route_match() -> impl Strategy<Value = RouteMatch> {
    let path_match = prop_oneof![
        path().prop_map(PathMatch::Prefix),
        path().prop_map(PathMatch::SegmentPrefix),
        path().prop_map(PathMatch::Exact),
        pattern().prop_map(PathMatch::Regex),
    ];
    let header =
        (text(), value_match(), any::<bool>()).prop_map(|(name, value, invert)| HeaderMatch {
            name,
            value,
            invert,
        });
    let query = (text(), value_match()).prop_map(|(name, value)| QueryMatch { name, value });
    (
        path_match,
        any::<bool>(),
        vec(header, 0..3),
        vec(query, 0..2),
    )
        .prop_map(|(path, case_sensitive, headers, query)| RouteMatch {
            path,
            case_sensitive,
            headers,
            query,
        })
}

fn path_rewrite() -> impl Strategy<Value = PathRewrite> {
    prop_oneof![
        path().prop_map(PathRewrite::Prefix),
        path().prop_map(PathRewrite::Full),
        pattern().prop_map(|pattern| PathRewrite::Regex {
            pattern,
            substitution: r"/x\1".into(),
        }),
    ]
}

fn retry() -> impl Strategy<Value = RetryPolicy> {
    let on = proptest::sample::subsequence(
        RetryOn::TOKENS
            .iter()
            .map(|(on, _)| *on)
            .collect::<Vec<_>>(),
        0..5,
    );
    (
        0u32..9,
        on,
        vec(400u16..600, 0..3),
        of(duration()),
        of(duration()),
        0u32..9,
    )
        .prop_map(
            |(
                attempts,
                on,
                status_codes,
                per_try_timeout,
                base_interval,
                host_selection_attempts,
            )| {
                RetryPolicy {
                    attempts,
                    on,
                    status_codes,
                    per_try_timeout,
                    base_interval,
                    host_selection_attempts,
                }
            },
        )
}

fn target() -> impl Strategy<Value = Target> {
    let entry = (text(), 1u32..100, header_ops(), header_ops()).prop_map(
        |(cluster, weight, request_headers, response_headers)| WeightedCluster {
            cluster,
            weight,
            request_headers,
            response_headers,
        },
    );
    prop_oneof![
        text().prop_map(Target::Cluster),
        vec(entry, 1..4).prop_map(Target::Weighted),
    ]
}

fn route_action() -> impl Strategy<Value = RouteAction> {
    let forward = (
        target(),
        of(duration()),
        of(retry()),
        of(path_rewrite()),
        of(text()),
    )
        .prop_map(|(target, timeout, retry, path_rewrite, host_rewrite)| {
            RouteAction::Forward(Forward {
                target,
                timeout,
                retry,
                path_rewrite,
                host_rewrite,
            })
        });
    let redirect = (
        proptest::sample::select(vec![301u16, 302, 303, 307, 308]),
        of(text()),
        of(text()),
        of(any::<NonZeroU16>()),
        of(path_rewrite()),
    )
        .prop_map(|(code, scheme, host, port, path)| {
            RouteAction::Redirect(Redirect {
                code,
                scheme,
                host,
                port,
                path,
            })
        });
    let direct = (200u16..600, any_text())
        .prop_map(|(code, body)| RouteAction::Direct(DirectResponse { code, body }));
    prop_oneof![3 => forward, 1 => redirect, 1 => direct]
}

fn route() -> impl Strategy<Value = Route> {
    (
        any_text(),
        route_match(),
        route_action(),
        header_ops(),
        header_ops(),
        of(config_ref()),
    )
        .prop_map(
            |(name, matcher, action, request_headers, response_headers, origin)| Route {
                name,
                matcher,
                action,
                request_headers,
                response_headers,
                origin,
            },
        )
}

pub(crate) fn route_config() -> impl Strategy<Value = RouteConfig> {
    let hosts = btree_map(text(), vec(route(), 0..3), 0..3);
    let flags = (any::<bool>(), any::<bool>());
    let all = (text(), hosts, flags);
    all.prop_map(
        |(name, hosts, (discovers_virtual_hosts, ignore_port_in_host))| RouteConfig {
            name,
            discovers_virtual_hosts,
            virtual_hosts: hosts
                .into_iter()
                .map(|(domain, routes)| {
                    Arc::new(VirtualHost {
                        name: domain.clone(),
                        domains: vec![domain],
                        routes,
                    })
                })
                .collect(),
            ignore_port_in_host,
        },
    )
}

fn access_log() -> impl Strategy<Value = AccessLog> {
    let format = prop_oneof![
        Just((None, false)),
        Just((None, true)),
        text().prop_map(|text| (Some(text), false)),
        Just((
            Some(r#"{"a":"%PROTOCOL%","b":[true,null,{"c":1.5,"d":-2}]}"#.into()),
            true
        )),
    ];
    (text(), format).prop_map(|(path, (format, json))| AccessLog { path, format, json })
}

fn trust() -> impl Strategy<Value = Trust> {
    let certificate = proptest::sample::select(vec![
        ForwardClientCertificate::Sanitize,
        ForwardClientCertificate::Forward,
        ForwardClientCertificate::AppendForward,
        ForwardClientCertificate::SanitizeSet,
        ForwardClientCertificate::AlwaysForward,
    ]);
    let details = any::<[bool; 6]>().prop_map(|[subject, issuer, certificate, chain, dns, uri]| {
        CertificateDetails {
            subject,
            issuer,
            certificate,
            chain,
            dns,
            uri,
        }
    });
    let strip =
        proptest::sample::select(vec![StripPort::Never, StripPort::Matching, StripPort::Any]);
    (any::<[bool; 3]>(), 0u32..4, certificate, details, strip).prop_map(
        |(
            [remote, skip, dot],
            trusted_hops,
            client_certificate,
            certificate_details,
            strip_port,
        )| {
            Trust {
                use_remote_address: remote,
                trusted_hops,
                skip_forwarded_for: skip,
                client_certificate,
                certificate_details,
                strip_port,
                strip_trailing_dot: dot,
            }
        },
    )
}

fn http_connection_manager(direction: Direction) -> impl Strategy<Value = HttpConnectionManager> {
    let routes = prop_oneof![
        text().prop_map(Routes::Discovered),
        route_config().prop_map(|config| Routes::Inline(Arc::new(config))),
    ];
    let codec = proptest::sample::select(vec![HttpCodec::Auto, HttpCodec::Http1, HttpCodec::Http2]);
    let normalization = proptest::sample::select(vec![
        PathNormalization::None,
        PathNormalization::Base,
        PathNormalization::MergeSlashes,
        PathNormalization::DecodeAndMergeSlashes,
    ]);
    (
        text(),
        routes,
        codec,
        normalization,
        trust(),
        any::<bool>(),
        of(duration()),
        of(access_log()),
    )
        .prop_map(
            move |(
                stat_prefix,
                routes,
                codec,
                normalization,
                trust,
                websocket,
                idle_timeout,
                access_log,
            )| HttpConnectionManager {
                stat_prefix,
                routes,
                direction,
                codec,
                normalization,
                trust,
                websocket,
                idle_timeout,
                access_log,
            },
        )
}

fn tcp_proxy() -> impl Strategy<Value = TcpProxy> {
    (
        text(),
        vec((text(), 1u32..9), 1..3),
        of(duration()),
        of(access_log()),
    )
        .prop_map(
            |(stat_prefix, clusters, idle_timeout, access_log)| TcpProxy {
                stat_prefix,
                clusters,
                idle_timeout,
                access_log,
            },
        )
}

fn network(direction: Direction) -> impl Strategy<Value = Network> {
    prop_oneof![
        http_connection_manager(direction).prop_map(Network::Http),
        tcp_proxy().prop_map(Network::Tcp),
    ]
}

fn cidr() -> impl Strategy<Value = Cidr> {
    (any::<IpAddr>(), 0u8..=32).prop_map(|(address, length)| Cidr::new(address, length).unwrap())
}

fn chain_match() -> impl Strategy<Value = ChainMatch> {
    let protocols = proptest::sample::subsequence(vec!["h2c", "http/1.1", "istio"], 0..=3);
    let transport = of(prop_oneof![
        Just(Transport::Plaintext),
        Just(Transport::Tls)
    ]);
    let names = btree_set("(\\*\\.)?[a-z]{1,6}(\\.[a-z]{1,3})?", 0..3);
    (
        of(any::<u16>()),
        btree_set(cidr(), 0..3),
        names,
        transport,
        protocols,
        btree_set(cidr(), 0..3),
        btree_set(any::<u16>(), 0..3),
    )
        .prop_map(
            |(port, destinations, names, transport, protocols, sources, source_ports)| ChainMatch {
                destination_port: port,
                destination_prefixes: destinations,
                server_names: names.into_iter().map(Into::into).collect(),
                transport,
                application_protocols: protocols.into_iter().map(Into::into).collect(),
                source_prefixes: sources,
                source_ports,
            },
        )
}

fn chain(direction: Direction) -> impl Strategy<Value = FilterChain> {
    (any_text(), chain_match(), network(direction)).prop_map(|(name, matcher, network)| {
        FilterChain {
            name,
            matcher,
            network,
        }
    })
}

pub(crate) fn listener() -> impl Strategy<Value = Listener> {
    let inspect = any::<[bool; 4]>().prop_map(
        |[proxy_protocol, original_destination, tls, http]| Inspect {
            proxy_protocol,
            original_destination,
            tls,
            http,
        },
    );
    let direction = prop_oneof![Just(Direction::Inbound), Just(Direction::Outbound)];
    (direction, inspect).prop_flat_map(|(direction, inspect)| {
        (
            text(),
            address(),
            any::<[bool; 2]>(),
            vec(chain(direction), 0..3),
            of(chain(direction)),
        )
            .prop_map(
                move |(name, address, [bind, original], chains, default_chain)| Listener {
                    name,
                    address,
                    bind,
                    use_original_destination: original,
                    inspect,
                    direction,
                    chains,
                    default_chain,
                },
            )
    })
}

pub(crate) fn endpoints() -> impl Strategy<Value = Endpoints> {
    let health = prop_oneof![
        Just(EndpointHealth::Healthy),
        Just(EndpointHealth::Draining),
        Just(EndpointHealth::Unhealthy),
    ];
    let workload = vec("[a-z0-9-]{0,5}".prop_map(Arc::<str>::from), 5).prop_map(|parts| Workload {
        name: parts[0].clone(),
        namespace: parts[1].clone(),
        canonical_name: parts[2].clone(),
        canonical_revision: parts[3].clone(),
        cluster: parts[4].clone(),
    });
    let endpoint = (address(), 1u32..9, health, of(workload)).prop_map(
        |(address, weight, health, workload)| Endpoint {
            address,
            weight,
            health,
            workload,
        },
    );
    let locality =
        (any_text(), any_text(), any_text()).prop_map(|(region, zone, subzone)| Locality {
            region,
            zone,
            subzone,
        });
    let group =
        (locality, 0u32..3, vec(endpoint, 0..4)).prop_map(|(locality, priority, endpoints)| {
            LocalityEndpoints {
                locality,
                priority,
                endpoints,
            }
        });
    (text(), vec(group, 0..3)).prop_map(|(cluster, localities)| Endpoints {
        cluster,
        localities,
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    let limit = || of(0u32..10_000);
    (limit(), limit(), limit(), limit(), limit(), of(duration())).prop_map(
        |(
            max_connections,
            max_pending_requests,
            max_requests,
            max_requests_per_connection,
            max_retries,
            idle_timeout,
        )| Limits {
            max_connections,
            max_pending_requests,
            max_requests,
            max_requests_per_connection,
            max_retries,
            idle_timeout,
        },
    )
}

fn client_policy() -> impl Strategy<Value = ClientPolicy> {
    let balancing = proptest::sample::select(vec![
        LoadBalancing::RoundRobin,
        LoadBalancing::LeastRequest,
        LoadBalancing::Random,
        LoadBalancing::ClusterProvided,
    ]);
    let protocol = prop_oneof![Just(HttpProtocol::Http1), Just(HttpProtocol::Http2)];
    (
        duration(),
        balancing,
        protocol,
        limits(),
        of(any::<IpAddr>()),
    )
        .prop_map(
            |(connect_timeout, balancing, protocol, limits, source_address)| ClientPolicy {
                connect_timeout,
                balancing,
                protocol,
                limits,
                source_address,
            },
        )
}

pub(crate) fn cluster() -> impl Strategy<Value = Cluster> {
    let kind = prop_oneof![
        Just(ClusterKind::Eds),
        endpoints().prop_map(|endpoints| ClusterKind::Static(Arc::new(endpoints))),
        vec((text(), any::<u16>()), 0..3).prop_map(ClusterKind::StrictDns),
        Just(ClusterKind::OriginalDestination),
    ];
    let service =
        (any_text(), any_text(), any_text()).prop_map(|(host, name, namespace)| ServiceRef {
            host,
            name,
            namespace,
        });
    (
        text(),
        kind,
        client_policy(),
        vec(service, 0..3),
        of(config_ref()),
    )
        .prop_map(|(name, kind, client, services, origin)| Cluster {
            name,
            kind,
            client,
            services,
            origin,
        })
}

pub(crate) fn secret() -> impl Strategy<Value = Secret> {
    let kind = prop_oneof![
        (any_text(), any_text()).prop_map(|(chain, key)| SecretKind::Certificate {
            chain,
            key: SecretText(key),
        }),
        any_text().prop_map(|roots| SecretKind::Trust { roots }),
    ];
    (text(), kind).prop_map(|(name, kind)| Secret { name, kind })
}

pub(crate) fn name_table() -> impl Strategy<Value = NameTable> {
    btree_map(text(), btree_set(any::<IpAddr>(), 0..3), 0..4).prop_map(|hosts| NameTable {
        hosts: hosts
            .into_iter()
            .map(|(name, addresses)| (name, addresses.into_iter().collect()))
            .collect(),
    })
}
