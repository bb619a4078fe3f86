//! Keys that mean something in Istio and nothing here yet. They are accepted, so that what people have written carries over, and
//! each is told about. A key that would be dangerous to ignore is refused instead.

use crate::diag::FieldPath;

/// Paths, each with everything below it.
const WITHOUT_EFFECT: [&str; 51] = [
    "addonComponents",
    "compatibilityVersion",
    "components.base.k8s",
    "components.cni",
    "components.istiodRemote",
    "components.ztunnel",
    "meshConfig.ca",
    "meshConfig.caCertificates",
    "meshConfig.certificates",
    "meshConfig.configSources",
    "meshConfig.disableEnvoyListenerLog",
    "meshConfig.discoverySelectors",
    "meshConfig.dnsRefreshRate",
    "meshConfig.enableEnvoyAccessLogService",
    "meshConfig.h2UpgradePolicy",
    "meshConfig.hboneIdleTimeout",
    "meshConfig.inboundClusterStatName",
    "meshConfig.inboundTrafficPolicy",
    "meshConfig.ingressClass",
    "meshConfig.ingressSelector",
    "meshConfig.outboundClusterStatName",
    "meshConfig.protocolDetectionTimeout",
    "meshConfig.proxyHttpPort",
    "meshConfig.proxyListenPort",
    "meshConfig.serviceScopeConfigs",
    "meshConfig.serviceSettings",
    "meshConfig.tcpKeepalive",
    "meshConfig.verifyCertificateAtClient",
    "values.base",
    "values.cni",
    "values.defaultRevision",
    "values.global.caAddress",
    "values.global.configValidation",
    "values.global.defaultPodDisruptionBudget",
    "values.global.jwtPolicy",
    "values.global.logAsJson",
    "values.global.meshID",
    "values.global.multiCluster.enabled",
    "values.global.network",
    "values.global.omitSidecarInjectorConfigMap",
    "values.global.pilotCertProvider",
    "values.global.platform",
    "values.global.proxy.privileged",
    "values.global.proxy.tracer",
    "values.global.proxy_init",
    "values.global.tracer",
    "values.istio_cni",
    "values.pilot.cni",
    "values.pilot.traceSampling",
    "values.telemetry",
    "values.ztunnel",
];

/// Paths that are refused, with the reason.
const REFUSED: [(&str, &str); 3] = [
    (
        "values.global.externalIstiod",
        "a control plane outside of the cluster is not supported yet",
    ),
    (
        "values.global.remotePilotAddress",
        "a control plane outside of the cluster is not supported yet",
    ),
    ("unvalidatedValues", "only known values are supported"),
];

/// Whether a key is known to mean nothing here.
pub(super) fn is_without_effect(path: &FieldPath) -> bool {
    let path = path.to_string();
    WITHOUT_EFFECT.iter().any(|known| covers(known, &path))
}

/// Why a key is refused.
pub(super) fn refused(path: &FieldPath) -> Option<&'static str> {
    let path = path.to_string();
    let found = REFUSED.iter().find(|(known, _)| covers(known, &path));
    found.map(|(_, reason)| *reason)
}

fn covers(known: &str, path: &str) -> bool {
    // `values.meshConfig` and `meshConfig` are the same thing at two places.
    let path = match path.strip_prefix("values.") {
        Some(rest) if rest.starts_with("meshConfig") => rest,
        _ => path,
    };
    let rest = path.strip_prefix(known);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
