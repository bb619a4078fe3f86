//! Policies as a proxy enforces them: who may do what, which identities and tokens count, which failures are injected.
//!
//! These are plain values without any reference to how Envoy spells them. Which objects select a workload, trust-domain aliases and
//! defaults are already resolved. [`crate::evaluate`] compiles and decides them.

mod authorization;
mod extension;
mod external;
mod fault;
mod identity;
mod jwt;
mod pattern;
mod peer;
mod rate_limit;
mod template;

pub use authorization::{
    AddressAttribute, Authorization, AuthorizationAction, AuthorizationPolicy, AuthorizationRule,
    Condition, Operation, ServiceAccount, Source, TextAttribute,
};
pub use extension::{ExtensionConfig, ExtensionFilter};
pub use external::{
    CheckedBody, ExternalAuthorization, ExternalAuthorizer, ExternalAuthorizerProtocol,
    HttpAuthorizer,
};
pub use fault::{AbortStatus, DelayDuration, Fault, FaultAbort, FaultDelay};
pub use identity::{InvalidIdentity, PeerIdentity, TrustDomains};
pub use jwt::{ClaimToHeader, JwtRule, RequestAuthentication, TokenLocation};
pub use pattern::{Constraint, PathPattern, StringPattern};
pub use peer::PeerAuthenticationMode;
pub use rate_limit::{
    ConnectionLimit, ConnectionRateLimit, DescriptorLimit, GlobalRateLimit, LocalRateLimit,
    RateLimitAction, RateLimitRule, TokenBucket,
};
pub use template::{InvalidPathTemplate, PathTemplate};
