//! `MeshConfig` with its `defaultConfig`, by the rules of Istio's own validation.

use std::time::Duration;

use super::common::duration;
use super::names::{fqdn, is_ip, is_label, wildcard_host};
use super::{At, Violations, extension_provider, load_balancer};
use crate::model::{DefaultProxyConfig, DurationText, MeshConfig, RemoteService};

/// Longest `connectTimeout`.
const LONGEST_CONNECT_TIMEOUT: Duration = Duration::from_secs(3600);
/// Environment variable that had addresses allocated by each proxy.
const ALLOCATES_ADDRESSES: &str = "ISTIO_META_DNS_AUTO_ALLOCATE";

/// Checks the settings of the whole mesh, without `defaultConfig`.
pub(crate) fn check(mesh: &MeshConfig, at: &At<'_>, violations: &mut Violations) {
    if let Some(number) = mesh.proxy_listen_port {
        violations.check(&at.key("proxyListenPort"), port(number));
    }
    if let Some(timeout) = mesh.connect_timeout {
        let at = at.key("connectTimeout");
        violations.check(&at, duration(timeout, false));
        if timeout.0 > LONGEST_CONNECT_TIMEOUT {
            violations.add(&at, format!("{timeout} is longer than an hour"));
        }
    }
    if let Some(timeout) = mesh.protocol_detection_timeout {
        let at = at.key("protocolDetectionTimeout");
        violations.check(&at, duration(timeout, true));
    }
    if let Some(domain) = &mesh.trust_domain {
        violations.check(&at.key("trustDomain"), trust_domain(domain));
    }
    let aliases = at.key("trustDomainAliases");
    for (position, domain) in mesh.trust_domain_aliases.iter().enumerate() {
        violations.check(&aliases.index(position), trust_domain(domain));
    }
    let services = at.key("serviceSettings");
    for (position, settings) in mesh.service_settings.iter().enumerate() {
        let at = services.index(position);
        let hosts = at.key("hosts");
        for (position, host) in settings.hosts.iter().enumerate() {
            violations.check(&hosts.index(position), wildcard_host(host));
        }
    }
    let curves = mesh.mesh_mtls.as_ref().map(|tls| &tls.ecdh_curves);
    if curves.is_some_and(|curves| !curves.is_empty()) {
        let at = at.key("meshMTLS");
        violations.add(
            &at.key("ecdhCurves"),
            "curves cannot be chosen for TLS inside of the mesh",
        );
    }
    let providers = at.key("extensionProviders");
    for (position, provider) in mesh.extension_providers.iter().enumerate() {
        extension_provider::check(provider, &providers.index(position), violations);
    }
    load_balancer::check_mesh(
        mesh.locality_lb_setting.as_ref(),
        mesh.zone_aware_lb_setting.as_ref(),
        at,
        violations,
    );
}

/// Checks `defaultConfig`.
pub(crate) fn check_default(config: &DefaultProxyConfig, at: &At<'_>, violations: &mut Violations) {
    let DefaultProxyConfig {
        config_path,
        binary_path,
        mesh_id: _,
        service_cluster,
        drain_duration,
        discovery_address,
        statsd_udp_address,
        envoy_metrics_service_address,
        envoy_metrics_service,
        envoy_access_log_service,
        proxy_admin_port,
        status_port,
        control_plane_auth_policy,
        tracing,
        proxy_metadata,
    } = config;
    for (key, text) in [
        ("configPath", config_path),
        ("binaryPath", binary_path),
        ("serviceCluster", service_cluster),
        ("discoveryAddress", discovery_address),
    ] {
        if text.as_deref() == Some("") {
            violations.add(&at.key(key), format!("{key} is empty"));
        }
    }
    if let Some(time) = drain_duration {
        violations.check(&at.key("drainDuration"), drain(*time));
    }
    for (key, text) in [
        ("discoveryAddress", discovery_address),
        ("statsdUdpAddress", statsd_udp_address),
        ("envoyMetricsServiceAddress", envoy_metrics_service_address),
    ] {
        check_address(text.as_deref(), &at.key(key), violations);
    }
    for (key, service) in [
        ("envoyMetricsService", envoy_metrics_service),
        ("envoyAccessLogService", envoy_access_log_service),
    ] {
        check_service(service.as_ref(), false, &at.key(key), violations);
    }
    if let Some(tracing) = tracing {
        let at = at.key("tracing");
        for (key, service) in [
            ("zipkin", &tracing.zipkin),
            ("lightstep", &tracing.lightstep),
            ("datadog", &tracing.datadog),
        ] {
            check_service(service.as_ref(), true, &at.key(key), violations);
        }
    }
    for (key, number) in [
        ("proxyAdminPort", proxy_admin_port),
        ("statusPort", status_port),
    ] {
        if let Some(number) = number {
            violations.check(&at.key(key), port(*number));
        }
    }
    if let Some(policy) = control_plane_auth_policy
        && !["NONE", "MUTUAL_TLS"].contains(&policy.as_str())
    {
        let message = format!("{policy:?} is neither NONE nor MUTUAL_TLS");
        violations.add(&at.key("controlPlaneAuthPolicy"), message);
    }
    if proxy_metadata.contains_key(ALLOCATES_ADDRESSES) {
        violations.warn_hint(
            &at.key("proxyMetadata").key(ALLOCATES_ADDRESSES),
            "addresses are no longer allocated by each proxy",
            "take it out; the control plane writes addresses into the status of ServiceEntries",
        );
    }
}

