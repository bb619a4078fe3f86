//! `VirtualService`.

use super::common::{export_to, gateway_names, labels, networks, port, weights};
use super::names::{fqdn, is_ip, is_label, is_namespace, wildcard_host};
use super::{At, Violations, http_route};
use crate::model::{
    Destination, L4MatchAttributes, RouteDestination, TcpRoute, TlsMatchAttributes, TlsRoute,
    VirtualServiceSpec,
};

pub(crate) fn check(object: &VirtualServiceSpec, at: &At<'_>, violations: &mut Violations) {
    let VirtualServiceSpec {
        hosts,
        gateways,
        http,
        tls,
        tcp,
        export_to: exported,
    } = object;
    let delegate = hosts.is_empty();
    if delegate && !gateways.is_empty() {
        violations.add_hint(
            at,
            "hosts are missing",
            "an object without hosts is a delegate of another and must not name gateways",
        );
    }
    if delegate && (!tls.is_empty() || !tcp.is_empty()) {
        violations.add(at, "hosts are missing; only HTTP rules can be delegated to");
    }
    if http.is_empty() && tls.is_empty() && tcp.is_empty() {
        violations.add(at, "there is no rule: one of http, tls and tcp is needed");
    }
    check_hosts(object, at, violations);
    gateway_names(gateways, &at.key("gateways"), violations);
    let place = http_route::Place {
        in_delegate: delegate,
        for_gateways: for_gateways(object),
    };
    for (position, route) in http.iter().enumerate() {
        http_route::check(route, place, &at.key("http").index(position), violations);
    }
    for (position, route) in tls.iter().enumerate() {
        check_tls(route, object, &at.key("tls").index(position), violations);
    }
    for (position, route) in tcp.iter().enumerate() {
        check_tcp(route, &at.key("tcp").index(position), violations);
    }
    export_to(exported, false, &at.key("exportTo"), violations);
}

fn check_hosts(object: &VirtualServiceSpec, at: &At<'_>, violations: &mut Violations) {
    let VirtualServiceSpec {
        hosts, gateways, ..
    } = object;
    let in_mesh = gateways.is_empty() || gateways.iter().any(|name| name == "mesh");
    for (position, host) in hosts.iter().enumerate() {
        let key = at.key("hosts");
        let at = key.index(position);
        if host == "*" && in_mesh {
            violations.add_hint(
                &at,
                "the host * cannot be routed inside the mesh",
                "name the hosts, or list gateways without mesh",
            );
        } else if !is_ip(host) {
            violations.check(&at, sni_host(host, !in_mesh && !object.tls.is_empty()));
        }
        let mut earlier = hosts.iter().take(position);
        // Hosts that are none overlap nothing.
        if let Some(other) = earlier
            .find(|other| is_host(other, in_mesh) && is_host(host, in_mesh) && overlap(other, host))
        {
            let message = if other.eq_ignore_ascii_case(host) {
                format!("host {host:?} is repeated")
            } else {
                format!("host {host:?} overlaps host {other:?} of the same object")
            };
            violations.add(&at, message);
        }
    }
}

/// Whether all rules of an object are for gateways.
fn for_gateways(object: &VirtualServiceSpec) -> bool {
    let gateways = &object.gateways;
    !gateways.is_empty() && gateways.iter().all(|name| name != "mesh")
}

/// Whether a text is a host that an object may have.
fn is_host(text: &str, in_mesh: bool) -> bool {
    (text != "*" || !in_mesh) && (is_ip(text) || sni_host(text, !in_mesh).is_ok())
}

/// A host name. Gateways with `AUTO_PASSTHROUGH` are asked for names such as `outbound_.80_.v1_.reviews.prod.svc.cluster.local`,
/// which say port, subset and host.
fn sni_host(text: &str, for_gateways: bool) -> Result<(), String> {
    match text.strip_prefix("outbound_.") {
        Some(rest) if for_gateways => {
            let mut parts = rest.splitn(3, "_.");
            let number = parts.next().unwrap_or_default();
            let (_, host) = (parts.next(), parts.next());
            match host {
                Some(host) if number.parse::<u16>().is_ok() => fqdn(host),
                _ => Err(format!(
                    "{text:?} does not have the form outbound_.PORT_.SUBSET_.HOST"
                )),
            }
        }
        _ => wildcard_host(text),
    }
}

/// Whether a name exists that both stand for.
fn overlap(one: &str, other: &str) -> bool {
    covers(one, other) || covers(other, one)
}

