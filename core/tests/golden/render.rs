//! A rendering of a proxy's configuration that a person can read and that leaves nothing out.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::diag::Diagnostic;
use mesh_ir::{
    AccessLog, Cluster, ClusterKind, Endpoints, FileLog, FilterChain, Forward, HeaderAppend,
    HeaderMatch, HeaderOps, Limits, Listener, LogSink, Network, PathMatch, PathRewrite,
    ProxyConfig, Redirect, RetryPolicy, Route, RouteAction, RouteConfig, RouteMatch, Routes,
    StringMatch, Target, TcpProxy, TelemetryPolicy, ValueMatch, resolvable_names,
};
use serde_json::{Map, Value, json};

use crate::policies;

/// The configuration of clients of a namespace and its findings as YAML.
pub fn render(config: &ProxyConfig, namespace: &str, diagnostics: &[Diagnostic]) -> String {
    let ProxyConfig {
        listeners,
        routes,
        clusters,
        endpoints,
        secrets,
        names,
    } = config;
    let mut root = Map::new();
    let mut put = |key: &str, value: Value| {
        if !is_empty(&value) {
            root.insert(key.to_owned(), value);
        }
    };
    put("diagnostics", diagnostics.iter().map(diagnostic).collect());
    put(
        "listeners",
        object(listeners.iter().map(|item| listener(item))),
    );
    put("routes", object(routes.iter().map(|item| table(item))));
    put(
        "clusters",
        object(clusters.iter().map(|item| cluster(item))),
    );
    put(
        "endpoints",
        object(endpoints.iter().map(|item| endpoint(item))),
    );
    put("secrets", object(secrets.iter().map(|item| secret(item))));
    let mut by_addresses: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let names = names.iter().map(|table| &**table);
    let names = resolvable_names(names, namespace);
    for (name, addresses) in &names {
        by_addresses
            .entry(join(addresses.iter(), " "))
            .or_default()
            .push(name);
    }
    put("names", json!(by_addresses));
    serde_yaml::to_string(&Value::Object(root)).unwrap()
}

fn diagnostic(found: &Diagnostic) -> Value {
    let Diagnostic {
        code,
        level,
        resource,
        path,
        message,
        ..
    } = found;
    let resource = resource
        .as_ref()
        .map_or_else(String::new, ToString::to_string);
    format!("{level} {code} {resource} {path}: {message}").into()
}

fn listener(listener: &Listener) -> (String, Value) {
    let Listener {
        name,
        address,
        bind,
        use_original_destination,
        inspect,
        direction,
        chains,
        default_chain,
    } = listener;
    let mut about = format!("{direction} {address}");
    for (set, text) in [
        (*bind, " bind"),
        (*use_original_destination, " use-original-destination"),
        (inspect.proxy_protocol, " proxy-protocol"),
        (inspect.original_destination, " original-destination"),
        (inspect.tls, " inspect-tls"),
        (inspect.http, " detect-http"),
    ] {
        if set {
            about.push_str(text);
        }
    }
    let mut map = Map::new();
    map.insert("about".into(), about.into());
    map.insert("chains".into(), chains.iter().map(chain).collect());
    if let Some(default) = default_chain {
        map.insert("default".into(), chain(default));
    }
    (name.to_string(), map.into())
}

