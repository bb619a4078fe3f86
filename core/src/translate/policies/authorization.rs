//! An `AuthorizationPolicy` as the policy that proxies enforce.
//!
//! What is not valid never widens what is allowed. A rule with something of the kind is left out of a policy that allows; elsewhere
//! the field is left out, so that the rule matches more.

use mesh_ir::policy::{
    AddressAttribute, AuthorizationAction, AuthorizationPolicy, AuthorizationRule, Condition,
    Constraint, Operation, PathPattern, PathTemplate, ServiceAccount, Source, StringPattern,
    TextAttribute,
};

use super::trust_domains::{TrustDomainNames, exact};
use crate::model::{self, MeshConfig};
use crate::resource::{Object, Resource};

/// Annotation of policies that are only tried.
pub(crate) const DRY_RUN: &str = "istio.io/dry-run";

/// Compiles the policies of a mesh.
pub(super) struct Compiler<'m> {
    trust_domains: TrustDomainNames<'m>,
}

/// A policy and what it does with requests that match.
pub(super) struct Compiled<'r> {
    pub(super) action: AuthorizationAction,
    /// Who is asked; empty for other actions than CUSTOM.
    pub(super) provider: &'r str,
    pub(super) policy: AuthorizationPolicy,
}

/// A rule cannot be used.
struct Unusable;

/// Compiles the rules of one policy.
struct Rules<'a> {
    trust_domains: &'a TrustDomainNames<'a>,
    namespace: &'a str,
    /// Whether what is not valid is left out of a rule, and not the rule.
    widens: bool,
}

// === impl Compiler ===

impl<'m> Compiler<'m> {
    pub(super) fn of(mesh: &'m MeshConfig) -> Self {
        Self {
            trust_domains: TrustDomainNames::of(mesh),
        }
    }

    /// The compiled form of a policy; none for one that only tries what cannot be tried.
    pub(super) fn compile<'r>(&self, resource: &'r Resource) -> Option<Compiled<'r>> {
        let Object::AuthorizationPolicy(spec) = &resource.object else {
            return None;
        };
        let action = action(spec.action);
        let dry_run = is_dry_run(resource);
        let can_be_tried = matches!(
            action,
            AuthorizationAction::Allow | AuthorizationAction::Deny
        );
        if dry_run && !can_be_tried {
            return None;
        }
        let rules = Rules {
            trust_domains: &self.trust_domains,
            namespace: &resource.key.namespace,
            widens: action != AuthorizationAction::Allow,
        };
        let compiled = (0..).zip(&spec.rules).filter_map(|(index, rule)| {
            let rule = rules.rule(rule).ok()?;
            Some(AuthorizationRule { index, ..rule })
        });
        Some(Compiled {
            action,
            provider: spec.provider.as_ref().map_or("", |provider| &provider.name),
            policy: AuthorizationPolicy {
                namespace: resource.key.namespace.clone(),
                name: resource.key.name.clone(),
                dry_run,
                rules: compiled.collect(),
            },
        })
    }
}

fn action(action: Option<model::AuthorizationAction>) -> AuthorizationAction {
    match action {
        None | Some(model::AuthorizationAction::Allow) => AuthorizationAction::Allow,
        Some(model::AuthorizationAction::Deny) => AuthorizationAction::Deny,
        Some(model::AuthorizationAction::Audit) => AuthorizationAction::Audit,
        Some(model::AuthorizationAction::Custom) => AuthorizationAction::Custom,
    }
}

/// Whether a policy is only tried. What is no truth value does not switch a policy off.
pub fn is_dry_run(resource: &Resource) -> bool {
    let annotation = resource.meta.annotations.get(DRY_RUN);
    annotation.is_some_and(|text| ["1", "t", "T", "true", "TRUE", "True"].contains(&&**text))
}

// === impl Rules ===

