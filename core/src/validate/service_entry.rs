//! `ServiceEntry`.

use std::collections::BTreeSet;

use super::common::{
    bind_address, export_to, labels, networks, port, port_name, protocol, selector_labels,
};
use super::names::{fqdn, is_ip, wildcard_host};
use super::{At, Violations};
use crate::model::{
    PortProtocol, ServiceEntryPort, ServiceEntryResolution as Resolution, ServiceEntrySpec,
    WorkloadEntrySpec,
};

pub(crate) fn check(object: &ServiceEntrySpec, at: &At<'_>, violations: &mut Violations) {
    let ServiceEntrySpec {
        hosts,
        addresses,
        ports,
        location: _,
        resolution,
        endpoints,
        workload_selector,
        export_to: exported,
        subject_alt_names: _,
    } = object;
    let resolution = resolution.unwrap_or(Resolution::None);
    check_hosts(hosts, resolution, endpoints.is_empty(), at, violations);
    check_addresses(addresses, resolution, &at.key("addresses"), violations);
    check_ports(ports, &at.key("ports"), violations);
    if hosts.len() > 1 && resolution != Resolution::None {
        check_ports_of_several_hosts(ports, &at.key("ports"), violations);
    }
    if let Some(selector) = workload_selector {
        let at = at.key("workloadSelector");
        if !endpoints.is_empty() {
            violations.add(
                &at,
                "only one of workloadSelector and endpoints can be given",
            );
        }
        selector_labels(&selector.labels, &at, "labels", violations);
        if matches!(
            resolution,
            Resolution::None | Resolution::Dns | Resolution::DnsRoundRobin
        ) {
            violations.warn_hint(
                &at,
                "workloads are not selected with this resolution",
                "set resolution to STATIC",
            );
        }
    }
    check_endpoints(object, resolution, at, violations);
    if resolution == Resolution::DynamicDns {
        check_dynamic(object, at, violations);
    }
    export_to(exported, true, &at.key("exportTo"), violations);
}

fn check_hosts(
    hosts: &[String],
    resolution: Resolution,
    without_endpoints: bool,
    at: &At<'_>,
    violations: &mut Violations,
) {
    if hosts.is_empty() {
        violations.add(&at.key("hosts"), "the entry has no hosts");
    }
    let by_name = matches!(resolution, Resolution::Dns | Resolution::DnsRoundRobin);
    for (position, host) in hosts.iter().enumerate() {
        let key = at.key("hosts");
        let at = key.index(position);
        if host == "*" {
            violations.add_hint(
                &at,
                "the host * is not allowed",
                "name the hosts, or a domain such as *.example.com",
            );
        } else if let Err(message) = wildcard_host(host) {
            violations.add(&at, message);
        } else if resolution == Resolution::DynamicDns {
            if !host.starts_with('*') {
                violations.add_hint(
                    &at,
                    format!("{host:?} is a single host"),
                    "use resolution DNS, or a host with a wildcard",
                );
            }
        } else if host.starts_with('*') && !host.starts_with("*.") {
            violations.warn(&at, "a wildcard that is a part of a label matches nothing");
        } else if by_name && without_endpoints && host.starts_with('*') {
            violations.add_hint(
                &at,
                format!("{host:?} cannot be looked up in DNS"),
                "name single hosts, add endpoints, or use resolution NONE",
            );
        }
    }
}

/// Networks stand for whatever address a client wants, which names cannot be resolved to.
fn check_addresses(
    addresses: &[String],
    resolution: Resolution,
    at: &At<'_>,
    violations: &mut Violations,
) {
    networks(addresses, at, violations);
    if matches!(resolution, Resolution::None | Resolution::Static) {
        return;
    }
    for (position, address) in addresses.iter().enumerate() {
        if address.contains('/') {
            violations.add_hint(
                &at.index(position),
                format!("the network {address:?} cannot be used with this resolution"),
                "use single addresses, or resolution NONE or STATIC",
            );
        }
    }
}

/// With DYNAMIC_DNS the address is that of the host that a request or a connection names.
fn check_dynamic(object: &ServiceEntrySpec, at: &At<'_>, violations: &mut Violations) {
    for (key, given) in [
        ("addresses", !object.addresses.is_empty()),
        ("endpoints", !object.endpoints.is_empty()),
    ] {
        if given {
            let message = format!("{key} have no meaning with resolution DYNAMIC_DNS");
            violations.add(&at.key(key), message);
        }
    }
    for (position, entry) in object.ports.iter().enumerate() {
        let spoken = entry.protocol.as_deref().unwrap_or_default();
        let names_host = matches!(
            PortProtocol::parse(spoken),
            Some(PortProtocol::Http | PortProtocol::Http2 | PortProtocol::Grpc | PortProtocol::Tls)
        );
        if !names_host {
            let message = "with resolution DYNAMIC_DNS the protocol is HTTP, HTTP2, GRPC or TLS";
            let ports = at.key("ports");
            let at = ports.index(position);
            violations.add(&at.key("protocol"), message);
        }
    }
}

