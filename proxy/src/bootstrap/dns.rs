//! Where DNS is answered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use mesh_ir::{ProxyKind, ports};

use super::Environment;
use super::proxy_config::ProxyConfig;

/// Whether DNS is captured, as a variable or in the `proxyMetadata` of the proxy's configuration.
const CAPTURE: &str = "ISTIO_META_DNS_CAPTURE";

/// Where queries are sent to, for those who redirect them by other means.
const ADDRESS: &str = "DNS_PROXY_ADDR";

/// The addresses; none where DNS is not captured, as with gateways.
pub(super) fn addresses(
    kind: ProxyKind,
    env: &mut Environment,
    config: &ProxyConfig,
) -> Vec<SocketAddr> {
    let text = |name| env.text(name).or_else(|| config.metadata(name));
    let (wanted, address) = (
        text(CAPTURE).map(str::to_owned),
        text(ADDRESS).map(str::to_owned),
    );
    let is_wanted = match wanted.as_deref() {
        None | Some("") => false,
        Some(text) => is_true(text).unwrap_or_else(|| {
            env.mistake(format!("{CAPTURE} is {text:?}, expected true or false"));
            false
        }),
    };
    if !is_wanted || kind != ProxyKind::Sidecar {
        return Vec::new();
    }
    let view = env.view();
    if let Some(own) = view.bind.or(view.addresses.map(|addresses| addresses.pod)) {
        return vec![SocketAddr::new(own, ports::PROXY_DNS)];
    }
    let Some(address) = address else {
        return both(ports::PROXY_DNS);
    };
    if let Ok(address) = address.parse() {
        return vec![address];
    }
    let local = address.strip_prefix("localhost:");
    match local.and_then(|port| port.parse().ok()) {
        Some(port) => both(port),
        None => {
            env.mistake(format!(
                "{ADDRESS} is {address:?}, expected IP:PORT or localhost:PORT"
            ));
            Vec::new()
        }
    }
}

/// The addresses of this host that others cannot reach.
fn both(port: u16) -> Vec<SocketAddr> {
    let local = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    local.map(|address| SocketAddr::new(address, port)).into()
}

/// Yes or no in the forms that Go understands.
fn is_true(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses_of(kind: ProxyKind, variables: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let mut env: Environment = variables.iter().copied().collect();
        let config = ProxyConfig::read(&mut env);
        let addresses = addresses(kind, &mut env, &config);
        let addresses = addresses.iter().map(ToString::to_string);
        (addresses.collect(), env.into_mistakes())
    }

    #[test]
    fn dns_is_answered_where_it_is_captured() {
        let both = ["127.0.0.1:15053", "[::1]:15053"];
        let config = r#"{"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "true"}}"#;
        for (variables, expected) in [
            (&[][..], &[][..]),
            (&[(CAPTURE, "false"), ("PROXY_CONFIG", config)], &[]),
            (&[(CAPTURE, "true")], &both),
            (&[("PROXY_CONFIG", config)], &both),
            (
                &[(CAPTURE, "1"), (ADDRESS, "127.0.0.9:53")],
                &["127.0.0.9:53"],
            ),
            (
                &[(CAPTURE, "true"), ("MESH_BIND_ADDRESS", "127.1.0.1")],
                &["127.1.0.1:15053"],
            ),
        ] {
            let (addresses, mistakes) = addresses_of(ProxyKind::Sidecar, variables);
            assert_eq!(
                (addresses, mistakes.len()),
                (expected.iter().map(ToString::to_string).collect(), 0)
            );
        }
        assert!(
            addresses_of(ProxyKind::Gateway, &[(CAPTURE, "true")])
                .0
                .is_empty()
        );
    }

    #[test]
    fn mistakes_are_told() {
        let (_, mistakes) = addresses_of(ProxyKind::Sidecar, &[(CAPTURE, "yes")]);
        assert!(
            mistakes[0].contains("expected true or false"),
            "{mistakes:?}"
        );
        let (_, mistakes) =
            addresses_of(ProxyKind::Sidecar, &[(CAPTURE, "true"), (ADDRESS, "here")]);
        assert!(mistakes[0].contains("expected IP:PORT"), "{mistakes:?}");
    }
}
