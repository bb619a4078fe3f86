//! Port numbers that Istio's users, dashboards and policies rely on.

/// Proxy admin interface (`/config_dump`, `/stats`, ...).
pub const PROXY_ADMIN: u16 = 15000;
/// Where captured outbound traffic arrives.
pub const PROXY_OUTBOUND: u16 = 15001;
/// Where captured inbound traffic arrives.
pub const PROXY_INBOUND: u16 = 15006;
/// HTTP CONNECT overlay.
pub const PROXY_HBONE: u16 = 15008;
/// Agent: merged metrics and application probes.
pub const PROXY_AGENT: u16 = 15020;
/// Readiness of the proxy (`/healthz/ready`).
pub const PROXY_HEALTH: u16 = 15021;
/// DNS capture.
pub const PROXY_DNS: u16 = 15053;
/// Prometheus endpoint of the proxy (`/stats/prometheus`).
pub const PROXY_METRICS: u16 = 15090;
/// Control plane: xDS in plain text, on loopback and on request only.
pub const ISTIOD_PLAINTEXT_XDS: u16 = 15010;
/// Control plane: xDS and certificates over TLS.
pub const ISTIOD_XDS: u16 = 15012;
/// Control plane: monitoring and `/debug`.
pub const ISTIOD_MONITORING: u16 = 15014;
/// Control plane: webhooks.
pub const ISTIOD_WEBHOOK: u16 = 15017;
/// Control plane: `/ready`.
pub const ISTIOD_READY: u16 = 8080;