/// Several hosts on one port can be told apart only where requests or server names say which one is meant.
fn check_ports_of_several_hosts(
    ports: &[ServiceEntryPort],
    at: &At<'_>,
    violations: &mut Violations,
) {
    for (position, entry) in ports.iter().enumerate() {
        let spoken = entry.protocol.as_deref().unwrap_or_default();
        let protocol = PortProtocol::parse(spoken);
        // A name that is no protocol is told by the check of the port itself.
        let unknown = protocol.is_none() && !spoken.is_empty();
        if !unknown && !protocol.is_some_and(|one| one.is_http() || one.is_tls()) {
            violations.add_hint(
                &at.index(position).key("protocol"),
                "several hosts cannot share a port whose protocol does not name the host",
                "set the protocol to HTTP, HTTPS, TLS or another that does, or use an object for each host",
            );
        }
    }
}

fn check_ports(ports: &[ServiceEntryPort], at: &At<'_>, violations: &mut Violations) {
    let mut names = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    for (position, entry) in ports.iter().enumerate() {
        let ServiceEntryPort {
            number,
            protocol: spoken,
            name,
            target_port,
        } = entry;
        let at = at.index(position);
        violations.check(&at.key("number"), port(*number));
        if !numbers.insert(number) {
            violations.add(&at.key("number"), format!("port {number} is repeated"));
        }
        violations.check(&at.key("name"), port_name(name));
        if !name.is_empty() && !names.insert(name) {
            violations.add(&at.key("name"), format!("port name {name:?} is repeated"));
        }
        if let Some(spoken) = spoken.as_deref().filter(|text| !text.is_empty()) {
            violations.check(&at.key("protocol"), protocol(spoken).map(drop));
        }
        if let Some(target) = target_port {
            violations.check(&at.key("targetPort"), port(*target));
        }
    }
}

fn check_endpoints(
    object: &ServiceEntrySpec,
    resolution: Resolution,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let endpoints = &object.endpoints;
    let key = at.key("endpoints");
    if resolution == Resolution::None && !endpoints.is_empty() {
        violations.add_hint(
            &key,
            "endpoints have no meaning with resolution NONE",
            "set resolution to STATIC or DNS",
        );
        return;
    }
    if resolution == Resolution::DnsRoundRobin && endpoints.len() > 1 {
        violations.add(&key, "resolution DNS_ROUND_ROBIN allows one endpoint");
    }
    for (position, endpoint) in endpoints.iter().enumerate() {
        check_endpoint(
            endpoint,
            object,
            resolution,
            &key.index(position),
            violations,
        );
    }
}

fn check_endpoint(
    endpoint: &WorkloadEntrySpec,
    object: &ServiceEntrySpec,
    resolution: Resolution,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let address_at = at.key("address");
    let address = endpoint.address.as_deref().unwrap_or_default();
    let unix = address.starts_with("unix://");
    let by_name = matches!(resolution, Resolution::Dns | Resolution::DnsRoundRobin);
    if unix && object.ports.len() != 1 {
        let message = "a Unix socket serves an entry with exactly one port";
        violations.add(&address_at, message);
    }
    if address.is_empty() {
        // Without an address an endpoint stands for the gateways of its network.
        let network = endpoint.network.as_deref().unwrap_or_default();
        if by_name || network.is_empty() {
            violations.add(&address_at, "the endpoint's address is missing");
        }
    } else if by_name && unix {
        let message = "a Unix socket needs resolution STATIC";
        violations.add(&address_at, message);
    } else if resolution == Resolution::Static || unix {
        if bind_address(address).is_err() {
            violations.add_hint(
                &address_at,
                format!("{address:?} is not an address, as resolution STATIC needs"),
                "use resolution DNS for host names",
            );
        }
    } else if !is_ip(address) {
        violations.check(&address_at, fqdn(address));
    }
    if unix && !endpoint.ports.is_empty() {
        violations.add(&at.key("ports"), "a Unix socket has no ports");
    }
    for (name, number) in &endpoint.ports {
        let ports = at.key("ports");
        let at = ports.key(name);
        if !object.ports.iter().any(|port| port.name == *name) {
            violations.add(&at, format!("the entry has no port with the name {name:?}"));
        }
        violations.check(&at, port_name(name).and_then(|()| port(*number)));
    }
    labels(&endpoint.labels, &at.key("labels"), violations);
}