fn chain(chain: &FilterChain) -> Value {
    let FilterChain {
        name,
        matcher,
        tls,
        filters,
        network,
    } = chain;
    let mesh_ir::ChainMatch {
        destination_port,
        destination_prefixes,
        server_names,
        transport,
        application_protocols,
        source_prefixes,
        source_ports,
    } = matcher;
    let mut on = Vec::new();
    on.extend(destination_port.map(|port| format!("port {port}")));
    on.extend(destination_prefixes.iter().map(|to| format!("to {to}")));
    on.extend(server_names.iter().map(|name| format!("sni {name}")));
    on.extend(transport.map(|transport| format!("{transport:?}")));
    on.extend(application_protocols.iter().map(ToString::to_string));
    on.extend(source_prefixes.iter().map(|from| format!("from {from}")));
    on.extend(source_ports.iter().map(|port| format!("from :{port}")));
    let on = if on.is_empty() {
        "anything".to_owned()
    } else {
        on.join(" ")
    };
    let mut map = Map::new();
    map.insert("name".into(), name.to_string().into());
    if !filters.is_empty() {
        map.insert("policies".into(), policies::network(filters));
    }
    if let Some(tls) = tls {
        map.insert("tls".into(), server_tls(tls).into());
    }
    match network {
        Network::Tcp(TcpProxy {
            stat_prefix,
            clusters,
            idle_timeout,
            telemetry,
        }) => {
            let clusters = join(
                clusters.iter().map(|(cluster, weight)| match weight {
                    1 => cluster.to_string(),
                    weight => format!("{weight}x {cluster}"),
                }),
                " + ",
            );
            let idle = idle_timeout.map_or_else(String::new, |idle| format!(" idle {idle:?}"));
            map.insert("tcp".into(), format!("{on} -> {clusters}{idle}").into());
            map.insert("stats".into(), stat_prefix.to_string().into());
            told(&mut map, telemetry);
        }
        Network::Http(manager) => {
            let mesh_ir::HttpConnectionManager {
                stat_prefix,
                routes,
                direction,
                codec,
                normalization,
                trust,
                filters,
                websocket,
                idle_timeout,
                telemetry,
            } = manager;
            assert!(
                *websocket && idle_timeout.is_none() && *codec == mesh_ir::HttpCodec::Auto,
                "rendered as if always so"
            );
            let expected: &[mesh_ir::HttpFilter] = match direction {
                mesh_ir::Direction::Inbound => &[],
                mesh_ir::Direction::Outbound => {
                    &[mesh_ir::HttpFilter::Fault, mesh_ir::HttpFilter::Cors]
                }
            };
            let before = filters.strip_suffix(expected);
            let before = before.expect("rendered as if always at the end");
            if !before.is_empty() {
                map.insert("policies".into(), policies::http(before));
            }
            let mut edge = trusted(trust);
            if *normalization != mesh_ir::PathNormalization::MergeSlashes {
                write!(edge, " paths {normalization:?}").unwrap();
            }
            let to = match routes {
                Routes::Discovered(name) => format!("routes {name}"),
                Routes::Inline(routes) => {
                    map.insert("routes".into(), object([table(routes)].into_iter()));
                    "routes below".to_owned()
                }
            };
            map.insert(
                "http".into(),
                format!("{on} -> {direction} {to}{edge}").into(),
            );
            map.insert("stats".into(), stat_prefix.to_string().into());
            told(&mut map, telemetry);
        }
    }
    map.into()
}

fn server_tls(tls: &mesh_ir::ServerTls) -> String {
    let mesh_ir::ServerTls {
        certificates,
        client,
        alpn,
        parameters,
    } = tls;
    let clients = match client {
        mesh_ir::ClientCertificate::NotRequested => "are not asked".to_owned(),
        mesh_ir::ClientCertificate::Optional(peer) => format!("may be {}", validation(peer)),
        mesh_ir::ClientCertificate::Required(peer) => validation(peer),
    };
    let certificates: Vec<String> = certificates.iter().map(certificate).collect();
    format!(
        "{}; clients {clients}; alpn [{}]{}",
        certificates.join(" "),
        alpn.join(" "),
        tls_parameters(parameters)
    )
}

fn tls_parameters(parameters: &mesh_ir::TlsParameters) -> String {
    let mesh_ir::TlsParameters {
        minimum,
        maximum,
        cipher_suites,
        curves,
    } = parameters;
    let mut text = String::new();
    if let Some(minimum) = minimum {
        write!(text, "; from {minimum:?}").unwrap();
    }
    if let Some(maximum) = maximum {
        write!(text, "; to {maximum:?}").unwrap();
    }
    if !cipher_suites.is_empty() {
        write!(text, "; suites {}", cipher_suites.join(" ")).unwrap();
    }
    if !curves.is_empty() {
        write!(text, "; curves {}", curves.join(" ")).unwrap();
    }
    text
}

