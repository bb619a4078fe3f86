//! Arbitrary filters and policies, in the form in which they come back: sorted, and nothing said twice.

use std::collections::BTreeMap;

use super::*;

/// Without filters that follow another one of which they would become a part.
pub(super) fn apart<T>(filters: Vec<T>, is_same: impl Fn(&T) -> bool) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for filter in filters {
        if !(is_same(&filter) && kept.last().is_some_and(&is_same)) {
            kept.push(filter);
        }
    }
    kept
}

fn word() -> impl Strategy<Value = Arc<str>> {
    "[a-z][a-z0-9.+-]{0,6}".prop_map(Into::into)
}

fn string_pattern(text: &'static str) -> BoxedStrategy<StringPattern> {
    prop_oneof![
        text.prop_map(|text| StringPattern::Exact(text.into())),
        text.prop_map(|text| StringPattern::Prefix(text.into())),
        text.prop_map(|text| StringPattern::Suffix(text.into())),
        Just(StringPattern::NotEmpty),
    ]
    .boxed()
}

const NAMES: &str = "[a-z.()*+][a-z.,-]{0,5}";
const HOSTS: &str = "[a-z][a-z.-]{0,5}(:[0-9]{1,3})?";
const TOKENS: &str = "[a-z:]{1,4}/[a-z.]{1,4}";

pub(super) fn claim_match() -> impl Strategy<Value = ClaimMatch> {
    let path = vec(word(), 1..3);
    (path, string_pattern(NAMES), any::<bool>()).prop_map(|(path, value, invert)| ClaimMatch {
        path,
        value,
        invert,
    })
}

fn constraint<T: std::fmt::Debug + 'static>(
    values: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Constraint<T>> {
    let values = values.boxed();
    (vec(values.clone(), 0..3), vec(values, 0..2))
        .prop_map(|(values, not_values)| Constraint { values, not_values })
        .boxed()
}

/// At least one value.
fn some<T: std::fmt::Debug + 'static>(
    values: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Constraint<T>> {
    let values = values.boxed();
    (vec(values.clone(), 1..3), vec(values, 0..2))
        .prop_map(|(values, not_values)| Constraint { values, not_values })
        .boxed()
}

fn source() -> BoxedStrategy<Source> {
    let account = (word(), word()).prop_map(|(namespace, name)| ServiceAccount { namespace, name });
    (
        constraint(string_pattern(NAMES)),
        constraint(string_pattern(TOKENS)),
        constraint(string_pattern(NAMES)),
        constraint(account),
        constraint(string_pattern(NAMES)),
        constraint(cidr()),
        constraint(cidr()),
    )
        .prop_map(
            |(
                principals,
                request_principals,
                namespaces,
                service_accounts,
                trust_domains,
                ip_blocks,
                remote_ip_blocks,
            )| Source {
                principals,
                request_principals,
                namespaces,
                service_accounts,
                trust_domains,
                ip_blocks,
                remote_ip_blocks,
            },
        )
        .prop_filter("everything is no source", |source| {
            *source != Source::default()
        })
        .boxed()
}

fn operation() -> BoxedStrategy<Operation> {
    let template = proptest::sample::select(vec!["/{*}/a", "/a/{**}", "/{*}/{**}/b"]);
    let paths = prop_oneof![
        string_pattern("/[a-z.]{0,5}").prop_map(PathPattern::Text),
        template.prop_map(|text| PathPattern::Template(PathTemplate::parse(text).unwrap())),
    ];
    (
        constraint(string_pattern(HOSTS)),
        constraint(any::<u16>()),
        constraint(string_pattern("[A-Z]{1,4}")),
        constraint(paths.boxed()),
    )
        .prop_map(|(hosts, ports, methods, paths)| Operation {
            hosts,
            ports,
            methods,
            paths,
        })
        .prop_filter("everything is no operation", |it| {
            *it != Operation::default()
        })
        .boxed()
}

