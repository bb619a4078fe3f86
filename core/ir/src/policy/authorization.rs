//! Who may do what.

use std::fmt;
use std::sync::Arc;

use super::{Constraint, PathPattern, StringPattern};
use crate::{Cidr, ConfigRef};

/// All policies that decide within the proxy for one port or gateway.
///
/// DENY policies decide first, then ALLOW policies. If there is an ALLOW policy (one that is not a dry run), what none of them matches is
/// denied. AUDIT policies never decide. CUSTOM policies come before, as an [`super::ExternalAuthorization`] each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Authorization {
    /// `action: DENY`.
    pub deny: Vec<AuthorizationPolicy>,
    /// `action: ALLOW`.
    pub allow: Vec<AuthorizationPolicy>,
    /// `action: AUDIT`.
    pub audit: Vec<AuthorizationPolicy>,
}

/// What a policy does with the requests that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AuthorizationAction {
    /// An external authorizer is asked.
    Custom,
    /// They are denied.
    Deny,
    /// They are allowed.
    Allow,
    /// They are marked for the audit log.
    Audit,
}

/// One `AuthorizationPolicy` that selects the workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AuthorizationPolicy {
    /// Its namespace; empty for a rule that no object of the mesh has, which others have put into the proxy's configuration.
    pub namespace: Arc<str>,
    /// Its name; without a namespace that of its one rule in Envoy's configuration.
    pub name: Arc<str>,
    /// Whether the policy is only tried, counted and logged, but not enforced (`istio.io/dry-run: "true"`).
    pub dry_run: bool,
    /// Rules of which one must match. A policy without rules matches nothing.
    pub rules: Vec<AuthorizationRule>,
}

/// One rule: a source, an operation and all conditions must match. Without any of them, the rule matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AuthorizationRule {
    /// Position in the object's `rules`.
    pub index: u32,
    /// Sources of which one must match; empty is any.
    pub from: Vec<Source>,
    /// Operations of which one must match; empty is any.
    pub to: Vec<Operation>,
    /// Conditions, all of which must hold.
    pub when: Vec<Condition>,
}

/// Where a request comes from; all fields must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Source {
    /// Identities of the peer without `spiffe://`: `TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT`. Trust-domain aliases are already
    /// added.
    pub principals: Constraint<StringPattern>,
    /// Identities of the request's token, `ISSUER/SUBJECT`.
    pub request_principals: Constraint<StringPattern>,
    /// Namespaces of the peer's identity.
    pub namespaces: Constraint<StringPattern>,
    /// Service accounts of the peer's identity, whatever its trust domain.
    pub service_accounts: Constraint<ServiceAccount>,
    /// Trust domains of the peer's identity.
    pub trust_domains: Constraint<StringPattern>,
    /// Addresses of the peer.
    pub ip_blocks: Constraint<Cidr>,
    /// Addresses of the client, by `x-forwarded-for` as far as it is trusted.
    pub remote_ip_blocks: Constraint<Cidr>,
}

/// A service account; both parts are literal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceAccount {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

/// What is asked for; all fields must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Operation {
    /// Hosts in lower case. They are compared without case, with and without the port, and without a trailing dot.
    pub hosts: Constraint<StringPattern>,
    /// Ports of the original destination.
    pub ports: Constraint<u16>,
    /// Methods.
    pub methods: Constraint<StringPattern>,
    /// Paths without query, compared after normalization.
    pub paths: Constraint<PathPattern>,
}

/// An entry of `when`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// A text.
    Text {
        /// What is compared.
        attribute: TextAttribute,
        /// With what.
        values: Constraint<StringPattern>,
    },
    /// An address.
    Address {
        /// What is compared.
        attribute: AddressAttribute,
        /// With what.
        values: Constraint<Cidr>,
    },
    /// `destination.port`.
    DestinationPort(Constraint<u16>),
}

/// An attribute that is a text, or several.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TextAttribute {
    /// `request.headers[NAME]`, in lower case.
    RequestHeader(Arc<str>),
    /// `source.namespace`.
    SourceNamespace,
    /// `source.serviceAccount`, as `NAMESPACE/NAME`.
    SourceServiceAccount,
    /// `source.principal`, without `spiffe://`.
    SourcePrincipal,
    /// `source.trustDomain`.
    SourceTrustDomain,
    /// `request.auth.principal`, `ISSUER/SUBJECT`.
    RequestPrincipal,
    /// `request.auth.audiences`.
    RequestAudiences,
    /// `request.auth.presenter`, the claim `azp`.
    RequestPresenter,
    /// `request.auth.claims[A][B]`: the names of nested claims.
    RequestClaim(Vec<Arc<str>>),
    /// `connection.sni`.
    ConnectionSni,
}

/// An attribute that is an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressAttribute {
    /// `source.ip`: the peer.
    SourceIp,
    /// `remote.ip`: the client, by `x-forwarded-for` as far as it is trusted.
    RemoteIp,
    /// `destination.ip`.
    DestinationIp,
}

// === impl Authorization ===

