//! `Sidecar`.

use std::collections::BTreeSet;

use super::common::{port, protocol};
use super::names::{fqdn, is_ip, is_label, is_namespace, qualified_host};
use super::policy::check_workload_selector;
use super::traffic_policy::check_pool;
use super::{At, Violations, tls_settings};
use crate::model::{
    CaptureMode, IstioEgressListener, IstioIngressListener, PortProtocol, ServerTls, ServerTlsMode,
    SidecarOutboundMode, SidecarOutboundTrafficPolicy, SidecarPort, SidecarSpec,
};

const UNIX: &str = "unix://";

pub(crate) fn check(object: &SidecarSpec, at: &At<'_>, violations: &mut Violations) {
    let SidecarSpec {
        workload_selector,
        ingress,
        egress,
        inbound_connection_pool,
        outbound_traffic_policy,
    } = object;
    check_workload_selector(workload_selector.as_ref(), at, violations);
    if ingress.is_empty()
        && egress.is_empty()
        && inbound_connection_pool.is_none()
        && outbound_traffic_policy.is_none()
    {
        violations.add_hint(
            at,
            "the sidecar says nothing",
            "set ingress, egress, inboundConnectionPool or outboundTrafficPolicy",
        );
    }
    let key = at.key("ingress");
    let mut seen = BTreeSet::new();
    for (position, listener) in ingress.iter().enumerate() {
        check_ingress(listener, &mut seen, &key.index(position), violations);
    }
    check_all_egress(egress, &at.key("egress"), violations);
    if let Some(pool) = inbound_connection_pool {
        check_pool(pool, &at.key("inboundConnectionPool"), violations);
    }
    if let Some(policy) = outbound_traffic_policy {
        check_outbound(policy, &at.key("outboundTrafficPolicy"), violations);
    }
}

fn check_ingress(
    listener: &IstioIngressListener,
    seen: &mut BTreeSet<u32>,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let IstioIngressListener {
        port: listens_on,
        bind,
        capture_mode: _,
        default_endpoint,
        tls,
        connection_pool,
    } = listener;
    if let Some(listens_on) = listens_on {
        let at = at.key("port");
        check_port(listens_on, &at, violations);
        violations.check(&at.key("number"), port(listens_on.number));
        if !seen.insert(listens_on.number) {
            let message = format!("port {} is repeated", listens_on.number);
            violations.add(&at.key("number"), message);
        }
    }
    if let Some(bind) = bind
        .as_deref()
        .filter(|text| !text.is_empty() && !is_ip(text))
    {
        violations.add(&at.key("bind"), format!("{bind:?} is not an address"));
    }
    if let Some(endpoint) = default_endpoint.as_deref().filter(|text| !text.is_empty()) {
        violations.check(&at.key("defaultEndpoint"), local_endpoint(endpoint));
    }
    let spoken = listens_on
        .as_ref()
        .and_then(|port| port.protocol.as_deref())
        .and_then(PortProtocol::parse);
    if let Some(tls) = tls {
        let at = at.key("tls");
        if !spoken.is_some_and(PortProtocol::is_tls) {
            violations.add_hint(
                &at,
                "only ports with the protocol HTTPS or TLS have TLS settings",
                "set port.protocol to HTTPS or TLS",
            );
        }
        check_tls(tls, &at, violations);
    }
    if let Some(pool) = connection_pool {
        let at = at.key("connectionPool");
        check_pool(pool, &at, violations);
        if pool.http.is_some() && spoken.is_some_and(|protocol| !protocol.is_http()) {
            violations.warn(
                &at.key("http"),
                "the port's protocol is not HTTP, so that limits of requests have no effect",
            );
        }
    }
}

