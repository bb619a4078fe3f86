//! Authorization policies as Envoy's RBAC filters, of HTTP and of connections.
//!
//! ```text
//! Authorization --> RBAC filter for DENY, for ALLOW, for AUDIT (LOG); what is only tried as its shadow rules
//! rule          --> one RBAC policy: permissions = to, principals = from; the conditions of `when` in a set of their own within each
//! ```
//!
//! Envoy is told more strictly than Istio tells it: names of identities are literal, hosts are compared with and without a port, and each
//! of several values of a header is looked at where that closes a rule. Istio's own spellings are understood as well.

mod clause;
mod permission;
mod policy;
mod principal;
mod text;

use envoy_types::pb::envoy::config::rbac::v3::{Rbac as Rules, rbac::Action};
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::Rbac as HttpProto;
use envoy_types::pb::envoy::extensions::filters::network::rbac::v3::Rbac as NetworkProto;
use mesh_ir::policy::{Authorization, AuthorizationAction, AuthorizationPolicy};

use super::border::{At, InvalidResource};

pub(super) const HTTP: &str = "envoy.filters.http.rbac";
pub(super) const NETWORK: &str = "envoy.filters.network.rbac";

/// Prefix of what is told to the filter that asks an authorizer, as in Istio.
pub(super) const CUSTOM_PREFIX: &str = "istio_ext_authz_";
/// Marks denials for want of a provider.
pub(super) const UNKNOWN_PROVIDER_PREFIX: &str = "istio_ext_authz_unknown_";
/// Before the names of the rules for which an authorizer is asked.
pub(super) const CUSTOM_NAME: &str = "istio-ext-authz-";
const DRY_RUN: [(AuthorizationAction, &str); 2] = [
    (AuthorizationAction::Deny, "istio_dry_run_deny_"),
    (AuthorizationAction::Allow, "istio_dry_run_allow_"),
];

/// The rules of an RBAC filter, and what they are for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Filter {
    rules: Option<Rules>,
    shadow_rules: Option<Rules>,
    rules_prefix: String,
    shadow_prefix: String,
}

/// What an RBAC filter does.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// It enforces policies.
    Enforces(Authorization),
    /// It says what the filter after it asks an authorizer about.
    Asks(Vec<AuthorizationPolicy>),
    /// It denies what an unknown authorizer would be asked about.
    UnknownProvider(Vec<AuthorizationPolicy>),
}

/// The filters of policies, in the order in which they decide.
pub(super) fn filters(value: &Authorization) -> Vec<Filter> {
    let Authorization { deny, allow, audit } = value;
    let of = |policies: &[AuthorizationPolicy], action| {
        let shadow_rules = policy::rules(policies, action, true, "");
        let prefix = DRY_RUN.iter().find(|(known, _)| *known == action);
        Filter {
            rules: policy::rules(policies, action, false, ""),
            shadow_prefix: match (&shadow_rules, prefix) {
                (Some(_), Some((_, prefix))) => (*prefix).to_owned(),
                _ => String::new(),
            },
            shadow_rules,
            rules_prefix: String::new(),
        }
    };
    [
        (deny, AuthorizationAction::Deny),
        (allow, AuthorizationAction::Allow),
        (audit, AuthorizationAction::Audit),
    ]
    .into_iter()
    .filter(|(policies, _)| !policies.is_empty())
    .map(|(policies, action)| of(policies, action))
    .collect()
}

/// The filter that tells the next one what to ask an authorizer about. `name` comes before the names of rules.
pub(super) fn asks(policies: &[AuthorizationPolicy], name: &str) -> Filter {
    Filter {
        shadow_rules: policy::rules(policies, AuthorizationAction::Custom, false, name),
        shadow_prefix: CUSTOM_PREFIX.to_owned(),
        ..Filter::default()
    }
}

/// The filter that denies what an unknown authorizer would be asked about.
pub(super) fn denies(policies: &[AuthorizationPolicy]) -> Filter {
    Filter {
        rules: policy::rules(policies, AuthorizationAction::Custom, false, ""),
        rules_prefix: UNKNOWN_PROVIDER_PREFIX.to_owned(),
        ..Filter::default()
    }
}

/// Lays policies behind those before them where both decide together: in the order of actions, each of them once.
pub(super) fn follow(before: &mut Authorization, next: &Authorization) -> bool {
    let Authorization { deny, allow, audit } = next;
    let fits = match (deny.is_empty(), allow.is_empty(), audit.is_empty()) {
        (true, false, true) => before.allow.is_empty() && before.audit.is_empty(),
        (true, true, false) => before.audit.is_empty(),
        _ => false,
    };
    if fits {
        before.allow.extend_from_slice(allow);
        before.audit.extend_from_slice(audit);
    }
    fits
}

