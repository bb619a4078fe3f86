//! The blocks of a traffic policy, merged as Istio merges them.

use crate::model::{
    ClientTls, ClientTlsMode, ConnectionPoolSettings, LoadBalancerSettings, OutlierDetection,
    PortTrafficPolicy, RetryBudget, TrafficPolicy,
};

/// The blocks that hold for one port of one subset.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EffectiveTrafficPolicy<'a> {
    pub(crate) load_balancer: Option<&'a LoadBalancerSettings>,
    pub(crate) connection_pool: Option<&'a ConnectionPoolSettings>,
    pub(crate) outlier_detection: Option<&'a OutlierDetection>,
    pub(crate) tls: Option<&'a ClientTls>,
    pub(crate) retry_budget: Option<&'a RetryBudget>,
}

// === impl EffectiveTrafficPolicy ===

impl<'a> EffectiveTrafficPolicy<'a> {
    /// The blocks that hold for a port: a port's settings replace the whole policy, a subset's policy overrides block by block.
    pub(crate) fn effective(
        policy: Option<&'a TrafficPolicy>,
        subset: Option<&'a TrafficPolicy>,
        port: u16,
    ) -> Self {
        let base = policy.map_or_else(Self::default, |policy| Self::for_port(policy, port));
        let over = subset.map_or_else(Self::default, |policy| Self::for_port(policy, port));
        Self {
            load_balancer: over.load_balancer.or(base.load_balancer),
            connection_pool: over.connection_pool.or(base.connection_pool),
            outlier_detection: over.outlier_detection.or(base.outlier_detection),
            tls: over.tls.or(base.tls),
            retry_budget: over.retry_budget.or(base.retry_budget),
        }
    }

    /// The blocks of a policy itself.
    pub(crate) fn of(policy: &'a TrafficPolicy) -> Self {
        Self {
            load_balancer: policy.load_balancer.as_ref(),
            connection_pool: policy.connection_pool.as_ref(),
            outlier_detection: policy.outlier_detection.as_ref(),
            tls: policy.tls.as_ref(),
            retry_budget: policy.retry_budget.as_ref(),
        }
    }

    /// The blocks of one port's settings.
    pub(crate) fn of_port(port: &'a PortTrafficPolicy) -> Self {
        Self {
            load_balancer: port.load_balancer.as_ref(),
            connection_pool: port.connection_pool.as_ref(),
            outlier_detection: port.outlier_detection.as_ref(),
            tls: port.tls.as_ref(),
            retry_budget: None,
        }
    }

    fn for_port(policy: &'a TrafficPolicy, port: u16) -> Self {
        policy
            .port_level_settings
            .iter()
            .find(|settings| settings.port.number == u32::from(port))
            .map_or_else(|| Self::of(policy), Self::of_port)
    }

    /// What the TLS that is asked for falls short of; nothing if none is.
    pub(crate) fn tls_shortcoming(&self, has_selector: bool) -> Option<&'static str> {
        let tls = self.tls?;
        let secret = tls.credential_name.as_deref();
        match tls.mode {
            ClientTlsMode::Disable | ClientTlsMode::IstioMutual => None,
            _ if !has_selector && secret.is_some_and(|name| !name.is_empty()) => Some(
                "only gateways speak TLS by credentialName; sidecars send plain text, as in Istio, unless the rule has a workloadSelector",
            ),
            _ if secret.is_some_and(|name| !name.is_empty()) => Some(
                "sidecars are not given Secrets yet: their requests by this rule fail with 503, those of gateways work; name files instead",
            ),
            _ => None,
        }
    }

    /// The fields that nothing acts on yet.
    pub(crate) fn unsupported(&self) -> Vec<&'static str> {
        let balancer = self.load_balancer;
        let http = self.connection_pool.and_then(|pool| pool.http.as_ref());
        let fields = [
            (
                http.is_some_and(|http| http.max_concurrent_streams.is_some()),
                "connectionPool.http.maxConcurrentStreams",
            ),
            (
                http.is_some_and(|http| http.http2_keep_alive.is_some()),
                "connectionPool.http.http2KeepAlive",
            ),
            (
                balancer.is_some_and(|lb| lb.zone_aware_lb_setting.is_some()),
                "loadBalancer.zoneAwareLbSetting",
            ),
            (
                self.outlier_detection.is_some_and(|detection| {
                    !detection.outlier_detection_http_error_codes.is_empty()
                }),
                "outlierDetection.outlierDetectionHttpErrorCodes",
            ),
        ];
        fields
            .into_iter()
            .filter_map(|(set, field)| set.then_some(field))
            .collect()
    }
}