/// Where traffic goes.
pub(super) fn check_destination(
    destination: &Destination,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let Destination {
        host,
        subset,
        port: selector,
    } = destination;
    let host_at = at.key("host");
    match host.as_str() {
        "" => violations.add(&host_at, "the destination's host is missing"),
        "*" => violations.add(&host_at, "a destination cannot be the host *"),
        host if is_ip(host) => violations.add_hint(
            &host_at,
            format!("{host:?} is an address; a destination is the host of a service"),
            "describe the address as an endpoint of a ServiceEntry, and name its host",
        ),
        host => violations.check(&host_at, wildcard_host(host)),
    }
    if let Some(subset) = subset.as_deref().filter(|subset| !subset.is_empty())
        && !is_label(subset)
    {
        violations.add(
            &at.key("subset"),
            format!("{subset:?} is not the name of a subset"),
        );
    }
    if let Some(selector) = selector {
        violations.check(&at.key("port").key("number"), port(selector.number));
    }
}

fn check_tls(
    route: &TlsRoute,
    object: &VirtualServiceSpec,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let TlsRoute {
        matches,
        route: destinations,
    } = route;
    if matches.is_empty() {
        violations.add(&at.key("match"), "a TLS rule needs a match with sniHosts");
    }
    for (position, condition) in matches.iter().enumerate() {
        check_tls_match(
            condition,
            object,
            &at.key("match").index(position),
            violations,
        );
    }
    check_route(destinations, at, violations);
}

fn check_tls_match(
    condition: &TlsMatchAttributes,
    object: &VirtualServiceSpec,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let TlsMatchAttributes {
        sni_hosts,
        destination_subnets,
        port: number,
        source_labels,
        source_namespace,
        gateways,
    } = condition;
    let (hosts, for_gateways) = (&object.hosts, for_gateways(object));
    if sni_hosts.is_empty() {
        violations.add(&at.key("sniHosts"), "a TLS match needs sniHosts");
    }
    for (position, sni) in sni_hosts.iter().enumerate() {
        let key = at.key("sniHosts");
        let at = key.index(position);
        if is_ip(sni) {
            let message = "clients that name an address in place of a host send no server name";
            violations.warn(&at, message);
        } else if let Err(message) = sni_host(sni, for_gateways) {
            violations.add(&at, message);
        } else if !hosts.is_empty() && !hosts.iter().any(|host| covers(host, sni)) {
            violations.add(
                &at,
                format!("{sni:?} is not one of the object's hosts, nor inside of one"),
            );
        }
    }
    let l4 = L4MatchAttributes {
        destination_subnets: destination_subnets.clone(),
        source_subnet: None,
        port: *number,
        source_labels: source_labels.clone(),
        source_namespace: source_namespace.clone(),
        gateways: gateways.clone(),
    };
    check_l4(&l4, at, violations);
}

/// Whether every name that `inner` stands for is one that `outer` stands for.
fn covers(outer: &str, inner: &str) -> bool {
    let (outer, inner) = (outer.to_ascii_lowercase(), inner.to_ascii_lowercase());
    match outer.strip_prefix('*') {
        None => outer == inner,
        Some(suffix) => inner.strip_prefix('*').unwrap_or(&inner).ends_with(suffix),
    }
}

fn check_tcp(route: &TcpRoute, at: &At<'_>, violations: &mut Violations) {
    let TcpRoute {
        matches,
        route: destinations,
    } = route;
    for (position, condition) in matches.iter().enumerate() {
        check_l4(condition, &at.key("match").index(position), violations);
    }
    check_route(destinations, at, violations);
}

fn check_l4(condition: &L4MatchAttributes, at: &At<'_>, violations: &mut Violations) {
    let L4MatchAttributes {
        destination_subnets,
        source_subnet: _,
        port: number,
        source_labels,
        source_namespace,
        gateways,
    } = condition;
    networks(
        destination_subnets,
        &at.key("destinationSubnets"),
        violations,
    );
    if let Some(number) = number {
        violations.check(&at.key("port"), port(*number));
    }
    labels(source_labels, &at.key("sourceLabels"), violations);
    check_namespace(
        source_namespace.as_deref(),
        &at.key("sourceNamespace"),
        violations,
    );
    gateway_names(gateways, &at.key("gateways"), violations);
}

/// A namespace, if one is given.
pub(super) fn check_namespace(namespace: Option<&str>, at: &At<'_>, violations: &mut Violations) {
    if let Some(namespace) = namespace.filter(|text| !text.is_empty())
        && !is_namespace(namespace)
    {
        violations.add(at, format!("{namespace:?} is not a namespace"));
    }
}

fn check_route(destinations: &[RouteDestination], at: &At<'_>, violations: &mut Violations) {
    if destinations.is_empty() {
        violations.add(at, "a route is missing");
    }
    let at = at.key("route");
    for (position, entry) in destinations.iter().enumerate() {
        check_destination(
            &entry.destination,
            &at.index(position).key("destination"),
            violations,
        );
    }
    let all: Vec<Option<i32>> = destinations.iter().map(|entry| entry.weight).collect();
    weights(&all, &at, violations);
}