impl Authorization {
    /// Whether there are no policies.
    pub fn is_empty(&self) -> bool {
        let Self { deny, allow, audit } = self;
        deny.is_empty() && allow.is_empty() && audit.is_empty()
    }

    /// The policies for connections that are not HTTP ([`AuthorizationPolicy::for_tcp`]).
    pub fn for_tcp(&self) -> Self {
        let Self { deny, allow, audit } = self;
        Self {
            deny: AuthorizationAction::Deny.for_tcp(deny),
            allow: AuthorizationAction::Allow.for_tcp(allow),
            audit: AuthorizationAction::Audit.for_tcp(audit),
        }
    }
}

// === impl AuthorizationAction ===

impl AuthorizationAction {
    /// Policies of this action for connections that are not HTTP.
    pub fn for_tcp(self, policies: &[AuthorizationPolicy]) -> Vec<AuthorizationPolicy> {
        policies.iter().map(|policy| policy.for_tcp(self)).collect()
    }
}

// === impl AuthorizationPolicy ===

impl AuthorizationPolicy {
    /// The object.
    pub fn origin(&self) -> ConfigRef {
        ConfigRef {
            api_version: "security.istio.io/v1beta1".into(),
            kind: "authorization-policy".into(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// The name of a rule in Envoy's configuration, statistics and response code details:
    /// `ns[NAMESPACE]-policy[NAME]-rule[INDEX]`.
    pub fn rule_name(&self, index: u32) -> String {
        if self.namespace.is_empty() {
            return self.name.to_string();
        }
        format!("ns[{}]-policy[{}]-rule[{index}]", self.namespace, self.name)
    }

    /// The policy for connections that are not HTTP. A rule with HTTP fields is dropped where it would allow; elsewhere those fields are
    /// ignored, so that the rule matches more. That is what Istio documents for TCP ports.
    pub fn for_tcp(&self, action: AuthorizationAction) -> Self {
        let rules = self.rules.iter();
        Self {
            rules: if action == AuthorizationAction::Allow {
                rules.filter(|rule| !rule.needs_http()).cloned().collect()
            } else {
                rules.map(AuthorizationRule::without_http).collect()
            },
            ..self.clone()
        }
    }
}

// === impl AuthorizationRule ===

impl AuthorizationRule {
    /// Whether the rule looks at anything that only HTTP requests have.
    pub fn needs_http(&self) -> bool {
        let from = |source: &Source| {
            !source.request_principals.is_empty() || !source.remote_ip_blocks.is_empty()
        };
        let to = |operation: &Operation| {
            !operation.hosts.is_empty()
                || !operation.methods.is_empty()
                || !operation.paths.is_empty()
        };
        self.from.iter().any(from)
            || self.to.iter().any(to)
            || self.when.iter().any(Condition::needs_http)
    }

    fn without_http(&self) -> Self {
        let from = self.from.iter().map(|source| Source {
            request_principals: Constraint::default(),
            remote_ip_blocks: Constraint::default(),
            ..source.clone()
        });
        let to = self.to.iter().map(|operation| Operation {
            ports: operation.ports.clone(),
            ..Operation::default()
        });
        let when = self.when.iter();
        Self {
            index: self.index,
            from: from.collect(),
            to: to.collect(),
            when: when.filter(|when| !when.needs_http()).cloned().collect(),
        }
    }
}

// === impl Condition ===

impl Condition {
    fn needs_http(&self) -> bool {
        match self {
            Self::Text { attribute, .. } => attribute.needs_http(),
            Self::Address { attribute, .. } => *attribute == AddressAttribute::RemoteIp,
            Self::DestinationPort(_) => false,
        }
    }
}

// === impl TextAttribute ===

impl TextAttribute {
    fn needs_http(&self) -> bool {
        match self {
            Self::RequestHeader(_)
            | Self::RequestPrincipal
            | Self::RequestAudiences
            | Self::RequestPresenter
            | Self::RequestClaim(_) => true,
            Self::SourceNamespace
            | Self::SourceServiceAccount
            | Self::SourcePrincipal
            | Self::SourceTrustDomain
            | Self::ConnectionSni => false,
        }
    }
}

impl fmt::Display for TextAttribute {
    /// The key of `when`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequestHeader(name) => return write!(f, "request.headers[{name}]"),
            Self::RequestClaim(path) => {
                f.write_str("request.auth.claims")?;
                return path.iter().try_for_each(|name| write!(f, "[{name}]"));
            }
            Self::SourceNamespace => "source.namespace",
            Self::SourceServiceAccount => "source.serviceAccount",
            Self::SourcePrincipal => "source.principal",
            Self::SourceTrustDomain => "source.trustDomain",
            Self::RequestPrincipal => "request.auth.principal",
            Self::RequestAudiences => "request.auth.audiences",
            Self::RequestPresenter => "request.auth.presenter",
            Self::ConnectionSni => "connection.sni",
        })
    }
}

impl fmt::Display for AddressAttribute {
    /// The key of `when`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SourceIp => "source.ip",
            Self::RemoteIp => "remote.ip",
            Self::DestinationIp => "destination.ip",
        })
    }
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
