//! `Gateway`.

use std::collections::BTreeSet;

use super::common::{bind_address, labels, port, protocol};
use super::names::{is_ip, is_namespace, wildcard_host};
use super::{At, Violations, tls_settings};
use crate::model::{GatewaySpec, Server};

pub(crate) fn check(object: &GatewaySpec, at: &At<'_>, violations: &mut Violations) {
    let GatewaySpec { servers, selector } = object;
    if servers.is_empty() {
        violations.add(at, "the gateway has no servers");
    }
    labels(selector, &at.key("selector"), violations);
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
    let port_at = at.key("port");
    violations.check(&port_at.key("number"), port(exposed.number));
    if exposed.target_port.is_some() {
        violations.warn_hint(
            &port_at.key("targetPort"),
            "targetPort is deprecated and has no effect",
            "the ports of the gateway's Service say where traffic arrives",
        );
    }
    if exposed.name.is_empty() {
        violations.add(&port_at.key("name"), "the port's name is missing");
    }
    if exposed.protocol.is_empty() {
        violations.add(&port_at.key("protocol"), "the port's protocol is missing");
    } else {
        violations.check(&port_at.key("protocol"), protocol(&exposed.protocol));
    }
    if let Some(bind) = bind.as_deref().filter(|text| !text.is_empty()) {
        violations.check(&at.key("bind"), bind_address(bind));
    }
    if hosts.is_empty() {
        violations.add(&at.key("hosts"), "the server has no hosts");
    }
    for (position, host) in hosts.iter().enumerate() {
        violations.check(&at.key("hosts").index(position), server_host(host));
    }
    let spoken = exposed.protocol.to_ascii_uppercase();
    let encrypted = matches!(spoken.as_str(), "HTTPS" | "TLS");
    match tls {
        None if encrypted => violations.add_hint(
            at,
            format!("a server with protocol {spoken} needs tls"),
            "add tls with a mode, such as SIMPLE with a credentialName",
        ),
        None => {}
        Some(tls) => {
            let at = at.key("tls");
            let redirects = tls.https_redirect == Some(true);
            if redirects && spoken != "HTTP" {
                let message = "only servers with protocol HTTP can redirect to HTTPS";
                violations.add(&at.key("httpsRedirect"), message);
            }
            if encrypted {
                tls_settings::check_server(tls, &at, violations);
            } else if tls.mode.is_some() || tls.credential_name.is_some() {
                let message = format!("a server with protocol {spoken} cannot have TLS settings");
                violations.add(&at, message);
            }
        }
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
        wildcard_host(host)
    }
}