fn secret(item: &mesh_ir::Secret) -> (String, Value) {
    let mesh_ir::Secret { name, kind } = item;
    let holds = match kind {
        mesh_ir::SecretKind::Certificate { chain, key } => {
            format!(
                "certificate of {} bytes, key of {}",
                chain.len(),
                key.0.len()
            )
        }
        mesh_ir::SecretKind::Trust { roots } => format!("trust in {} bytes", roots.len()),
    };
    (name.to_string(), holds.into())
}

fn upstream_tls(tls: &mesh_ir::UpstreamTls) -> Option<String> {
    let (when, client) = match tls {
        mesh_ir::UpstreamTls::Plaintext => return None,
        mesh_ir::UpstreamTls::Always(client) => ("always", client),
        mesh_ir::UpstreamTls::WhereOffered(client) => ("where offered", client),
    };
    let mesh_ir::ClientTls {
        certificate: own,
        server,
        server_name,
        alpn,
        parameters,
    } = &**client;
    let own = own
        .as_ref()
        .map_or_else(|| "nothing".to_owned(), certificate);
    let name = match server_name {
        mesh_ir::ServerName::Fixed(name) => name.to_string(),
        other => format!("{other:?}"),
    };
    Some(format!(
        "{when}; shows {own}; servers {}; sni {name}; alpn [{}]{}",
        validation(server),
        alpn.join(" "),
        tls_parameters(parameters)
    ))
}

fn certificate(source: &mesh_ir::CertificateSource) -> String {
    match source {
        mesh_ir::CertificateSource::Discovered(name) => name.to_string(),
        mesh_ir::CertificateSource::Files { chain, key } => format!("{chain}+{key}"),
    }
}

fn validation(peer: &mesh_ir::PeerValidation) -> String {
    let mesh_ir::PeerValidation {
        trust,
        names,
        revoked,
    } = peer;
    let trust = match trust {
        None => "anybody".to_owned(),
        Some(mesh_ir::TrustSource::Discovered(name)) => name.to_string(),
        Some(mesh_ir::TrustSource::File(path)) => path.to_string(),
    };
    let names = names.iter().map(|name| {
        let mesh_ir::SubjectAltName { kind, name } = name;
        format!("{kind:?} {}", value(&ValueMatch::Text(name.clone())))
    });
    let revoked = revoked.iter().map(|path| format!("not in {path}"));
    let all: Vec<String> = names.chain(revoked).collect();
    format!("{trust} [{}]", all.join(", "))
}

fn trusted(trust: &mesh_ir::Trust) -> String {
    use mesh_ir::ForwardClientCertificate::{Sanitize, SanitizeSet};
    let mesh_ir::Trust {
        use_remote_address,
        client_certificate,
        ..
    } = *trust;
    let rest = mesh_ir::Trust {
        use_remote_address,
        client_certificate,
        certificate_details: trust.certificate_details,
        ..mesh_ir::Trust::default()
    };
    assert_eq!(*trust, rest, "rendered as if always so");
    let edge = if use_remote_address {
        " at the edge"
    } else {
        ""
    };
    match client_certificate {
        Sanitize => edge.to_owned(),
        SanitizeSet => format!("{edge} sets client cert"),
        other => format!("{edge} client cert {other:?}"),
    }
}

/// Logs in files as one text; everything else as it is debugged.
fn told(map: &mut Map<String, Value>, telemetry: &TelemetryPolicy) {
    let TelemetryPolicy {
        access_logs,
        tracing,
        metrics,
    } = telemetry;
    let logs = access_logs.iter().map(|AccessLog { sink, filter }| {
        let filter = filter.as_ref().map(|filter| format!(" if {filter}"));
        let sink = match sink {
            LogSink::File(FileLog {
                path, format, json, ..
            }) => {
                let format = format.as_deref().unwrap_or("default format");
                format!("{path} json={json} {format}")
            }
            other => format!("{other:?}"),
        };
        sink + &filter.unwrap_or_default()
    });
    let logs: Vec<String> = logs.collect();
    if !logs.is_empty() {
        map.insert("log".into(), logs.join(", ").into());
    }
    if let Some(tracing) = tracing {
        map.insert("tracing".into(), format!("{tracing:?}").into());
    }
    if !metrics.is_default() {
        map.insert("metrics".into(), format!("{metrics:?}").into());
    }
}