/// Conditions of different attributes, those about the target last.
fn conditions() -> BoxedStrategy<Vec<Condition>> {
    let text = |attribute: TextAttribute, values: &'static str| {
        some(string_pattern(values)).prop_map(move |values| Condition::Text {
            attribute: attribute.clone(),
            values,
        })
    };
    let address =
        |attribute| some(cidr()).prop_map(move |values| Condition::Address { attribute, values });
    let claim = vec!["a".into(), "b".into()];
    (
        of(text(TextAttribute::RequestHeader("x-a".into()), NAMES)),
        of(text(TextAttribute::SourceTrustDomain, NAMES)),
        of(text(
            TextAttribute::SourceServiceAccount,
            "[a-z]{1,3}/[a-z.]{1,3}",
        )),
        of(text(TextAttribute::RequestClaim(claim), NAMES)),
        of(text(TextAttribute::RequestAudiences, NAMES)),
        of(address(AddressAttribute::RemoteIp)),
        of(address(AddressAttribute::DestinationIp)),
        of(text(TextAttribute::ConnectionSni, NAMES)),
        of(some(any::<u16>()).prop_map(Condition::DestinationPort)),
    )
        .prop_map(|(a, b, c, d, e, f, g, h, i)| {
            // Several values of one claim are one list, in which each is named once.
            let mut all: Vec<Condition> =
                [a, b, c, d, e, f, g, h, i].into_iter().flatten().collect();
            for condition in &mut all {
                if let Condition::Text { values, .. } = condition {
                    values.values.dedup();
                }
            }
            all
        })
        .boxed()
}

fn policies(dry_runs: bool) -> BoxedStrategy<Vec<AuthorizationPolicy>> {
    let rule = (vec(source(), 0..3), vec(operation(), 0..3), conditions());
    let rules = btree_map(0u32..20, rule, 0..3);
    btree_map((any::<bool>(), word(), word()), rules, 1..4)
        .prop_map(move |found| {
            let mut policies = BTreeMap::new();
            for ((dry_run, namespace, name), rules) in found {
                let rules = rules
                    .into_iter()
                    .map(|(index, (from, to, when))| AuthorizationRule {
                        index,
                        from,
                        to,
                        when,
                    });
                let dry_run = dry_run && dry_runs;
                let policy = AuthorizationPolicy {
                    namespace: namespace.clone(),
                    name: name.clone(),
                    dry_run,
                    rules: rules.collect(),
                };
                policies.insert((dry_run, namespace, name), policy);
            }
            policies.into_values().collect()
        })
        .boxed()
}

fn some_policies() -> BoxedStrategy<Vec<AuthorizationPolicy>> {
    prop_oneof![Just(vec![]), policies(true)].boxed()
}

fn authorization() -> BoxedStrategy<Authorization> {
    (some_policies(), some_policies(), some_policies())
        .prop_map(|(deny, allow, audit)| Authorization { deny, allow, audit })
        .prop_filter("without policies there is no filter", |it| !it.is_empty())
        .boxed()
}

fn external(
    protocol: BoxedStrategy<ExternalAuthorizerProtocol>,
    about_requests: BoxedStrategy<AboutRequests>,
) -> BoxedStrategy<ExternalAuthorization> {
    let provider = (
        "[a-z.-]{1,5}",
        text(),
        protocol,
        duration(),
        any::<bool>(),
        about_requests,
    )
        .prop_map(
            |(name, cluster, protocol, timeout, fail_open, about_requests)| {
                let (tells_failure, status_on_error, body, clear_route_cache, told, hidden) =
                    about_requests;
                ExternalAuthorizer {
                    name: name.into(),
                    cluster,
                    protocol,
                    timeout,
                    fail_open,
                    tells_failure,
                    status_on_error,
                    body,
                    clear_route_cache,
                    request_headers: told,
                    hidden_headers: hidden,
                }
            },
        );
    (of(provider), policies(false))
        .prop_map(|(provider, policies)| ExternalAuthorization { provider, policies })
        .boxed()
}

/// What says nothing of connections.
type AboutRequests = (
    bool,
    u16,
    Option<CheckedBody>,
    bool,
    Option<Vec<StringPattern>>,
    Vec<StringPattern>,
);

fn about_requests() -> BoxedStrategy<AboutRequests> {
    let body = (1..1u32 << 23, any::<bool>(), any::<bool>()).prop_map(
        |(max_bytes, allow_partial, as_bytes)| CheckedBody {
            max_bytes,
            allow_partial,
            as_bytes,
        },
    );
    let flags = (any::<bool>(), 100..600u16, of(body), any::<bool>());
    (flags, of(header_names()), header_names())
        .prop_map(|((tells, status, body, clear), told, hidden)| {
            (tells, status, body, clear, told, hidden)
        })
        .boxed()
}