// === impl Filter ===

impl Filter {
    pub(super) fn to_http(&self) -> HttpProto {
        let Self {
            rules,
            shadow_rules,
            rules_prefix,
            shadow_prefix,
        } = self.clone();
        HttpProto {
            rules,
            shadow_rules,
            rules_stat_prefix: rules_prefix,
            shadow_rules_stat_prefix: shadow_prefix,
            ..HttpProto::default()
        }
    }

    /// Connections have one prefix for both kinds of rules.
    pub(super) fn to_network(&self) -> NetworkProto {
        let Self {
            rules,
            shadow_rules,
            rules_prefix,
            shadow_prefix,
        } = self.clone();
        let named = Some(rules_prefix).filter(|prefix| !prefix.is_empty());
        NetworkProto {
            rules,
            shadow_rules,
            stat_prefix: named.unwrap_or_else(|| "tcp.".to_owned()),
            shadow_rules_stat_prefix: shadow_prefix,
            ..NetworkProto::default()
        }
    }

    pub(super) fn from_http(proto: HttpProto, at: &At<'_>) -> Result<Found, InvalidResource> {
        open!(at, proto => HttpProto {
            keep { rules, shadow_rules, rules_stat_prefix, shadow_rules_stat_prefix }
            refuse { matcher, shadow_matcher }
            ignore { track_per_rule_stats }
        });
        Self {
            rules,
            shadow_rules,
            rules_prefix: rules_stat_prefix,
            shadow_prefix: shadow_rules_stat_prefix,
        }
        .found(at)
    }

    pub(super) fn from_network(proto: NetworkProto, at: &At<'_>) -> Result<Found, InvalidResource> {
        open!(at, proto => NetworkProto {
            keep { rules, shadow_rules, stat_prefix, shadow_rules_stat_prefix }
            refuse { matcher, shadow_matcher, enforcement_type, delay_deny }
            ignore {}
        });
        Self {
            rules,
            shadow_rules,
            rules_prefix: stat_prefix,
            shadow_prefix: shadow_rules_stat_prefix,
        }
        .found(at)
    }

    fn found(self, at: &At<'_>) -> Result<Found, InvalidResource> {
        let Self {
            rules,
            shadow_rules,
            rules_prefix,
            shadow_prefix,
        } = self;
        if rules_prefix == UNKNOWN_PROVIDER_PREFIX {
            let rules = at.require("rules", rules)?;
            let custom = AuthorizationAction::Custom;
            let denied = policy::from_rules(rules, custom, false, &at.field("rules"))?;
            return Ok(Found::UnknownProvider(denied));
        }
        if shadow_prefix == CUSTOM_PREFIX && rules.is_none() {
            let rules = at.require("shadow_rules", shadow_rules)?;
            let custom = AuthorizationAction::Custom;
            let asked = policy::from_rules(rules, custom, false, &at.field("shadow_rules"))?;
            return Ok(Found::Asks(asked));
        }
        let mut authorization = Authorization::default();
        for (rules, field, dry_run) in [
            (rules, "rules", false),
            (shadow_rules, "shadow_rules", true),
        ] {
            let Some(rules) = rules else { continue };
            let at = at.field(field);
            let action = from_action(rules.action, &at)?;
            let policies = policy::from_rules(rules, action, dry_run, &at)?;
            match action {
                AuthorizationAction::Allow => authorization.allow.extend(policies),
                AuthorizationAction::Audit => authorization.audit.extend(policies),
                AuthorizationAction::Deny | AuthorizationAction::Custom => {
                    authorization.deny.extend(policies);
                }
            }
        }
        Ok(Found::Enforces(authorization))
    }
}

fn to_action(action: AuthorizationAction) -> Action {
    match action {
        AuthorizationAction::Allow => Action::Allow,
        AuthorizationAction::Audit => Action::Log,
        AuthorizationAction::Deny | AuthorizationAction::Custom => Action::Deny,
    }
}

fn from_action(action: i32, at: &At<'_>) -> Result<AuthorizationAction, InvalidResource> {
    match Action::try_from(action) {
        Ok(Action::Allow) => Ok(AuthorizationAction::Allow),
        Ok(Action::Deny) => Ok(AuthorizationAction::Deny),
        Ok(Action::Log) => Ok(AuthorizationAction::Audit),
        Err(_) => Err(at.field("action").unsupported()),
    }
}
