//! Arbitrary values of the intermediate representation, within what its documentation promises.

mod filters;
mod telemetry;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use mesh_ir::policy::*;
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
        vec(filters::claim_match(), 0..2),
    )
        .prop_map(
            |(path, case_sensitive, headers, query, claims)| RouteMatch {
                path,
                case_sensitive,
                headers,
                query,
                claims,
            },
        )
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

fn fraction() -> impl Strategy<Value = Fraction> {
    let per = proptest::sample::select(vec![
        Denominator::Hundred,
        Denominator::TenThousand,
        Denominator::Million,
    ]);
    (0u32..200, per).prop_map(|(numerator, per)| Fraction { numerator, per })
}

fn hash_policy() -> impl Strategy<Value = HashPolicy> {
    prop_oneof![
        text().prop_map(HashPolicy::Header),
        (text(), any_text(), of(duration())).prop_map(|(name, path, ttl)| HashPolicy::Cookie {
            name,
            path,
            ttl
        }),
        text().prop_map(HashPolicy::QueryParameter),
        Just(HashPolicy::SourceAddress),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    let duration = prop_oneof![
        duration().prop_map(DelayDuration::Fixed),
        Just(DelayDuration::Header)
    ];
    let delay = (duration, fraction()).prop_map(|(duration, percentage)| FaultDelay {
        duration,
        percentage,
    });
    let status = prop_oneof![
        (200u16..600).prop_map(AbortStatus::Http),
        (0u32..17).prop_map(AbortStatus::Grpc),
        Just(AbortStatus::Header),
    ];
    let abort =
        (status, fraction()).prop_map(|(status, percentage)| FaultAbort { status, percentage });
    (of(delay), of(abort)).prop_map(|(delay, abort)| Fault { delay, abort })
}

fn string_match() -> impl Strategy<Value = StringMatch> {
    prop_oneof![
        text().prop_map(StringMatch::Exact),
        text().prop_map(StringMatch::Prefix),
        text().prop_map(StringMatch::Suffix),
        pattern().prop_map(StringMatch::Regex),
    ]
}

fn cors() -> impl Strategy<Value = CorsPolicy> {
    let names = || vec(text(), 0..3);
    (
        vec(string_match(), 0..3),
        [names(), names(), names()],
        of(any::<u64>()),
        of(any::<bool>()),
        any::<bool>(),
    )
        .prop_map(
            |(allow_origins, [methods, headers, expose], max_age, credentials, forward)| {
                CorsPolicy {
                    allow_origins,
                    allow_methods: methods,
                    allow_headers: headers,
                    expose_headers: expose,
                    max_age,
                    allow_credentials: credentials,
                    forward_unmatched_preflights: forward,
                }
            },
        )
}

fn route_policy() -> BoxedStrategy<RoutePolicy> {
    (of(fault()), of(cors()), of(filters::local_rate_limit()))
        .prop_map(|(fault, cors, limit)| RoutePolicy {
            fault: fault.map(Arc::new),
            cors: cors.map(Arc::new),
            local_rate_limit: limit.map(Arc::new),
            rate_limits: vec![],
        })
        .boxed()
}

fn route_action() -> BoxedStrategy<RouteAction> {
    let mirror = (text(), fraction()).prop_map(|(cluster, fraction)| Mirror { cluster, fraction });
    let forward = (
        target(),
        of(duration()),
        of(retry()),
        of(path_rewrite()),
        of(text()),
        vec(mirror, 0..2),
        vec(hash_policy(), 0..3),
        of(duration()),
        of(duration()),
    )
        .prop_map(
            |(target, timeout, retry, path, host, mirrors, hash, idle_timeout, max_stream)| {
                RouteAction::Forward(Forward {
                    target,
                    timeout,
                    retry,
                    path_rewrite: path,
                    host_rewrite: host,
                    mirrors,
                    hash,
                    idle_timeout,
                    max_stream_duration: max_stream,
                })
            },
        );
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
    prop_oneof![3 => forward, 1 => redirect, 1 => direct].boxed()
}

fn route() -> BoxedStrategy<Route> {
    (
        any_text(),
        route_match(),
        route_action(),
        (route_policy(), filters::rate_limit_rules()),
        header_ops(),
        header_ops(),
        of(config_ref()),
    )
        .prop_map(
            |(
                name,
                matcher,
                action,
                (policy, rules),
                request_headers,
                response_headers,
                origin,
            )| {
                let forwards = matches!(action, RouteAction::Forward(_));
                Route {
                    name,
                    matcher,
                    action,
                    policy: RoutePolicy {
                        rate_limits: if forwards { rules } else { vec![] },
                        ..policy
                    },
                    request_headers,
                    response_headers,
                    origin,
                }
            },
        )
        .boxed()
}

pub(crate) fn route_config() -> BoxedStrategy<RouteConfig> {
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
    .boxed()
}

fn trust() -> BoxedStrategy<Trust> {
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
    (any::<[bool; 3]>(), 0u32..4, certificate, details, strip)
        .prop_map(
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
        .boxed()
}

fn http_connection_manager(direction: Direction) -> BoxedStrategy<HttpConnectionManager> {
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
        filters::http_filters(),
        any::<bool>(),
        of(duration()),
        telemetry::policy(),
    )
        .prop_map(
            move |(
                stat_prefix,
                routes,
                codec,
                normalization,
                trust,
                filters,
                websocket,
                idle_timeout,
                telemetry,
            )| HttpConnectionManager {
                stat_prefix,
                routes,
                direction,
                codec,
                normalization,
                trust,
                filters,
                websocket,
                idle_timeout,
                telemetry: Arc::new(telemetry),
            },
        )
        .boxed()
}

fn tcp_proxy() -> BoxedStrategy<TcpProxy> {
    (
        text(),
        vec((text(), 1u32..9), 1..3),
        of(duration()),
        telemetry::policy(),
    )
        .prop_map(
            |(stat_prefix, clusters, idle_timeout, telemetry)| TcpProxy {
                stat_prefix,
                clusters,
                idle_timeout,
                telemetry: Arc::new(telemetry.for_tcp()),
            },
        )
        .boxed()
}

fn network(direction: Direction) -> BoxedStrategy<Network> {
    prop_oneof![
        http_connection_manager(direction).prop_map(Network::Http),
        tcp_proxy().prop_map(Network::Tcp),
    ]
    .boxed()
}

fn cidr() -> impl Strategy<Value = Cidr> {
    (any::<IpAddr>(), 0u8..=32).prop_map(|(address, length)| Cidr::new(address, length).unwrap())
}

fn chain_match() -> BoxedStrategy<ChainMatch> {
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
        .boxed()
}

fn chain(direction: Direction) -> BoxedStrategy<FilterChain> {
    (
        any_text(),
        chain_match(),
        of(server_tls()),
        vec(filters::network_filter(), 0..3),
        network(direction),
    )
        .prop_map(|(name, matcher, tls, list, network)| FilterChain {
            name,
            matcher,
            tls: tls.map(Arc::new),
            filters: filters::apart(list, |filter| matches!(filter, NetworkFilter::Authorize(_))),
            network,
        })
        .boxed()
}

fn certificate() -> impl Strategy<Value = CertificateSource> {
    prop_oneof![
        text().prop_map(CertificateSource::Discovered),
        (text(), text()).prop_map(|(chain, key)| CertificateSource::Files { chain, key }),
    ]
}

fn peer_validation() -> impl Strategy<Value = PeerValidation> {
    let trust = prop_oneof![
        text().prop_map(TrustSource::Discovered),
        text().prop_map(TrustSource::File),
    ];
    let kind = proptest::sample::select(vec![NameKind::Dns, NameKind::Uri, NameKind::Address]);
    let name = (kind, string_match()).prop_map(|(kind, name)| SubjectAltName { kind, name });
    (of(trust), vec(name, 0..3), of(text())).prop_map(|(trust, names, revoked)| PeerValidation {
        trust,
        names,
        revoked,
    })
}

fn tls_parameters() -> impl Strategy<Value = TlsParameters> {
    let version = || {
        of(proptest::sample::select(vec![
            TlsVersion::V1_0,
            TlsVersion::V1_1,
            TlsVersion::V1_2,
            TlsVersion::V1_3,
        ]))
    };
    (version(), version(), vec(text(), 0..2), vec(text(), 0..2)).prop_map(
        |(minimum, maximum, cipher_suites, curves)| TlsParameters {
            minimum,
            maximum,
            cipher_suites,
            curves,
        },
    )
}

fn server_tls() -> BoxedStrategy<ServerTls> {
    // A validation that accepts everything is not told from none.
    let validation =
        || peer_validation().prop_filter("empty", |peer| *peer != PeerValidation::default());
    let client = prop_oneof![
        Just(ClientCertificate::NotRequested),
        validation().prop_map(ClientCertificate::Optional),
        validation().prop_map(ClientCertificate::Required),
    ];
    let parts = (certificate(), client, vec(text(), 0..3), tls_parameters());
    parts
        .prop_map(|(certificate, client, alpn, parameters)| ServerTls {
            certificates: vec![certificate],
            client,
            alpn,
            parameters,
        })
        .boxed()
}

fn client_tls() -> BoxedStrategy<ClientTls> {
    let server_name = prop_oneof![
        Just(ServerName::None),
        text().prop_map(ServerName::Fixed),
        Just(ServerName::OfRequest),
    ];
    (
        of(certificate()),
        peer_validation(),
        server_name,
        vec(text(), 0..3),
        tls_parameters(),
    )
        .prop_map(
            |(certificate, server, server_name, alpn, parameters)| ClientTls {
                certificate,
                server,
                server_name,
                alpn,
                parameters,
            },
        )
        .boxed()
}

pub(crate) fn listener() -> BoxedStrategy<Listener> {
    let inspect = any::<[bool; 4]>().prop_map(
        |[proxy_protocol, original_destination, tls, http]| Inspect {
            proxy_protocol,
            original_destination,
            tls,
            http,
        },
    );
    let direction = prop_oneof![Just(Direction::Inbound), Just(Direction::Outbound)];
    (direction, inspect)
        .prop_flat_map(|(direction, inspect)| {
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
        .boxed()
}

pub(crate) fn endpoints() -> BoxedStrategy<Endpoints> {
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
    let endpoint = (address(), 1u32..9, health, any::<bool>(), of(workload)).prop_map(
        |(address, weight, health, offers_mtls, workload)| Endpoint {
            address,
            weight,
            health,
            offers_mtls,
            workload,
        },
    );
    let locality =
        (any_text(), any_text(), any_text()).prop_map(|(region, zone, subzone)| Locality {
            region,
            zone,
            subzone,
        });
    let group = (locality, 0u32..3, of(1u32..100), vec(endpoint, 0..4)).prop_map(
        |(locality, priority, weight, endpoints)| LocalityEndpoints {
            locality,
            priority,
            weight,
            endpoints,
        },
    );
    (text(), vec(group, 0..3))
        .prop_map(|(cluster, localities)| Endpoints {
            cluster,
            localities,
        })
        .boxed()
}

fn limits() -> BoxedStrategy<Limits> {
    let limit = || of(0u32..10_000);
    let budget = (0u32..=100_000, any::<u32>())
        .prop_map(|(percent, minimum)| RetryBudget { percent, minimum });
    (
        [limit(), limit(), limit(), limit(), limit()],
        of(budget),
        of(duration()),
        of(duration()),
        limit(),
    )
        .prop_map(
            |(
                [connections, pending, requests, per_connection, retries],
                budget,
                idle,
                life,
                streams,
            )| {
                Limits {
                    max_connections: connections,
                    max_pending_requests: pending,
                    max_requests: requests,
                    max_requests_per_connection: per_connection,
                    max_retries: retries,
                    retry_budget: budget,
                    idle_timeout: idle,
                    max_connection_duration: life,
                    max_concurrent_streams: streams,
                }
            },
        )
        .boxed()
}

/// A way to choose endpoints, with a slow start where there may be one.
fn balancing() -> impl Strategy<Value = (LoadBalancing, Option<SlowStart>)> {
    let size = || of(1u64..8_000_000);
    let balancing = prop_oneof![
        Just(LoadBalancing::RoundRobin),
        Just(LoadBalancing::LeastRequest),
        Just(LoadBalancing::Random),
        size().prop_map(
            |minimum_size| LoadBalancing::ConsistentHash(ConsistentHash::RingHash { minimum_size })
        ),
        size().prop_map(
            |table_size| LoadBalancing::ConsistentHash(ConsistentHash::Maglev { table_size })
        ),
        Just(LoadBalancing::ClusterProvided),
    ];
    let slow_start =
        (duration(), any::<u32>(), 0u8..=100).prop_map(|(window, aggression, minimum_percent)| {
            SlowStart {
                window,
                aggression: aggression % 4_000_000,
                minimum_percent,
            }
        });
    (balancing, of(slow_start)).prop_map(|(balancing, slow_start)| {
        let slow = matches!(
            balancing,
            LoadBalancing::RoundRobin | LoadBalancing::LeastRequest
        );
        (balancing, slow_start.filter(|_| slow))
    })
}

fn outliers() -> impl Strategy<Value = OutlierDetection> {
    (
        0u32..9,
        0u32..9,
        of(0u32..9),
        duration(),
        duration(),
        0u32..=100,
    )
        .prop_map(
            |(errors, gateway, local, interval, base_ejection_time, percent)| OutlierDetection {
                consecutive_5xx: errors,
                consecutive_gateway_failures: gateway,
                consecutive_local_failures: local,
                interval,
                base_ejection_time,
                max_ejection_percent: percent,
            },
        )
}

fn health_check() -> impl Strategy<Value = HealthCheck> {
    let probe = prop_oneof![
        Just(Probe::Tcp),
        (any_text(), path()).prop_map(|(host, path)| Probe::Http { host, path }),
        any_text().prop_map(|service| Probe::Grpc { service }),
    ];
    (duration(), duration(), 1u32..9, 1u32..9, probe).prop_map(
        |(timeout, interval, unhealthy_threshold, healthy_threshold, probe)| HealthCheck {
            timeout,
            interval,
            unhealthy_threshold,
            healthy_threshold,
            probe,
        },
    )
}

fn client_policy() -> BoxedStrategy<ClientPolicy> {
    let protocol = proptest::sample::select(vec![
        HttpProtocol::Http1,
        HttpProtocol::Http2,
        HttpProtocol::AsClient,
    ]);
    let tls = prop_oneof![
        Just(UpstreamTls::Plaintext),
        client_tls().prop_map(|client| UpstreamTls::Always(Arc::new(client))),
        client_tls().prop_map(|client| UpstreamTls::WhereOffered(Arc::new(client))),
    ];
    let keepalive = (of(any::<u32>()), of(any::<u32>()), of(any::<u32>())).prop_map(
        |(probes, time, interval)| TcpKeepalive {
            probes,
            time,
            interval,
        },
    );
    let header = of(prop_oneof![
        Just(ProxyProtocol::V1),
        Just(ProxyProtocol::V2)
    ]);
    let sockets = (tls, header, of(keepalive), of(any::<IpAddr>()));
    (
        duration(),
        sockets,
        balancing(),
        any::<bool>(),
        of(0u8..=100),
        protocol,
        limits(),
        of(outliers()),
        vec(health_check(), 0..2),
    )
        .prop_map(
            |(
                connect_timeout,
                sockets,
                balancing,
                weighted,
                panic,
                protocol,
                limits,
                outliers,
                checks,
            )| {
                let (tls, proxy_protocol, keepalive, source_address) = sockets;
                let (balancing, slow_start) = balancing;
                ClientPolicy {
                    connect_timeout,
                    tls,
                    balancing,
                    slow_start,
                    weighted_localities: weighted,
                    panic_threshold: panic,
                    protocol,
                    limits: Limits {
                        // There are no streams in HTTP/1.1.
                        max_concurrent_streams: limits
                            .max_concurrent_streams
                            .filter(|_| protocol != HttpProtocol::Http1),
                        ..limits
                    },
                    keepalive,
                    outliers,
                    health_checks: checks,
                    proxy_protocol,
                    source_address,
                }
            },
        )
        .boxed()
}

pub(crate) fn cluster() -> BoxedStrategy<Cluster> {
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
        .boxed()
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
    let named = (btree_set(any::<IpAddr>(), 0..3), of("[a-z]{1,8}"));
    let named = named.prop_map(|(addresses, service)| NamedHost {
        addresses: addresses.into_iter().collect(),
        service: service.map(Into::into),
    });
    // A table without hosts does not exist: nothing would say of which namespace it is.
    (text(), btree_map(text(), named, 1..4))
        .prop_map(|(namespace, hosts)| NameTable { namespace, hosts })
}
