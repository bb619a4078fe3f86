//! Matches, routes and destinations in few words.

use mesh_ir::alpn::{MESH_HTTP, MESH_TCP};

use super::schema::{ChainMatch, Filter, FilterChain, RouteConfig, RouteMatch, VirtualHost};

const HTTP: &[&str] = &["http/1.0", "http/1.1", "h2c"];

/// What connections a filter chain takes: `Trans: raw_buffer; App: HTTP; Addr: 10.0.0.0/8:443`.
pub fn chain_match(chain: &ChainMatch) -> String {
    let ChainMatch {
        destination_port,
        prefix_ranges,
        server_names,
        transport_protocol,
        application_protocols,
    } = chain;
    let mut parts = Vec::new();
    if !server_names.is_empty() {
        parts.push(format!("SNI: {}", server_names.join(",")));
    }
    if !transport_protocol.is_empty() {
        parts.push(format!("Trans: {transport_protocol}"));
    }
    if !application_protocols.is_empty() {
        parts.push(format!("App: {}", protocols(application_protocols)));
    }
    let port = destination_port
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    if !prefix_ranges.is_empty() {
        let ranges = prefix_ranges
            .iter()
            .map(|range| format!("{}/{}", range.address_prefix, range.prefix_len));
        parts.push(format!(
            "Addr: {}{port}",
            ranges.collect::<Vec<_>>().join(",")
        ));
    } else if !port.is_empty() {
        parts.push(format!("Addr: *{port}"));
    }
    if parts.is_empty() {
        "ALL".to_owned()
    } else {
        parts.join("; ")
    }
}

fn protocols(names: &[String]) -> String {
    let are =
        |set: &[&str]| !names.is_empty() && names.iter().all(|name| set.contains(&name.as_str()));
    match () {
        () if are(HTTP) && names.len() > 1 => "HTTP".to_owned(),
        () if are(&MESH_HTTP) && names.len() > 1 => "HTTP TLS".to_owned(),
        () if are(&MESH_TCP) && names.len() > 1 => "TCP TLS".to_owned(),
        () => names.join(","),
    }
}

/// Where the connections of a filter chain go: `Route: 9080`, `Cluster: inbound|9080||`, `Inline Route: /api*`.
pub fn destination(chain: &FilterChain) -> String {
    let mut found = chain.filters.iter().filter_map(filter);
    found
        .next()
        .unwrap_or_else(|| "Non-HTTP/Non-TCP".to_owned())
}

fn filter(filter: &Filter) -> Option<String> {
    let config = &filter.typed_config;
    if is_http(filter) {
        if let Some(rds) = &config.rds {
            return Some(format!("Route: {}", rds.route_config_name));
        }
        let routes = config.route_config.as_ref()?;
        return Some(match only_cluster(routes) {
            Some(cluster) => format!("Cluster: {cluster}"),
            None => format!("Inline Route: {}", inline(routes)),
        });
    }
    if !is_tcp(filter) {
        return None;
    }
    let weighted: Vec<&str> = config
        .weighted_clusters
        .clusters
        .iter()
        .map(|cluster| cluster.name.as_str())
        .collect();
    Some(match (config.cluster.as_str(), weighted.as_slice()) {
        ("PassthroughCluster", _) => "PassthroughCluster".to_owned(),
        ("", []) => "Non-HTTP/Non-TCP".to_owned(),
        ("", many) => format!("Clusters: {}", many.join(", ")),
        (cluster, _) => format!("Cluster: {cluster}"),
    })
}

/// Whether a filter speaks HTTP.
pub fn is_http(filter: &Filter) -> bool {
    is(filter, "HttpConnectionManager", "http_connection_manager")
}

/// Whether a filter passes bytes.
pub fn is_tcp(filter: &Filter) -> bool {
    is(filter, "TcpProxy", "tcp_proxy")
}

fn is(filter: &Filter, message: &str, name: &str) -> bool {
    let kind = &filter.typed_config.kind;
    if kind.is_empty() {
        filter.name.ends_with(name)
    } else {
        kind.ends_with(message)
    }
}

/// The cluster that all requests go to, if that is so.
fn only_cluster(routes: &RouteConfig) -> Option<&str> {
    let [host] = routes.virtual_hosts.as_slice() else {
        return None;
    };
    let [route] = host.routes.as_slice() else {
        return None;
    };
    let everything = host.domains.iter().any(|domain| domain == "*") && route.matches.prefix == "/";
    let cluster = route.route.as_ref()?.cluster.as_str();
    (everything && !cluster.is_empty()).then_some(cluster)
}

fn inline(routes: &RouteConfig) -> String {
    let host = |host: &VirtualHost| {
        let matches: Vec<String> = host
            .routes
            .iter()
            .map(|route| route_match(&route.matches))
            .collect();
        let matches = matches.join(", ");
        if host.domains.iter().any(|domain| domain == "*") {
            matches
        } else {
            format!("{} {matches}", domains(&host.domains))
        }
    };
    routes
        .virtual_hosts
        .iter()
        .map(host)
        .collect::<Vec<_>>()
        .join("; ")
}

/// What requests a route takes, by their path: `/api*`, `/exact`, `PathPrefix:/api`, `regex /a.*`.
pub fn route_match(matches: &RouteMatch) -> String {
    let RouteMatch {
        prefix,
        path,
        path_separated_prefix,
        safe_regex,
    } = matches;
    let parts = [
        (!prefix.is_empty()).then(|| format!("{prefix}*")),
        (!path_separated_prefix.is_empty()).then(|| format!("PathPrefix:{path_separated_prefix}")),
        (!path.is_empty()).then(|| path.clone()),
        safe_regex
            .as_ref()
            .map(|regex| format!("regex {}", regex.regex)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The two shortest domains, and how many more there are. Forms with a port, and long forms of names that are there in a short
/// form, say nothing new.
pub fn domains(all: &[String]) -> String {
    if let [only] = all {
        return only.clone();
    }
    let has_port = |domain: &str| {
        domain
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.ends_with(':') && port.parse::<u16>().is_ok())
    };
    let known = |short: &str| all.iter().any(|domain| domain == short);
    let is_long = |domain: &str| {
        let whole = domain.find(".svc.").and_then(|at| domain.get(..at));
        whole
            .or_else(|| domain.strip_suffix(".svc"))
            .is_some_and(known)
    };
    let mut telling: Vec<&str> = all
        .iter()
        .map(String::as_str)
        .filter(|domain| !has_port(domain) && !is_long(domain))
        .collect();
    // Names before addresses, which say less.
    telling.sort_by_key(|domain| (domain.parse::<std::net::IpAddr>().is_ok(), domain.len()));
    match telling.as_slice() {
        [first, second, rest @ ..] if !rest.is_empty() => {
            format!("{first}, {second} + {} more...", rest.len())
        }
        few => few.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::domains;

    #[test]
    fn domains_are_told_shortly() {
        let all = [
            "reviews.default.svc.cluster.local",
            "reviews.default.svc.cluster.local:9080",
            "reviews",
            "reviews:9080",
            "reviews.default.svc",
            "reviews.default",
            "reviews.default:9080",
            "10.0.0.7",
            "10.0.0.7:9080",
        ];
        let all: Vec<String> = all.map(str::to_owned).to_vec();
        assert_eq!(domains(&all), "reviews, reviews.default + 1 more...");
        assert_eq!(
            domains(&all[..4]),
            "reviews, reviews.default.svc.cluster.local"
        );
        assert_eq!(domains(&["*:80".to_owned()]), "*:80");
        assert_eq!(domains(&[]), "");
    }
}
