//! `Gateway`.

use std::collections::BTreeSet;

use super::common::{bind_address, port, protocol};
use super::names::{is_ip, is_namespace, qualified_host};
use super::{At, Violations, tls_settings};
use crate::model::{GatewaySpec, PortProtocol, Server, ServerTls, ServerTlsMode};

pub(crate) fn check(object: &GatewaySpec, at: &At<'_>, violations: &mut Violations) {
    let GatewaySpec { servers, selector } = object;
    if servers.is_empty() {
        violations.add(&at.key("servers"), "the gateway has no servers");
    }
    for (key, value) in selector {
        super::policy::warn_unusable(key, value, &at.key("selector"), violations);
    }
    let mut names = BTreeSet::new();
    for (position, server) in servers.iter().enumerate() {
        let key = at.key("servers");
        let at = key.index(position);
        let name = server.port.name.as_str();
        if !name.is_empty() && !names.insert(name) {
            let message = format!("port name {name:?} is repeated in this gateway");
            violations.add(&at.key("port").key("name"), message);
        }
        check_server(server, &at, violations);
    }
}

fn check_server(server: &Server, at: &At<'_>, violations: &mut Violations) {
    let Server {
        port: exposed,
        bind,
        hosts,
        tls,
        default_endpoint: _,
        name: _,
    } = server;
    let bind = bind.as_deref().filter(|text| !text.is_empty());
    let port_at = at.key("port");
    let is_socket = bind.is_some_and(|bind| bind.starts_with("unix://"));
    let number_at = port_at.key("number");
    match (is_socket, exposed.number) {
        (true, 0) => {}
        (true, _) => violations.add(&number_at, "a Unix socket has no port"),
        (false, number) => violations.check(&number_at, port(number)),
    }
    if exposed.target_port.is_some_and(|port| port != 0) {
        violations.add_hint(
            &port_at.key("targetPort"),
            "targetPort has no meaning for gateways",
            "the ports of the gateway's Service say where traffic arrives",
        );
    }
    if exposed.name.is_empty() {
        violations.add(&port_at.key("name"), "the port's name is missing");
    }
    if let Some(bind) = bind {
        violations.check(&at.key("bind"), bind_address(bind));
    }
    if hosts.is_empty() {
        violations.add(&at.key("hosts"), "the server has no hosts");
    }
    for (position, host) in hosts.iter().enumerate() {
        violations.check(&at.key("hosts").index(position), server_host(host));
    }
    let protocol_at = port_at.key("protocol");
    if exposed.protocol.is_empty() {
        violations.add(&protocol_at, "the port's protocol is missing");
        return;
    }
    match protocol(&exposed.protocol) {
        Ok(protocol) => check_tls(tls.as_ref(), protocol, at, violations),
        Err(message) => violations.add(&protocol_at, message),
    }
}

/// Servers that are encrypted need TLS settings; of the others, those of HTTP may redirect, and nothing else.
fn check_tls(
    tls: Option<&ServerTls>,
    protocol: PortProtocol,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let name = protocol.name();
    let at = at.key("tls");
    let Some(tls) = tls else {
        if protocol.is_tls() {
            violations.add_hint(
                &at,
                format!("a server with protocol {name} needs tls"),
                "add tls with a mode, such as SIMPLE with a credentialName",
            );
        }
        return;
    };
    if tls.https_redirect == Some(true) && !protocol.is_http() {
        let message = "only servers with protocol HTTP redirect to HTTPS";
        violations.warn(&at.key("httpsRedirect"), message);
    }
    let files = [
        &tls.server_certificate,
        &tls.private_key,
        &tls.ca_certificates,
    ];
    let has_files = files
        .into_iter()
        .any(|file| file.as_deref().is_some_and(|file| !file.is_empty()));
    let passes = matches!(
        tls.mode.unwrap_or_default(),
        ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough
    );
    // Redirecting to HTTPS is all that TLS settings can ask of plain HTTP.
    let redirects_only = passes && !has_files;
    if protocol.is_tls() || (protocol.is_http() && redirects_only) {
        tls_settings::check_server(tls, &at, violations);
    } else {
        let message = format!("a server with protocol {name} cannot have TLS settings");
        violations.add(&at, message);
    }
}

/// `HOST` or `NAMESPACE/HOST`, where the namespace may be `*` or `.`.
fn server_host(text: &str) -> Result<(), String> {
    let host = match text.split_once('/') {
        None => text,
        Some((namespace, host)) => {
            if !matches!(namespace, "*" | ".") && !is_namespace(namespace) {
                return Err(format!("{namespace:?} is not a namespace, nor * or ."));
            }
            host
        }
    };
    if is_ip(host) {
        Ok(())
    } else {
        qualified_host(host)
    }
}