/// What TLS of a sidecar's own listener cannot have, beside what a gateway's cannot.
fn check_tls(tls: &ServerTls, at: &At<'_>, violations: &mut Violations) {
    if !tls.subject_alt_names.is_empty() {
        violations.add(
            &at.key("subjectAltNames"),
            "a sidecar does not check names of clients",
        );
    }
    if tls.https_redirect == Some(true) {
        violations.add(&at.key("httpsRedirect"), "a sidecar does not redirect");
    }
    let secret = tls.credential_name.as_deref().unwrap_or_default();
    for (key, given) in [
        ("credentialName", !secret.is_empty()),
        ("credentialNames", !tls.credential_names.is_empty()),
    ] {
        if given {
            let message = "a sidecar reads its certificates from files, not from Secrets";
            violations.add(&at.key(key), message);
        }
    }
    if !tls.tls_certificates.is_empty() {
        let message = "a sidecar has one certificate: set serverCertificate and privateKey";
        violations.add(&at.key("tlsCertificates"), message);
    }
    let refused = match tls.mode.unwrap_or_default() {
        ServerTlsMode::IstioMutual => "ISTIO_MUTUAL",
        ServerTlsMode::AutoPassthrough => "AUTO_PASSTHROUGH",
        _ => return tls_settings::check_server(tls, at, violations),
    };
    let message = format!("the mode {refused} cannot be used by a sidecar");
    violations.add(&at.key("mode"), message);
}

fn check_all_egress(egress: &[IstioEgressListener], at: &At<'_>, violations: &mut Violations) {
    let mut ports = BTreeSet::new();
    let mut sockets = BTreeSet::new();
    for (position, listener) in egress.iter().enumerate() {
        let at = at.index(position);
        match &listener.port {
            None if position + 1 < egress.len() => violations.add_hint(
                &at,
                "a listener without a port is for all ports that the others leave, so it must be the last",
                "give it a port, or move it to the end",
            ),
            None => {}
            Some(listens_on) => {
                check_egress_port(listener, listens_on, &at, violations);
                let bind = listener.bind.as_deref().unwrap_or_default();
                if listens_on.number == 0 && !sockets.insert(bind) {
                    violations.add(&at.key("bind"), format!("the socket {bind:?} is repeated"));
                }
                if listens_on.number != 0 && !ports.insert(listens_on.number) {
                    let message = format!("port {} is repeated", listens_on.number);
                    violations.add(&at.key("port").key("number"), message);
                }
            }
        }
        check_hosts(&listener.hosts, &at.key("hosts"), violations);
    }
}

fn check_egress_port(
    listener: &IstioEgressListener,
    listens_on: &SidecarPort,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let port_at = at.key("port");
    check_port(listens_on, &port_at, violations);
    let bind = listener.bind.as_deref().unwrap_or_default();
    if listens_on.number != 0 {
        violations.check(&port_at.key("number"), port(listens_on.number));
        if !bind.is_empty() && !is_ip(bind) {
            violations.add(&at.key("bind"), format!("{bind:?} is not an address"));
        }
        return;
    }
    match bind.strip_prefix(UNIX) {
        Some(path) => violations.check(&at.key("bind"), unix_path(path)),
        None => violations.add(
            &port_at.key("number"),
            "the port is missing, and bind is no Unix socket",
        ),
    }
    if listener.capture_mode == Some(CaptureMode::Iptables) {
        let message = "traffic to a Unix socket cannot be captured; use DEFAULT or NONE";
        violations.add(&at.key("captureMode"), message);
    }
}

fn check_port(listens_on: &SidecarPort, at: &At<'_>, violations: &mut Violations) {
    let SidecarPort {
        number: _,
        protocol: spoken,
        name,
        target_port,
    } = listens_on;
    if let Some(spoken) = spoken.as_deref().filter(|text| !text.is_empty()) {
        violations.check(&at.key("protocol"), protocol(spoken).map(drop));
    }
    if let Some(name) = name
        .as_deref()
        .filter(|text| !text.is_empty() && !is_label(text))
    {
        violations.add(&at.key("name"), format!("{name:?} is not a name of a port"));
    }
    if target_port.is_some_and(|number| number > 0) {
        violations.add(
            &at.key("targetPort"),
            "targetPort has no effect in a Sidecar",
        );
    }
}