impl Rules<'_> {
    fn rule(&self, rule: &model::AuthorizationRule) -> Result<AuthorizationRule, Unusable> {
        let model::AuthorizationRule { from, to, when } = rule;
        let from = from.iter().map(|from| self.source(from.source.as_ref()));
        let to = to.iter().map(|to| self.operation(to.operation.as_ref()));
        let strict = Rules {
            widens: false,
            ..*self
        };
        let when = when.iter().filter_map(|when| match strict.condition(when) {
            Err(Unusable) if self.widens => None,
            other => Some(other),
        });
        Ok(AuthorizationRule {
            index: 0,
            from: unless_any(from.collect::<Result<_, _>>()?),
            to: unless_any(to.collect::<Result<_, _>>()?),
            when: when.collect::<Result<_, _>>()?,
        })
    }

    /// What is empty says nothing, which would be everybody.
    fn unless_empty<T: Default + PartialEq>(&self, part: T) -> Result<T, Unusable> {
        if part == T::default() && !self.widens {
            Err(Unusable)
        } else {
            Ok(part)
        }
    }

    fn source(&self, source: Option<&model::AuthorizationSource>) -> Result<Source, Unusable> {
        let Some(model::AuthorizationSource {
            principals,
            not_principals,
            request_principals,
            not_request_principals,
            namespaces,
            not_namespaces,
            service_accounts,
            not_service_accounts,
            trust_domains,
            not_trust_domains,
            ip_blocks,
            not_ip_blocks,
            remote_ip_blocks,
            not_remote_ip_blocks,
        }) = source
        else {
            return self.unless_empty(Source::default());
        };
        self.unless_empty(Source {
            principals: self.principals(principals, not_principals)?,
            request_principals: self.texts(request_principals, not_request_principals)?,
            namespaces: self.texts(namespaces, not_namespaces)?,
            service_accounts: self.constraint(service_accounts, not_service_accounts, |text| {
                Some(vec![self.service_account(text)?])
            })?,
            trust_domains: self.texts(trust_domains, not_trust_domains)?,
            ip_blocks: self.parsed(ip_blocks, not_ip_blocks)?,
            remote_ip_blocks: self.parsed(remote_ip_blocks, not_remote_ip_blocks)?,
        })
    }

    fn operation(
        &self,
        operation: Option<&model::AuthorizationOperation>,
    ) -> Result<Operation, Unusable> {
        let Some(model::AuthorizationOperation {
            hosts,
            not_hosts,
            ports,
            not_ports,
            methods,
            not_methods,
            paths,
            not_paths,
        }) = operation
        else {
            return self.unless_empty(Operation::default());
        };
        self.unless_empty(Operation {
            hosts: self.constraint(hosts, not_hosts, |text| {
                Some(vec![StringPattern::parse(&text.to_ascii_lowercase())])
            })?,
            ports: self.parsed(ports, not_ports)?,
            methods: self.texts(methods, not_methods)?,
            paths: self.constraint(paths, not_paths, |text| Some(vec![path(text)?]))?,
        })
    }

    fn condition(&self, condition: &model::Condition) -> Result<Condition, Unusable> {
        let model::Condition {
            key,
            values,
            not_values,
        } = condition;
        if values.is_empty() && not_values.is_empty() {
            return Err(Unusable);
        }
        let address = |attribute| {
            Ok(Condition::Address {
                attribute,
                values: self.parsed(values, not_values)?,
            })
        };
        let attribute = match key.as_str() {
            "source.ip" => return address(AddressAttribute::SourceIp),
            "remote.ip" => return address(AddressAttribute::RemoteIp),
            "destination.ip" => return address(AddressAttribute::DestinationIp),
            "destination.port" => {
                return Ok(Condition::DestinationPort(self.parsed(values, not_values)?));
            }
            key => text_attribute(key).ok_or(Unusable)?,
        };
        let values = match attribute {
            TextAttribute::SourcePrincipal => self.principals(values, not_values)?,
            TextAttribute::SourceServiceAccount => self.constraint(values, not_values, |text| {
                Some(vec![exact(&self.service_account(text)?.to_string())])
            })?,
            _ => self.texts(values, not_values)?,
        };
        Ok(Condition::Text { attribute, values })
    }

    fn principals(
        &self,
        values: &[String],
        not_values: &[String],
    ) -> Result<Constraint<StringPattern>, Unusable> {
        self.constraint(values, not_values, |text| {
            Some(self.trust_domains.principals(text))
        })
    }

    fn texts(
        &self,
        values: &[String],
        not_values: &[String],
    ) -> Result<Constraint<StringPattern>, Unusable> {
        self.constraint(values, not_values, |text| {
            Some(vec![StringPattern::parse(text)])
        })
    }

    fn parsed<T: std::str::FromStr>(
        &self,
        values: &[String],
        not_values: &[String],
    ) -> Result<Constraint<T>, Unusable> {
        self.constraint(values, not_values, |text| Some(vec![text.parse().ok()?]))
    }

    /// What is wanted and what is not; nothing of it where a value is not valid and rules are widened.
    fn constraint<T>(
        &self,
        values: &[String],
        not_values: &[String],
        compile: impl Fn(&str) -> Option<Vec<T>>,
    ) -> Result<Constraint<T>, Unusable> {
        let all = |texts: &[String]| -> Option<Vec<T>> {
            let mut compiled = Vec::new();
            for text in texts {
                compiled.extend(compile(
                    Some(text.as_str()).filter(|text| !text.is_empty())?,
                )?);
            }
            Some(compiled)
        };
        match (all(values), all(not_values)) {
            (Some(values), Some(not_values)) => Ok(Constraint { values, not_values }),
            _ if self.widens => Ok(Constraint::default()),
            _ => Err(Unusable),
        }
    }

    /// `NAMESPACE/NAME`, or a name in the policy's own namespace.
    fn service_account(&self, text: &str) -> Option<ServiceAccount> {
        let (namespace, name) = text.split_once('/').unwrap_or((self.namespace, text));
        let is_name = |part: &str| !part.is_empty() && !part.contains(['/', '*']);
        (is_name(namespace) && is_name(name)).then(|| ServiceAccount {
            namespace: namespace.into(),
            name: name.into(),
        })
    }
}

