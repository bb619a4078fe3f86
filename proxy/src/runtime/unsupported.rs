//! What this proxy does not do yet. A resource that asks for it is refused by the name of the field, and the last good one stays:
//! nothing that matters to traffic or security is passed over in silence. Whoever implements a behaviour removes its row.

use mesh_ir::evaluate::RateLimitRules;
use mesh_ir::policy::RateLimitRule;
use mesh_ir::{
    Cluster, FilterChain, HttpConnectionManager, HttpFilter, Network, NetworkFilter, Route,
    RouteConfig, Routes, StripPort, VirtualHost,
};
use mesh_xds::resource::Resource;

/// A field with the condition under which it is refused.
type Row<T> = (&'static str, fn(&T) -> bool);

const HTTP_FILTER: &[Row<HttpFilter>] = &[
    (
        CONNECTION_BUCKETS,
        |filter| matches!(filter, HttpFilter::LocalRateLimit(limit) if limit.per_connection),
    ),
    (
        "running an extension (Wasm, Lua, ECDS)",
        |filter| matches!(filter, HttpFilter::Extension(extension) if !extension.optional),
    ),
];

const NETWORK_FILTER: &[Row<NetworkFilter>] = &[
    (
        "counting connections (envoy.filters.network.local_ratelimit)",
        |filter| matches!(filter, NetworkFilter::RateLimit(_)),
    ),
    (
        "limiting connections (envoy.filters.network.connection_limit)",
        |filter| matches!(filter, NetworkFilter::ConnectionLimit(_)),
    ),
    (
        "clusters by server name (envoy.filters.network.sni_cluster)",
        |filter| matches!(filter, NetworkFilter::SniCluster),
    ),
];

const HTTP: &[Row<HttpConnectionManager>] = &[
    ("trusted proxies in front (xff_num_trusted_hops)", |http| {
        http.trust.trusted_hops > 0
    }),
    (
        "leaving x-forwarded-for as it is (skip_xff_append)",
        |http| http.trust.skip_forwarded_for,
    ),
    ("removing ports from hosts (strip_port_mode)", |http| {
        http.trust.strip_port != StripPort::Never
    }),
    (
        "removing dots at the end of hosts (strip_trailing_host_dot)",
        |http| http.trust.strip_trailing_dot,
    ),
];

const CLUSTER: &[Row<Cluster>] = &[
    ("the PROXY protocol to endpoints", |cluster| {
        cluster.client.proxy_protocol.is_some()
    }),
    ("several active health checks (health_checks)", |cluster| {
        cluster.client.health_checks.len() > 1
    }),
];

const CONNECTION_BUCKETS: &str =
    "a bucket for each connection (local_rate_limit_per_downstream_connection)";

const ROUTE: &[Row<Route>] = &[(CONNECTION_BUCKETS, |route| {
    let limit = &route.policy.local_rate_limit;
    limit.as_ref().is_some_and(|limit| limit.per_connection)
})];

/// Whether this proxy does all that a resource asks for.
///
/// # Errors
/// The first thing that it does not do.
pub fn check(resource: &Resource) -> Result<(), String> {
    match resource {
        Resource::Listener(listener) => listener.all_chains().try_for_each(check_chain),
        Resource::Cluster(cluster) => rows(CLUSTER, cluster, ""),
        Resource::Route(routes) => check_routes(routes),
        Resource::VirtualHost(host) => check_host(&host.host),
        Resource::Endpoints(_) | Resource::Secret(_) | Resource::NameTable(_) => Ok(()),
    }
}

fn check_routes(routes: &RouteConfig) -> Result<(), String> {
    routes
        .virtual_hosts
        .iter()
        .try_for_each(|host| check_host(host))
}

fn check_host(host: &VirtualHost) -> Result<(), String> {
    let refused = host.routes.iter().find_map(|route| {
        let own = route.policy.local_rate_limit.iter();
        let own = own.flat_map(|limit| &limit.rate_limits);
        let rules = own.chain(&route.policy.rate_limits);
        let checked = rows(ROUTE, route, "").and_then(|()| check_rules(rules));
        checked.err()
    });
    refused.map_or(Ok(()), |refused| {
        Err(format!("virtual host {}: {refused}", host.name))
    })
}

/// Whether the headers that rate limits look at are compared with expressions.
fn check_rules<'a>(rules: impl IntoIterator<Item = &'a RateLimitRule>) -> Result<(), String> {
    rules.into_iter().try_for_each(|rule| {
        let compiled = RateLimitRules::new(std::slice::from_ref(rule));
        let refused = |invalid| format!("rate_limits: {invalid}");
        compiled.map(drop).map_err(refused)
    })
}

