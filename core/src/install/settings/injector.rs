//! The injector's own settings, which sidecars and gateways share.

use super::workload::{requirements, unchecked};
use crate::inject::{InjectorSettings, Policy, ProxyValues};
use crate::install::spec::InstallSpec;
use crate::install::values::AutoInject;

pub(super) fn decide(
    spec: &InstallSpec,
    namespace: &str,
    cluster_domain: String,
) -> InjectorSettings {
    let global = &spec.values.global;
    let proxy = &global.proxy;
    let webhook = &spec.values.sidecar_injector_webhook;
    let defaults = ProxyValues::default();
    let or = |given: &Option<String>, default: String| given.clone().unwrap_or(default);
    let hub = spec.hub.clone().or_else(|| global.hub.clone());
    let tag = spec.tag.clone().or_else(|| global.tag.clone());
    let native = spec.values.pilot.env.get("ENABLE_NATIVE_SIDECARS");
    InjectorSettings {
        policy: match proxy.auto_inject {
            Some(AutoInject::Disabled) => Policy::Disabled,
            Some(AutoInject::Enabled) | None => Policy::Enabled,
        },
        always_inject_selector: unchecked(&webhook.always_inject_selector),
        never_inject_selector: unchecked(&webhook.never_inject_selector),
        revision: super::revision(spec),
        values: ProxyValues {
            hub: hub.unwrap_or(defaults.hub),
            tag: tag.unwrap_or(defaults.tag),
            image: or(&proxy.image, defaults.image),
            image_pull_policy: or(&global.image_pull_policy, defaults.image_pull_policy),
            image_pull_secrets: global.image_pull_secrets.clone(),
            cluster_domain,
            cluster_id: or(&global.multi_cluster.cluster_name, defaults.cluster_id),
            istio_namespace: namespace.to_owned(),
            log_level: or(&proxy.log_level, defaults.log_level),
            rewrite_app_http_probe: webhook
                .rewrite_app_http_probe
                .unwrap_or(defaults.rewrite_app_http_probe),
            native_sidecar: native.map(|value| value == "true"),
            resources: match &proxy.resources {
                Some(given) => requirements(given),
                None => defaults.resources,
            },
            include_ip_ranges: or(&proxy.include_ip_ranges, defaults.include_ip_ranges),
            exclude_ip_ranges: or(&proxy.exclude_ip_ranges, defaults.exclude_ip_ranges),
            include_inbound_ports: or(&proxy.include_inbound_ports, defaults.include_inbound_ports),
            exclude_inbound_ports: or(&proxy.exclude_inbound_ports, defaults.exclude_inbound_ports),
            include_outbound_ports: or(
                &proxy.include_outbound_ports,
                defaults.include_outbound_ports,
            ),
            exclude_outbound_ports: or(
                &proxy.exclude_outbound_ports,
                defaults.exclude_outbound_ports,
            ),
        },
    }
}