/// Alternatives of which one says nothing say nothing.
fn unless_any<T: Default + PartialEq>(parts: Vec<T>) -> Vec<T> {
    if parts.contains(&T::default()) {
        Vec::new()
    } else {
        parts
    }
}

fn path(text: &str) -> Option<PathPattern> {
    if PathTemplate::is_template(text) {
        return PathTemplate::parse(text).ok().map(PathPattern::Template);
    }
    (!text.contains(['{', '}'])).then(|| PathPattern::Text(StringPattern::parse(text)))
}

/// The attribute of a condition's key; none if there is no such text.
fn text_attribute(key: &str) -> Option<TextAttribute> {
    Some(match key {
        "source.namespace" => TextAttribute::SourceNamespace,
        "source.serviceAccount" => TextAttribute::SourceServiceAccount,
        "source.principal" => TextAttribute::SourcePrincipal,
        "source.trustDomain" => TextAttribute::SourceTrustDomain,
        "request.auth.principal" => TextAttribute::RequestPrincipal,
        "request.auth.audiences" => TextAttribute::RequestAudiences,
        "request.auth.presenter" => TextAttribute::RequestPresenter,
        "connection.sni" => TextAttribute::ConnectionSni,
        _ => {
            let (name, inside) = key.strip_suffix(']')?.split_once('[')?;
            let mut parts = inside.split("][");
            let is_name = |part: &str| !part.is_empty() && !part.contains(['[', ']']);
            if !parts.clone().all(is_name) {
                return None;
            }
            match name {
                "request.headers" => {
                    let header = parts.next()?.to_ascii_lowercase();
                    parts
                        .next()
                        .is_none()
                        .then(|| TextAttribute::RequestHeader(header.into()))?
                }
                "request.auth.claims" => {
                    TextAttribute::RequestClaim(parts.map(Into::into).collect())
                }
                _ => return None,
            }
        }
    })
}
