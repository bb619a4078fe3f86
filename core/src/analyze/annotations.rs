//! The annotations of Istio: on what kind of object each belongs, how settled it is, and which values it may have.

use std::net::IpAddr;

use serde_json::Value;

use crate::source::parse_whole;

/// An annotation.
pub(super) struct Annotation {
    pub(super) name: &'static str,
    /// Kinds of objects that it is for, as Istio names them; `Any` for all.
    pub(super) kinds: &'static [&'static str],
    pub(super) stage: Stage,
    /// What is wrong with a value.
    pub(super) check: fn(&str) -> Result<(), String>,
}

/// How settled an annotation is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Alpha,
    Settled,
    Deprecated,
}

use Stage::{Alpha, Deprecated, Settled};

const ANY: &[&str] = &["Any"];
const POD: &[&str] = &["Pod"];
const SERVICE: &[&str] = &["Service"];
const GATEWAY: &[&str] = &["Gateway"];
const ENTRY: &[&str] = &["WorkloadEntry"];

/// All of them.
#[rustfmt::skip]
pub(super) const ALL: &[Annotation] = &[
    plain("alpha.istio.io/canonical-serviceaccounts", SERVICE, Deprecated),
    plain("alpha.istio.io/kubernetes-serviceaccounts", SERVICE, Deprecated),
    plain("ambient.istio.io/bypass-inbound-capture", POD, Alpha),
    plain("ambient.istio.io/dns-capture", POD, Alpha),
    plain("ambient.istio.io/redirection", POD, Settled),
    plain("ambient.istio.io/waypoint-inbound-binding", &["GatewayClass", "Gateway"], Alpha),
    plain("galley.istio.io/analyze-suppress", ANY, Alpha),
    plain("gateway.istio.io/controller-version", ANY, Alpha),
    plain("gateway.istio.io/name-override", GATEWAY, Alpha),
    plain("gateway.istio.io/service-account", GATEWAY, Alpha),
    plain("gateway.istio.io/tls-terminate-mode", GATEWAY, Alpha),
    plain("inject.istio.io/templates", POD, Alpha),
    plain("install.operator.istio.io/chart-owner", ANY, Alpha),
    plain("install.operator.istio.io/owner-generation", ANY, Alpha),
    plain("install.operator.istio.io/version", ANY, Alpha),
    plain("istio.io/autoRegistrationGroup", ENTRY, Alpha),
    plain("istio.io/connectedAt", ENTRY, Alpha),
    plain("istio.io/disconnectedAt", ENTRY, Alpha),
    plain("istio.io/dry-run", &["AuthorizationPolicy"], Alpha),
    plain("istio.io/rev", POD, Alpha),
    plain("istio.io/workloadController", ENTRY, Alpha),
    plain("kubernetes.io/ingress.class", &["Ingress"], Settled),
    plain("networking.istio.io/address-type", GATEWAY, Alpha),
    plain("networking.istio.io/exportTo", SERVICE, Alpha),
    plain("networking.istio.io/service-type", GATEWAY, Alpha),
    plain("networking.istio.io/traffic-distribution", &["Service", "ServiceEntry", "Namespace"], Alpha),
    checked("prometheus.istio.io/merge-metrics", Alpha, truth),
    checked("proxy.istio.io/config", Settled, proxy_config),
    plain("proxy.istio.io/overrides", POD, Alpha),
    plain("readiness.status.sidecar.istio.io/applicationPorts", POD, Alpha),
    checked("readiness.status.sidecar.istio.io/failureThreshold", Alpha, number),
    checked("readiness.status.sidecar.istio.io/initialDelaySeconds", Alpha, number),
    checked("readiness.status.sidecar.istio.io/periodSeconds", Alpha, number),
    plain("sidecar.istio.io/agentLogLevel", POD, Alpha),
    plain("sidecar.istio.io/bootstrapOverride", POD, Alpha),
    plain("sidecar.istio.io/componentLogLevel", POD, Alpha),
    plain("sidecar.istio.io/controlPlaneAuthPolicy", POD, Deprecated),
    plain("sidecar.istio.io/discoveryAddress", POD, Deprecated),
    plain("sidecar.istio.io/enableCoreDump", POD, Alpha),
    plain("sidecar.istio.io/extraStatTags", POD, Deprecated),
    plain("sidecar.istio.io/inject", POD, Deprecated),
    checked("sidecar.istio.io/interceptionMode", Alpha, interception),
    plain("sidecar.istio.io/logLevel", POD, Alpha),
    plain("sidecar.istio.io/nativeSidecar", POD, Alpha),
    plain("sidecar.istio.io/proxyCPU", POD, Alpha),
    plain("sidecar.istio.io/proxyCPULimit", POD, Alpha),
    plain("sidecar.istio.io/proxyImage", POD, Alpha),
    plain("sidecar.istio.io/proxyImageType", POD, Alpha),
    plain("sidecar.istio.io/proxyMemory", POD, Alpha),
    plain("sidecar.istio.io/proxyMemoryLimit", POD, Alpha),
    plain("sidecar.istio.io/rewriteAppHTTPProbers", POD, Alpha),
    plain("sidecar.istio.io/statsCompression", POD, Alpha),
    plain("sidecar.istio.io/statsEvictionInterval", POD, Alpha),
    plain("sidecar.istio.io/statsHistogramBuckets", POD, Alpha),
    plain("sidecar.istio.io/statsInclusionPrefixes", POD, Deprecated),
    plain("sidecar.istio.io/statsInclusionRegexps", POD, Deprecated),
    plain("sidecar.istio.io/statsInclusionSuffixes", POD, Deprecated),
    plain("sidecar.istio.io/status", POD, Alpha),
    plain("sidecar.istio.io/userVolume", POD, Alpha),
    plain("sidecar.istio.io/userVolumeMount", POD, Alpha),
    checked("status.sidecar.istio.io/port", Alpha, port),
    plain("topology.istio.io/controlPlaneClusters", &["Namespace"], Alpha),
    plain("traffic.istio.io/nodeSelector", SERVICE, Settled),
    checked("traffic.sidecar.istio.io/excludeInboundPorts", Alpha, ports),
    plain("traffic.sidecar.istio.io/excludeInterfaces", POD, Alpha),
    checked("traffic.sidecar.istio.io/excludeOutboundIPRanges", Alpha, networks),
    checked("traffic.sidecar.istio.io/excludeOutboundPorts", Alpha, ports),
    checked("traffic.sidecar.istio.io/includeInboundPorts", Alpha, ports_or_all),
    checked("traffic.sidecar.istio.io/includeOutboundIPRanges", Alpha, networks_or_all),
    plain("traffic.sidecar.istio.io/includeOutboundPorts", POD, Alpha),
    plain("traffic.sidecar.istio.io/kubevirtInterfaces", POD, Alpha),
];

