//! The annotations with which a pod changes what is injected, read and checked.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{InjectConfig, InjectError, ProxyValues};

/// Annotations of Istio's injector that mean something there and nothing here yet.
const WITHOUT_EFFECT: &[&str] = &[
    "sidecar.istio.io/bootstrapOverride",
    "sidecar.istio.io/componentLogLevel",
    "sidecar.istio.io/agentLogLevel",
    "sidecar.istio.io/extraStatTags",
    "sidecar.istio.io/statsHistogramBuckets",
    "sidecar.istio.io/statsInclusionPrefixes",
    "sidecar.istio.io/statsInclusionRegexps",
    "sidecar.istio.io/statsInclusionSuffixes",
    "sidecar.istio.io/userVolume",
    "sidecar.istio.io/userVolumeMount",
    "readiness.status.sidecar.istio.io/applicationPorts",
    "readiness.status.sidecar.istio.io/failureThreshold",
    "readiness.status.sidecar.istio.io/initialDelaySeconds",
    "readiness.status.sidecar.istio.io/periodSeconds",
    "status.sidecar.istio.io/port",
];

/// Prefix of the annotations about redirected traffic.
const TRAFFIC: &str = "traffic.sidecar.istio.io/";

/// What is redirected to the proxy: the arguments of the init container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Traffic {
    /// Destination networks: `*` or a list with commas.
    pub(super) include_ranges: String,
    /// Destination networks that are left alone.
    pub(super) exclude_ranges: String,
    /// Inbound ports: `*` or a list.
    pub(super) include_inbound: String,
    /// Inbound ports that are left alone.
    pub(super) exclude_inbound: String,
    /// Outbound ports, whatever the network.
    pub(super) include_outbound: String,
    /// Outbound ports that are left alone.
    pub(super) exclude_outbound: String,
    /// Network interfaces that are left alone.
    pub(super) exclude_interfaces: String,
    /// Network interfaces of virtual machines in the pod, whose traffic is outbound.
    pub(super) machine_interfaces: String,
}

/// What is injected into a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InjectionTemplate {
    /// A proxy beside the application.
    Sidecar,
    /// The proxy that the pod consists of.
    Gateway,
}

/// How traffic reaches the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interception {
    /// By iptables.
    Redirect,
    /// Not at all; applications name the proxy themselves.
    None,
}

/// The value of an annotation that is there and not empty.
pub(super) fn given<'a>(annotations: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    annotations
        .get(name)
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
}

/// Warnings about annotations that have no effect.
pub(super) fn without_effect(annotations: &BTreeMap<String, String>) -> Vec<String> {
    WITHOUT_EFFECT
        .iter()
        .filter(|name| annotations.contains_key(**name))
        .map(|name| format!("annotation {name} has no effect in this version"))
        .collect()
}

/// An annotation that is yes or no.
pub(super) fn switch(
    annotations: &BTreeMap<String, String>,
    name: &str,
) -> Result<Option<bool>, InjectError> {
    match given(annotations, name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(other) => Err(InjectError::annotation(
            name,
            format!("{other:?} is neither \"true\" nor \"false\""),
        )),
    }
}

// === impl InjectionTemplate ===

impl InjectionTemplate {
    /// Reads `inject.istio.io/templates`.
    pub(super) fn read(annotations: &BTreeMap<String, String>) -> Result<Self, InjectError> {
        const TEMPLATES: &str = "inject.istio.io/templates";
        let wrong = |message| Err(InjectError::annotation(TEMPLATES, message));
        let asked = given(annotations, TEMPLATES).unwrap_or("sidecar");
        let mut asked = asked.split(',').map(str::trim);
        match (asked.next(), asked.next()) {
            (Some("sidecar"), None) => Ok(Self::Sidecar),
            (Some("gateway"), None) => Ok(Self::Gateway),
            (Some(other), None) => wrong(format!(
                "template {other:?} is not supported; only sidecar and gateway are"
            )),
            _ => wrong("several templates are not supported; name sidecar or gateway".to_owned()),
        }
    }
}

// === impl Interception ===

impl Interception {
    /// Reads `sidecar.istio.io/interceptionMode`; else `interceptionMode` of the proxy's configuration counts.
    pub(super) fn read(
        annotations: &BTreeMap<String, String>,
        of_proxy: Option<&str>,
    ) -> Result<Self, InjectError> {
        const MODE: &str = "sidecar.istio.io/interceptionMode";
        match given(annotations, MODE).or(of_proxy) {
            None | Some("REDIRECT") => Ok(Self::Redirect),
            Some("NONE") => Ok(Self::None),
            Some("TPROXY") => Err(InjectError::annotation(
                MODE,
                "TPROXY is not supported; use REDIRECT",
            )),
            Some(other) => Err(InjectError::annotation(
                MODE,
                format!("{other:?} is none of REDIRECT and NONE"),
            )),
        }
    }

    /// Istio's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Redirect => "REDIRECT",
            Self::None => "NONE",
        }
    }
}

// === impl Traffic ===

impl Traffic {
    /// Reads and checks the annotations; what they leave out is the configuration's.
    pub(super) fn read(
        annotations: &BTreeMap<String, String>,
        config: &InjectConfig,
    ) -> Result<Self, InjectError> {
        let ProxyValues {
            include_ip_ranges,
            exclude_ip_ranges,
            include_inbound_ports,
            exclude_inbound_ports,
            include_outbound_ports,
            exclude_outbound_ports,
            ..
        } = &config.injector.values;
        let ranges = |name, default: &str, all| {
            checked(
                annotations,
                name,
                default,
                all,
                "networks such as 10.0.0.0/8",
                is_network,
            )
        };
        let ports = |name, default: &str, all| {
            checked(annotations, name, default, all, "port numbers", is_port)
        };
        Ok(Self {
            include_ranges: ranges("includeOutboundIPRanges", include_ip_ranges, true)?,
            exclude_ranges: ranges("excludeOutboundIPRanges", exclude_ip_ranges, false)?,
            include_inbound: ports("includeInboundPorts", include_inbound_ports, true)?,
            exclude_inbound: ports("excludeInboundPorts", exclude_inbound_ports, false)?,
            include_outbound: ports("includeOutboundPorts", include_outbound_ports, true)?,
            exclude_outbound: ports("excludeOutboundPorts", exclude_outbound_ports, false)?,
            exclude_interfaces: interfaces(annotations, "excludeInterfaces")?,
            machine_interfaces: interfaces(annotations, "kubevirtInterfaces")?,
        })
    }
}

fn interfaces(annotations: &BTreeMap<String, String>, name: &str) -> Result<String, InjectError> {
    let valid = |name: &str| name.len() < 16 && !name.contains([' ', '/']);
    let expected = "names of network interfaces";
    checked(annotations, name, "", false, expected, valid)
}

fn checked(
    annotations: &BTreeMap<String, String>,
    name: &str,
    default: &str,
    all: bool,
    expected: &str,
    valid: impl Fn(&str) -> bool,
) -> Result<String, InjectError> {
    let name = format!("{TRAFFIC}{name}");
    let Some(text) = annotations.get(&name) else {
        return Ok(default.to_owned());
    };
    let items: Vec<&str> = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .collect();
    if all && items == ["*"] {
        return Ok("*".to_owned());
    }
    match items.iter().find(|item| !valid(item)) {
        None => Ok(items.join(",")),
        Some(item) => {
            let star = if all { "* or " } else { "" };
            let message =
                format!("{item:?} is not valid; expected {star}{expected}, separated by commas");
            Err(InjectError::annotation(&name, message))
        }
    }
}

fn is_network(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}