fn table(table: &RouteConfig) -> (String, Value) {
    let RouteConfig {
        name,
        virtual_hosts,
        discovers_virtual_hosts,
        ignore_port_in_host,
    } = table;
    assert!(!discovers_virtual_hosts, "a whole table");
    assert!(*ignore_port_in_host, "rendered as if always so");
    // A table that the proxy would refuse is a bug whatever the golden file says.
    let (_, refused) = mesh_ir::matching::RouteTable::compile(Arc::new(table.clone()));
    assert!(refused.is_empty(), "{refused:?}");
    let hosts = virtual_hosts.iter().map(|host| {
        let value = json!({
            "domains": join(host.domains.iter(), " "),
            "routes": host.routes.iter().map(route).collect::<Vec<_>>(),
        });
        (host.name.to_string(), value)
    });
    (name.to_string(), object(hosts))
}

fn route(route: &Route) -> Value {
    let Route {
        name,
        matcher,
        action,
        policy,
        request_headers,
        response_headers,
        origin,
    } = route;
    let mut map = Map::new();
    if *policy != mesh_ir::RoutePolicy::default() {
        map.insert("policy".into(), format!("{policy:?}").into());
    }
    if !name.is_empty() {
        map.insert("name".into(), name.to_string().into());
    }
    map.insert("match".into(), criteria(matcher).into());
    match action {
        RouteAction::Forward(forward) => render_forward(&mut map, forward),
        RouteAction::Redirect(Redirect {
            code,
            scheme,
            host,
            port,
            path,
        }) => {
            let mut text = code.to_string();
            for (name, part) in [
                ("scheme", scheme.as_ref().map(ToString::to_string)),
                ("host", host.as_ref().map(ToString::to_string)),
                ("port", port.as_ref().map(ToString::to_string)),
                ("path", path.as_ref().map(rewrite)),
            ] {
                if let Some(part) = part {
                    write!(text, " {name} {part}").unwrap();
                }
            }
            map.insert("redirect".into(), text.into());
        }
        RouteAction::Direct(direct) => {
            let text = format!("{} {:?}", direct.code, &*direct.body);
            map.insert("answer".into(), text.into());
        }
    }
    headers(&mut map, "request headers", request_headers);
    headers(&mut map, "response headers", response_headers);
    if let Some(origin) = origin {
        map.insert("from".into(), origin.to_string().into());
    }
    map.into()
}

fn criteria(matcher: &RouteMatch) -> String {
    let RouteMatch {
        path,
        case_sensitive,
        headers,
        query,
        claims,
    } = matcher;
    let mut text = match path {
        PathMatch::Prefix(path) => format!("{path}*"),
        PathMatch::SegmentPrefix(path) => format!("{path}/*"),
        PathMatch::Exact(path) => format!("= {path}"),
        PathMatch::Regex(path) => format!("~ {path}"),
    };
    if !case_sensitive {
        text.push_str(" in any case");
    }
    for HeaderMatch {
        name,
        value: wanted,
        invert,
    } in headers
    {
        let not = if *invert { "not " } else { "" };
        write!(text, "; {not}{name} {}", value(wanted)).unwrap();
    }
    for claim in claims {
        let not = if claim.invert { "not " } else { "" };
        let path = claim.path.join(".");
        write!(text, "; {not}claim {path} {}", claim.value).unwrap();
    }
    for parameter in query {
        write!(text, "; ?{} {}", parameter.name, value(&parameter.value)).unwrap();
    }
    text
}

fn value(value: &ValueMatch) -> String {
    match value {
        ValueMatch::Present => "present".to_owned(),
        ValueMatch::Text(StringMatch::Exact(text)) => format!("= {text}"),
        ValueMatch::Text(StringMatch::Prefix(text)) => format!("{text}*"),
        ValueMatch::Text(StringMatch::Suffix(text)) => format!("*{text}"),
        ValueMatch::Text(StringMatch::Regex(text)) => format!("~ {text}"),
    }
}