const fn plain(name: &'static str, kinds: &'static [&'static str], stage: Stage) -> Annotation {
    Annotation {
        name,
        kinds,
        stage,
        check: |_| Ok(()),
    }
}

/// An annotation of pods whose value is checked.
const fn checked(
    name: &'static str,
    stage: Stage,
    check: fn(&str) -> Result<(), String>,
) -> Annotation {
    Annotation {
        name,
        kinds: POD,
        stage,
        check,
    }
}

/// The annotation of a name.
pub(super) fn named(name: &str) -> Option<&'static Annotation> {
    let found = ALL.binary_search_by(|annotation| annotation.name.cmp(name));
    found.ok().and_then(|at| ALL.get(at))
}

/// Whether a name is one that Istio gives out: of a domain of its own, or the old one of ingress classes.
pub(super) fn is_istio(name: &str) -> bool {
    let domain = name.split('/').next().unwrap_or_default();
    name == "kubernetes.io/ingress.class" || domain.ends_with("istio.io")
}

fn truth(value: &str) -> Result<(), String> {
    const WORDS: [&str; 12] = [
        "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False",
    ];
    if WORDS.contains(&value) {
        Ok(())
    } else {
        Err(format!("{value:?} is neither true nor false"))
    }
}

fn number(value: &str) -> Result<(), String> {
    match value.parse::<u32>() {
        Ok(_) if !value.starts_with('+') => Ok(()),
        _ => Err(format!("{value:?} is not a number from 0 to {}", u32::MAX)),
    }
}