fn check_chain(chain: &FilterChain) -> Result<(), String> {
    for filter in &chain.filters {
        rows(NETWORK_FILTER, filter, &chain.name)?;
    }
    match &chain.network {
        Network::Http(http) => {
            rows(HTTP, http, &chain.name)?;
            for filter in &http.filters {
                rows(HTTP_FILTER, filter, &chain.name)?;
                if let HttpFilter::LocalRateLimit(limit) = filter {
                    check_rules(&limit.rate_limits)?;
                }
            }
            match &http.routes {
                Routes::Inline(routes) => check_routes(routes),
                Routes::Discovered(_) => Ok(()),
            }
        }
        Network::Tcp(_) => Ok(()),
    }
}

fn rows<T>(rows: &[Row<T>], value: &T, chain: &str) -> Result<(), String> {
    match rows.iter().find(|(_, asks)| asks(value)) {
        None => Ok(()),
        Some((what, _)) if chain.is_empty() => {
            Err(format!("{what} is not supported by this proxy"))
        }
        Some((what, _)) => Err(format!(
            "filter chain {chain}: {what} is not supported by this proxy"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mesh_ir::{ChainMatch, Direction, Listener, Routes};

    use super::*;

    #[track_caller]
    fn refused(change: impl FnOnce(&mut FilterChain, &mut HttpConnectionManager)) -> String {
        let routes = Routes::Discovered("80".into());
        let mut http = HttpConnectionManager::new("test".into(), Direction::Outbound, routes);
        let end = Network::Http(http.clone());
        let mut chain = FilterChain::new("80", ChainMatch::default(), end);
        change(&mut chain, &mut http);
        chain.network = Network::Http(http);
        let mut listener = Listener::new("l".into(), ([0; 4], 80).into(), Direction::Outbound);
        listener.chains.push(chain);
        check(&Resource::Listener(Arc::new(listener)))
            .err()
            .unwrap_or_default()
    }

    #[test]
    fn what_is_not_done_is_refused_by_its_name() {
        assert_eq!(refused(|_, _| {}), "");
        assert_eq!(
            refused(|chain, _| chain.matcher.application_protocols = ["istio".into()].into()),
            ""
        );
        assert_eq!(
            refused(|chain, _| chain.filters.push(NetworkFilter::SniCluster)),
            "filter chain 80: clusters by server name (envoy.filters.network.sni_cluster) is not supported by this proxy"
        );
        let tokens = || HttpFilter::Authenticate(Arc::default());
        assert_eq!(refused(|_, http| http.filters.push(tokens())), "");
        let limit = mesh_ir::policy::LocalRateLimit {
            stat_prefix: "s".into(),
            bucket: None,
            status: 429,
            enabled: mesh_ir::Fraction::ALL,
            enforced: mesh_ir::Fraction::ALL,
            per_connection: true,
            descriptors: Vec::new(),
            response_headers: Vec::new(),
            rate_limits: Vec::new(),
        };
        assert_eq!(
            refused(|_, http| http.filters.push(HttpFilter::LocalRateLimit(limit.into()))),
            "filter chain 80: a bucket for each connection (local_rate_limit_per_downstream_connection) is not supported by this proxy"
        );
        let policies = || HttpFilter::Authorize(Arc::default());
        assert_eq!(refused(|_, http| http.filters.push(policies())), "");
        assert_eq!(
            refused(|_, http| http.trust.trusted_hops = 1),
            "filter chain 80: trusted proxies in front (xff_num_trusted_hops) is not supported by this proxy"
        );
    }
}