fn check_service(
    service: Option<&RemoteService>,
    needs_address: bool,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let Some(RemoteService { address }) = service else {
        return;
    };
    let at = at.key("address");
    if needs_address && address.as_deref().is_none_or(str::is_empty) {
        violations.add(&at, "the address is missing");
    }
    check_address(address.as_deref(), &at, violations);
}

/// Host and port; an empty text is none.
fn check_address(address: Option<&str>, at: &At<'_>, violations: &mut Violations) {
    if let Some(address) = address.filter(|address| !address.is_empty()) {
        violations.check(at, host_and_port(address));
    }
}

fn host_and_port(address: &str) -> Result<(), String> {
    let wrong = || format!("{address:?} is not HOST:PORT");
    let (host, number) = address.rsplit_once(':').ok_or_else(wrong)?;
    port(number.parse().map_err(|_| wrong())?)?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match bare {
        Some(address) if is_ip(address) => Ok(()),
        None if is_ip(host) && !host.contains(':') => Ok(()),
        None => fqdn(host),
        Some(_) => Err(wrong()),
    }
}

fn port(number: i64) -> Result<(), String> {
    super::common::port(u32::try_from(number).unwrap_or(0))
        .map_err(|_| format!("port {number} is not in the range 1 to 65535"))
}

/// Whole seconds, at least one.
fn drain(time: DurationText) -> Result<(), String> {
    duration(time, false)?;
    if time.0.subsec_nanos() != 0 {
        return Err(format!("{time} is finer than seconds"));
    }
    Ok(())
}

/// Labels with dots between them.
fn trust_domain(domain: &str) -> Result<(), String> {
    let labels = domain.strip_suffix('.').unwrap_or(domain);
    let valid = !domain.is_empty() && labels.split('.').all(is_label);
    valid
        .then_some(())
        .ok_or_else(|| format!("{domain:?} is not a trust domain: labels with dots between them"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::resource::check_mesh_config;

    #[track_caller]
    fn check(mesh: Value, expected: &[&str]) {
        let found = check_mesh_config(&mesh);
        let paths: Vec<String> = found.iter().map(|found| found.path.to_string()).collect();
        assert_eq!(paths, expected, "{mesh}");
    }

    #[test]
    fn settings_are_checked_as_istio_checks_them() {
        check(json!({}), &[]);
        check(
            json!({
                "proxyListenPort": 15001, "connectTimeout": "10s", "protocolDetectionTimeout": "0s",
                "trustDomain": "example.org", "trustDomainAliases": ["old.example.org."],
                "serviceSettings": [{"hosts": ["*.example.org"]}],
                "localityLbSetting": {"enabled": true},
                "defaultConfig": {
                    "discoveryAddress": "istiod.istio-system.svc:15012", "drainDuration": "45s",
                    "tracing": {"zipkin": {"address": "10.0.0.1:9411"}}, "statusPort": 15020,
                },
            }),
            &[],
        );
        for (mesh, path) in [
            (json!({"proxyListenPort": 0}), "proxyListenPort"),
            (json!({"connectTimeout": "2h"}), "connectTimeout"),
            (json!({"connectTimeout": "0s"}), "connectTimeout"),
            (
                json!({"protocolDetectionTimeout": "1us"}),
                "protocolDetectionTimeout",
            ),
            (json!({"trustDomain": ""}), "trustDomain"),
            (json!({"trustDomain": "a_b"}), "trustDomain"),
            (
                json!({"trustDomainAliases": ["a", "b/c"]}),
                "trustDomainAliases[1]",
            ),
            (
                json!({"serviceSettings": [{"hosts": ["a.*"]}]}),
                "serviceSettings[0].hosts[0]",
            ),
            (
                json!({"meshMTLS": {"ecdhCurves": ["P-256"]}}),
                "meshMTLS.ecdhCurves",
            ),
            (
                json!({"localityLbSetting": {"failover": [{"from": "a", "to": "a"}]}}),
                "localityLbSetting.failover[0].to",
            ),
            (
                json!({"defaultConfig": {"drainDuration": "1500ms"}}),
                "defaultConfig.drainDuration",
            ),
            (
                json!({"defaultConfig": {"discoveryAddress": "istiod"}}),
                "defaultConfig.discoveryAddress",
            ),
            (
                json!({"defaultConfig": {"statusPort": 70000}}),
                "defaultConfig.statusPort",
            ),
            (
                json!({"defaultConfig": {"tracing": {"zipkin": {}}}}),
                "defaultConfig.tracing.zipkin.address",
            ),
            (
                json!({"defaultConfig": {"statusPort": "many"}}),
                "defaultConfig.statusPort",
            ),
        ] {
            check(mesh, &[path]);
        }
    }
}