fn port(value: &str) -> Result<(), String> {
    match value.trim().parse::<u16>() {
        Ok(_) if !value.trim().starts_with('+') => Ok(()),
        _ => Err(format!("{value:?} is not a port")),
    }
}

fn ports(value: &str) -> Result<(), String> {
    let value = value.trim();
    if value.is_empty() {
        return Ok(());
    }
    value.split(',').try_for_each(port)
}

fn ports_or_all(value: &str) -> Result<(), String> {
    if value == "*" { Ok(()) } else { ports(value) }
}

fn networks(value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Ok(());
    }
    value.split(',').try_for_each(|network| {
        let parsed = network.split_once('/').and_then(|(address, length)| {
            let address: IpAddr = address.parse().ok()?;
            let length: u8 = length.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            (length <= most).then_some(())
        });
        parsed.ok_or_else(|| format!("{network:?} is not a network such as 10.0.0.0/8"))
    })
}

fn networks_or_all(value: &str) -> Result<(), String> {
    if value == "*" {
        Ok(())
    } else {
        networks(value)
    }
}

fn interception(value: &str) -> Result<(), String> {
    if ["REDIRECT", "TPROXY", "NONE"].contains(&value) {
        Ok(())
    } else {
        Err(format!("{value:?} is not one of REDIRECT, TPROXY and NONE"))
    }
}

fn proxy_config(value: &str) -> Result<(), String> {
    let (documents, faults) = parse_whole("proxy.istio.io/config", value);
    if let Some(fault) = faults.into_iter().next() {
        return Err(fault.message);
    }
    let settings = documents.first().map(|document| &*document.value);
    match settings {
        None | Some(Value::Null) => Ok(()),
        Some(value @ Value::Object(_)) => {
            // The settings of one proxy are checked as those of all.
            let mesh = serde_json::json!({ "defaultConfig": value });
            let found = crate::resource::check_mesh_config(&mesh);
            let error = found
                .into_iter()
                .find(|violation| violation.level == crate::diag::Level::Error);
            match error {
                None => Ok(()),
                Some(error) => Err(format!("{}: {}", error.path, error.message)),
            }
        }
        Some(_) => Err("it is not an object of settings".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_sorted_and_found() {
        assert!(ALL.is_sorted_by_key(|annotation| annotation.name));
        for annotation in ALL {
            assert!(is_istio(annotation.name), "{}", annotation.name);
            assert!(named(annotation.name).is_some());
        }
    }

    #[test]
    fn values_are_checked() {
        for (name, value, is_right) in [
            ("sidecar.istio.io/interceptionMode", "TPROXY", true),
            ("sidecar.istio.io/interceptionMode", "tproxy", false),
            ("status.sidecar.istio.io/port", "70000", false),
            (
                "traffic.sidecar.istio.io/excludeInboundPorts",
                "80, 81",
                true,
            ),
            ("traffic.sidecar.istio.io/excludeInboundPorts", "*", false),
            ("traffic.sidecar.istio.io/includeInboundPorts", "*", true),
            (
                "traffic.sidecar.istio.io/includeOutboundIPRanges",
                "10.0.0.0/33",
                false,
            ),
            (
                "traffic.sidecar.istio.io/includeOutboundIPRanges",
                "fd00::/8",
                true,
            ),
            (
                "readiness.status.sidecar.istio.io/periodSeconds",
                "-1",
                false,
            ),
            ("prometheus.istio.io/merge-metrics", "yes", false),
            ("proxy.istio.io/config", "concurrency: 2", true),
            ("proxy.istio.io/config", "[1, 2]", false),
        ] {
            let annotation = named(name).unwrap();
            let outcome = (annotation.check)(value);
            assert_eq!(outcome.is_ok(), is_right, "{name} {value}: {outcome:?}");
        }
    }
}