fn header_names() -> BoxedStrategy<Vec<StringPattern>> {
    let name = || "[a-z-]{1,6}".prop_map(Arc::<str>::from);
    let pattern = prop_oneof![
        name().prop_map(StringPattern::Exact),
        name().prop_map(StringPattern::Prefix),
        name().prop_map(StringPattern::Suffix),
        Just(StringPattern::NotEmpty),
    ];
    vec(pattern, 0..3).boxed()
}

fn http_authorizer() -> BoxedStrategy<ExternalAuthorizerProtocol> {
    let added = vec((word(), word()), 0..3);
    let taken = (
        header_names(),
        header_names(),
        header_names(),
        header_names(),
    );
    let http = (path(), added, taken).prop_map(|(path_prefix, added_headers, taken)| {
        let (upstream_headers, appended_headers, denial_headers, success_headers) = taken;
        ExternalAuthorizerProtocol::Http(HttpAuthorizer {
            path_prefix,
            added_headers,
            upstream_headers,
            appended_headers,
            denial_headers,
            success_headers,
        })
    });
    prop_oneof![grpc_authorizer(), http].boxed()
}

fn grpc_authorizer() -> BoxedStrategy<ExternalAuthorizerProtocol> {
    text()
        .prop_map(|authority| ExternalAuthorizerProtocol::Grpc { authority })
        .boxed()
}

fn authentication() -> BoxedStrategy<RequestAuthentication> {
    let header =
        (text(), any_text()).prop_map(|(name, prefix)| TokenLocation::Header { name, prefix });
    let claim = (text(), text()).prop_map(|(header, claim)| ClaimToHeader { header, claim });
    let rule = (
        (text(), vec(text(), 0..3), any_text()),
        (vec(header, 0..2), vec(text(), 0..2), vec(text(), 0..2)),
        any::<bool>(),
        of(text()),
        vec(claim, 0..2),
    )
        .prop_map(
            |(
                (issuer, audiences, jwks),
                (headers, parameters, cookies),
                forward,
                payload,
                output_claims,
            )| {
                let parameters = parameters.into_iter().map(TokenLocation::Parameter);
                let cookies = cookies.into_iter().map(TokenLocation::Cookie);
                JwtRule {
                    issuer,
                    audiences,
                    jwks,
                    locations: headers
                        .into_iter()
                        .chain(parameters)
                        .chain(cookies)
                        .collect(),
                    forward_original_token: forward,
                    output_payload_to_header: payload,
                    output_claims,
                    origin: None,
                }
            },
        );
    vec(rule, 1..12)
        .prop_map(|rules| RequestAuthentication { rules })
        .boxed()
}

fn bucket() -> impl Strategy<Value = TokenBucket> + Clone {
    (1u32.., any::<u32>(), 50u64..100_000).prop_map(|(max_tokens, tokens_per_fill, millis)| {
        TokenBucket {
            max_tokens,
            tokens_per_fill,
            fill_interval: Duration::from_millis(millis),
        }
    })
}

fn rate_limit_rule() -> BoxedStrategy<RateLimitRule> {
    let header =
        (text(), value_match(), any::<bool>()).prop_map(|(name, value, invert)| HeaderMatch {
            name,
            value,
            invert,
        });
    let action = prop_oneof![
        Just(RateLimitAction::SourceCluster),
        Just(RateLimitAction::DestinationCluster),
        Just(RateLimitAction::RemoteAddress),
        (text(), text(), any::<bool>()).prop_map(|(name, key, skip_if_absent)| {
            RateLimitAction::RequestHeader {
                name,
                key,
                skip_if_absent,
            }
        }),
        (any_text(), text()).prop_map(|(key, value)| RateLimitAction::GenericKey { key, value }),
        (any_text(), text(), any::<bool>(), vec(header, 1..3)).prop_map(
            |(key, value, expect_match, headers)| RateLimitAction::HeaderValueMatch {
                key,
                value,
                expect_match,
                headers,
            }
        ),
    ];
    (0u32..10, vec(action, 1..3))
        .prop_map(|(stage, actions)| RateLimitRule { stage, actions })
        .boxed()
}

pub(super) fn rate_limit_rules() -> BoxedStrategy<Vec<RateLimitRule>> {
    vec(rate_limit_rule(), 0..2).boxed()
}