/// `NAMESPACE/HOST`. A namespace is a name, `.`, `*` or `~`.
fn check_hosts(hosts: &[String], at: &At<'_>, violations: &mut Violations) {
    if hosts.is_empty() {
        violations.add(at, "name at least one host, for example */*");
    }
    let mut seen = BTreeSet::new();
    for (position, host) in hosts.iter().enumerate() {
        let at = at.index(position);
        violations.check(&at, namespaced_host(host));
        if !seen.insert(host) {
            violations.warn(&at, format!("{host:?} is repeated"));
        } else if host != "*/*" && hosts.iter().any(|other| other == "*/*") {
            violations.warn(&at, "*/* is every service already");
        }
    }
}

fn namespaced_host(text: &str) -> Result<(), String> {
    let Some((namespace, host)) = text
        .split_once('/')
        .filter(|(namespace, _)| !namespace.is_empty())
    else {
        return Err(format!(
            "{text:?} does not have the form NAMESPACE/HOST, such as ./* or */reviews.prod.svc.cluster.local"
        ));
    };
    // `~NAMESPACE` leaves out what the others bring in.
    let namespace = namespace.strip_prefix('~').unwrap_or(namespace);
    if !matches!(namespace, "" | "." | "*") && !is_namespace(namespace) {
        return Err(format!("{namespace:?} is not a namespace, nor ., * or ~"));
    }
    qualified_host(host)
}

/// Where a workload listens, as its own sidecar reaches it.
fn local_endpoint(text: &str) -> Result<(), String> {
    if let Some(path) = text.strip_prefix(UNIX) {
        return unix_path(path);
    }
    const HOSTS: [&str; 5] = ["", "127.0.0.1", "0.0.0.0", "[::1]", "[::]"];
    let valid = text.rsplit_once(':').is_some_and(|(host, number)| {
        HOSTS.contains(&host) && number.parse().is_ok_and(|number| port(number).is_ok())
    });
    if valid {
        return Ok(());
    }
    Err(format!(
        "{text:?} is none of 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT, :PORT and unix://PATH"
    ))
}

/// An absolute path, or an abstract socket.
fn unix_path(path: &str) -> Result<(), String> {
    if path.len() > 1 && path.starts_with(['/', '@']) && !path.ends_with('/') {
        Ok(())
    } else {
        Err(format!("{path:?} is not the path of a Unix socket"))
    }
}

fn check_outbound(policy: &SidecarOutboundTrafficPolicy, at: &At<'_>, violations: &mut Violations) {
    let SidecarOutboundTrafficPolicy { mode, egress_proxy } = policy;
    let Some(proxy) = egress_proxy else { return };
    let at = at.key("egressProxy");
    if *mode != Some(SidecarOutboundMode::AllowAny) {
        violations.add(
            &at,
            "an egress proxy can be set with the mode ALLOW_ANY only",
        );
        return;
    }
    violations.check(&at.key("host"), fqdn(&proxy.host));
    match &proxy.port {
        Some(selected) => violations.check(&at.key("port").key("number"), port(selected.number)),
        None => violations.add(&at.key("port"), "the port is missing"),
    }
    if let Some(subset) = proxy.subset.as_deref().filter(|text| !is_label(text)) {
        violations.add(
            &at.key("subset"),
            format!("{subset:?} is not a name of a subset"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_workloads() {
        for text in [
            "127.0.0.1:80",
            "[::1]:9000",
            ":80",
            "0.0.0.0:1",
            "unix:///var/run/a.sock",
            "unix://@a",
        ] {
            assert_eq!(local_endpoint(text), Ok(()), "{text}");
        }
        for text in [
            "10.0.0.1:80",
            "127.0.0.1",
            "127.0.0.1:0",
            "::1:80",
            "localhost:80",
            "unix://a",
            "unix:///",
        ] {
            assert!(local_endpoint(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_have_a_namespace() {
        for text in [
            "./*",
            "*/*",
            "~/*",
            "prod/reviews.prod.svc.cluster.local",
            "~prod/*",
            "istio-system/*.example.com",
        ] {
            assert_eq!(namespaced_host(text), Ok(()), "{text}");
        }
        for text in [
            "reviews",
            "*",
            "Prod/a.b",
            "prod/reviews",
            "a/b/c",
            "prod/",
            "/a",
        ] {
            assert!(namespaced_host(text).is_err(), "{text}");
        }
    }
}