fn render_forward(map: &mut Map<String, Value>, forward: &Forward) {
    let Forward {
        target,
        timeout,
        retry,
        path_rewrite,
        host_rewrite,
        mirrors,
        hash,
        idle_timeout,
        max_stream_duration,
    } = forward;
    match target {
        Target::Cluster(cluster) => {
            map.insert("to".into(), cluster.to_string().into());
        }
        Target::Weighted(several) => {
            let several = several.iter().map(|weighted| {
                let mut map = Map::new();
                headers(&mut map, "request headers", &weighted.request_headers);
                headers(&mut map, "response headers", &weighted.response_headers);
                let share = format!("{}x {}", weighted.weight, weighted.cluster);
                if map.is_empty() {
                    return Value::from(share);
                }
                map.insert("to".into(), share.into());
                map.into()
            });
            map.insert("to".into(), several.collect());
        }
    }
    if let Some(timeout) = timeout {
        map.insert("timeout".into(), format!("{timeout:?}").into());
    }
    for (name, limit) in [("idle", idle_timeout), ("longest", max_stream_duration)] {
        if let Some(limit) = limit {
            map.insert(name.into(), format!("{limit:?}").into());
        }
    }
    for (name, shown) in [
        (
            "mirrors",
            mirrors
                .iter()
                .map(|it| format!("{it:?}"))
                .collect::<Vec<_>>(),
        ),
        ("hash", hash.iter().map(|it| format!("{it:?}")).collect()),
    ] {
        if !shown.is_empty() {
            map.insert(name.into(), shown.into());
        }
    }
    map.insert(
        "retry".into(),
        retry
            .as_ref()
            .map_or_else(|| "never".to_owned(), render_retry)
            .into(),
    );
    if let Some(path) = path_rewrite {
        map.insert("path".into(), rewrite(path).into());
    }
    if let Some(host) = host_rewrite {
        map.insert("host".into(), host.to_string().into());
    }
}

fn render_retry(policy: &RetryPolicy) -> String {
    let RetryPolicy {
        attempts,
        on,
        status_codes,
        per_try_timeout,
        base_interval,
        host_selection_attempts,
    } = policy;
    let on: Vec<&str> = on.iter().map(|failure| failure.token()).collect();
    let default = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
    let mut text = format!("{attempts}x on ");
    match on.join(",") {
        on if on == default => text.push_str("the default failures"),
        on => text.push_str(&on),
    }
    if !status_codes.is_empty() {
        write!(text, " {status_codes:?}").unwrap();
    }
    let mut span = |name: &str, duration: &Option<Duration>| {
        if let Some(duration) = duration {
            write!(text, " {name} {duration:?}").unwrap();
        }
    };
    span("each", per_try_timeout);
    span("base", base_interval);
    write!(text, ", hosts {host_selection_attempts}").unwrap();
    text
}

fn rewrite(rewrite: &PathRewrite) -> String {
    match rewrite {
        PathRewrite::Prefix(text) => format!("matched part -> {text}"),
        PathRewrite::Full(text) => format!("all -> {text}"),
        PathRewrite::Regex {
            pattern,
            substitution,
        } => format!("{pattern} -> {substitution}"),
    }
}

fn headers(map: &mut Map<String, Value>, name: &str, ops: &HeaderOps) {
    let HeaderOps { remove, set } = ops;
    let removed = remove.iter().map(|name| format!("-{name}"));
    let set = set.iter().map(|header| {
        let sign = match header.append {
            HeaderAppend::Append => "+",
            HeaderAppend::Overwrite => "=",
        };
        format!("{sign}{}: {}", header.name, header.value)
    });
    let all: Vec<String> = removed.chain(set).collect();
    if !all.is_empty() {
        map.insert(name.to_owned(), all.into());
    }
}