pub(super) fn local_rate_limit() -> BoxedStrategy<LocalRateLimit> {
    let descriptor = (vec((text(), any_text()), 1..3), bucket())
        .prop_map(|(entries, bucket)| DescriptorLimit { entries, bucket });
    (
        text(),
        of(bucket()),
        400u16..600,
        (fraction(), fraction(), any::<bool>()),
        vec(descriptor, 0..2),
        header_ops(),
        rate_limit_rules(),
    )
        .prop_map(
            |(
                stat_prefix,
                bucket,
                status,
                (enabled, enforced, per_connection),
                descriptors,
                ops,
                rate_limits,
            )| {
                LocalRateLimit {
                    stat_prefix,
                    bucket,
                    status,
                    enabled,
                    enforced,
                    per_connection,
                    descriptors,
                    response_headers: ops.set,
                    rate_limits,
                }
            },
        )
        .boxed()
}

fn global_rate_limit() -> BoxedStrategy<GlobalRateLimit> {
    let service = (text(), of(text()), duration());
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (
        (text(), 0u32..10),
        service,
        (400u16..600, 400u16..600),
        flags,
        header_ops(),
    )
        .prop_map(|((domain, stage), service, statuses, flags, ops)| {
            let (cluster, authority, timeout) = service;
            let (status, status_on_error) = statuses;
            let (fail_closed, tells_limits, hides_limited, as_resource_exhausted) = flags;
            GlobalRateLimit {
                domain,
                stage,
                cluster,
                authority: authority.unwrap_or_default(),
                timeout,
                fail_closed,
                status_on_error,
                status,
                tells_limits,
                hides_limited,
                as_resource_exhausted,
                response_headers: ops.set,
            }
        })
        .boxed()
}

fn extension() -> BoxedStrategy<ExtensionFilter> {
    let lua = "envoy.extensions.filters.http.lua.v3.Lua";
    let script = text().prop_map(move |name| {
        use envoy_types::pb::envoy::extensions::filters::http::lua::v3::Lua;
        let script = Lua {
            stat_prefix: name.to_string(),
            ..Lua::default()
        };
        ExtensionConfig::Inline {
            message: lua.into(),
            value: prost::Message::encode_to_vec(&script).into(),
        }
    });
    let config = prop_oneof![
        script,
        vec(text(), 1..3).prop_map(|messages| ExtensionConfig::Discovered { messages }),
    ];
    (text(), config, any::<bool>())
        .prop_map(|(name, config, optional)| ExtensionFilter {
            name,
            config,
            optional,
        })
        .boxed()
}

fn http_filter() -> BoxedStrategy<HttpFilter> {
    prop_oneof![
        Just(HttpFilter::Fault),
        Just(HttpFilter::Cors),
        authentication().prop_map(|it| HttpFilter::Authenticate(Arc::new(it))),
        authorization().prop_map(|it| HttpFilter::Authorize(Arc::new(it))),
        external(http_authorizer(), about_requests())
            .prop_map(|it| HttpFilter::ExternalAuthorize(Arc::new(it))),
        local_rate_limit().prop_map(|it| HttpFilter::LocalRateLimit(Arc::new(it))),
        global_rate_limit().prop_map(|it| HttpFilter::RateLimit(Arc::new(it))),
        extension().prop_map(|it| HttpFilter::Extension(Arc::new(it))),
    ]
    .boxed()
}

pub(super) fn http_filters() -> BoxedStrategy<Vec<HttpFilter>> {
    vec(http_filter(), 0..4)
        .prop_map(|filters| apart(filters, |filter| matches!(filter, HttpFilter::Authorize(_))))
        .boxed()
}

pub(super) fn network_filter() -> BoxedStrategy<NetworkFilter> {
    let limit =
        (text(), any::<u64>(), of(duration())).prop_map(|(stat_prefix, max_connections, delay)| {
            ConnectionLimit {
                stat_prefix,
                max_connections,
                delay,
            }
        });
    let rate = (text(), bucket()).prop_map(|(stat_prefix, bucket)| ConnectionRateLimit {
        stat_prefix,
        bucket,
    });
    let nothing = Just((false, 403, None, false, None, Vec::new())).boxed();
    prop_oneof![
        authorization().prop_map(|it| NetworkFilter::Authorize(Arc::new(it))),
        external(grpc_authorizer(), nothing)
            .prop_map(|it| NetworkFilter::ExternalAuthorize(Arc::new(it))),
        limit.prop_map(|it| NetworkFilter::ConnectionLimit(Arc::new(it))),
        rate.prop_map(|it| NetworkFilter::RateLimit(Arc::new(it))),
        Just(NetworkFilter::SniCluster),
    ]
    .boxed()
}