fn cluster(cluster: &Cluster) -> (String, Value) {
    let Cluster {
        name,
        kind,
        client,
        services,
        origin,
    } = cluster;
    let mesh_ir::ClientPolicy {
        connect_timeout,
        tls,
        balancing,
        slow_start,
        weighted_localities,
        panic_threshold,
        protocol,
        limits,
        keepalive,
        outliers,
        health_checks,
        proxy_protocol,
        source_address,
    } = client;
    let mut text = match kind {
        ClusterKind::Eds => "discovered".to_owned(),
        ClusterKind::Static(endpoints) => format!("static {}", flat(endpoints)),
        ClusterKind::StrictDns(names) => {
            let names = names.iter().map(|(host, port)| format!("{host}:{port}"));
            format!("dns {}", join(names, " "))
        }
        ClusterKind::OriginalDestination => "original destination".to_owned(),
    };
    write!(
        text,
        ", {balancing:?}, {protocol:?}, connect {connect_timeout:?}"
    )
    .unwrap();
    if *limits != Limits::default() {
        write!(text, ", {limits:?}").unwrap();
    }
    let mut rest = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            write!(text, ", {name} {value}").unwrap();
        }
    };
    let debug = |value: &dyn std::fmt::Debug| Some(format!("{value:?}"));
    rest("tls", upstream_tls(tls));
    rest("slow start", slow_start.as_ref().and_then(|it| debug(it)));
    rest("weighted localities", weighted_localities.then(String::new));
    rest(
        "panic below",
        panic_threshold.map(|percent| format!("{percent}%")),
    );
    rest("keepalive", keepalive.as_ref().and_then(|it| debug(it)));
    rest("outliers", outliers.as_ref().and_then(|it| debug(it)));
    rest(
        "health checks",
        debug(health_checks).filter(|_| !health_checks.is_empty()),
    );
    rest(
        "PROXY protocol",
        proxy_protocol.as_ref().and_then(|it| debug(it)),
    );
    if let Some(source) = source_address {
        write!(text, ", from {source}").unwrap();
    }
    for service in services {
        write!(
            text,
            ", of {} {}/{}",
            service.host, service.namespace, service.name
        )
        .unwrap();
    }
    if let Some(origin) = origin {
        write!(text, ", by {origin}").unwrap();
    }
    (name.to_string(), text.into())
}

fn flat(endpoints: &Endpoints) -> String {
    let all = endpoints
        .localities
        .iter()
        .flat_map(|locality| &locality.endpoints);
    join(all.map(|endpoint| endpoint.address.to_string()), " ")
}

fn endpoint(endpoints: &Endpoints) -> (String, Value) {
    let localities = endpoints.localities.iter().flat_map(|group| {
        let locality = &group.locality;
        let place = [&*locality.region, &*locality.zone, &*locality.subzone].join("/");
        let place = place.trim_end_matches('/').to_owned();
        group.endpoints.iter().map(move |endpoint| {
            let workload = endpoint.workload.as_ref();
            let workload = workload.map_or_else(String::new, ToString::to_string);
            let mut text = format!("{} {workload}", endpoint.address);
            if endpoint.weight != 1 || group.priority != 0 {
                write!(
                    text,
                    " weight {} priority {}",
                    endpoint.weight, group.priority
                )
                .unwrap();
            }
            if let Some(share) = group.weight {
                write!(text, " share {share}").unwrap();
            }
            if endpoint.offers_mtls {
                text.push_str(" mtls");
            }
            if endpoint.health != mesh_ir::EndpointHealth::Healthy {
                write!(text, " {:?}", endpoint.health).unwrap();
            }
            if !place.is_empty() {
                write!(text, " in {place}").unwrap();
            }
            Value::from(text)
        })
    });
    (endpoints.cluster.to_string(), localities.collect())
}

fn object(items: impl Iterator<Item = (String, Value)>) -> Value {
    let mut map = Map::new();
    for (key, value) in items {
        assert!(!map.contains_key(&key), "{key} occurs twice");
        map.insert(key, value);
    }
    map.into()
}

fn join<T: ToString>(items: impl Iterator<Item = T>, separator: &str) -> String {
    items
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(separator)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}
