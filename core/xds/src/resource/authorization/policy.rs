//! Policies: rules by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use envoy_types::pb::envoy::config::rbac::v3::{Permission, Policy, Principal, Rbac};
use mesh_ir::Cidr;
use mesh_ir::policy::{
    AddressAttribute, AuthorizationAction, AuthorizationPolicy, AuthorizationRule, Condition,
    Constraint, Operation, Source, StringPattern, TextAttribute,
};

use super::super::border::{At, InvalidResource};
use super::clause::{Clause, Node, is_never};
use super::{CUSTOM_NAME, permission, principal, to_action};

/// Stands for the index of a rule in the name of a policy that has none.
const NO_RULE: &str = "none";

/// The rules of policies of an action, of those that are only tried or of the others; none without such policies. The name of each begins
/// with `name`.
pub(super) fn rules(
    policies: &[AuthorizationPolicy],
    action: AuthorizationAction,
    dry_run: bool,
    name: &str,
) -> Option<Rbac> {
    let policies = policies.iter().filter(|policy| policy.dry_run == dry_run);
    let mut entries = std::collections::HashMap::new();
    let mut count = 0;
    for policy in policies {
        count += 1;
        for rule in &policy.rules {
            let key = [name, &policy.rule_name(rule.index)].concat();
            entries.insert(key, to_policy(rule, action));
        }
        if policy.rules.is_empty() && !policy.namespace.is_empty() {
            let AuthorizationPolicy {
                namespace,
                name: own,
                ..
            } = policy;
            let key = format!("{name}ns[{namespace}]-policy[{own}]-rule[{NO_RULE}]");
            entries.insert(key, never());
        }
    }
    (count > 0).then(|| Rbac {
        action: to_action(action).into(),
        policies: entries,
        audit_logging_options: None,
    })
}

fn to_policy(rule: &AuthorizationRule, action: AuthorizationAction) -> Policy {
    let AuthorizationRule {
        index: _,
        from,
        to,
        when,
    } = rule;
    let (any_source, any_operation) = ([Source::default()], [Operation::default()]);
    let from = if from.is_empty() {
        &any_source
    } else {
        from.as_slice()
    };
    let to = if to.is_empty() {
        &any_operation
    } else {
        to.as_slice()
    };
    Policy {
        permissions: to.iter().map(|to| permission::to_proto(to, when)).collect(),
        principals: from
            .iter()
            .map(|from| principal::to_proto(from, when, action))
            .collect(),
        ..Policy::default()
    }
}

/// What no request matches.
fn never() -> Policy {
    Policy {
        permissions: vec![Permission::not(Permission::any())],
        principals: vec![Principal::not(Principal::any())],
        ..Policy::default()
    }
}

/// The policies, sorted by namespace and name.
pub(super) fn from_rules(
    proto: Rbac,
    action: AuthorizationAction,
    dry_run: bool,
    at: &At<'_>,
) -> Result<Vec<AuthorizationPolicy>, InvalidResource> {
    open!(at, proto => Rbac {
        keep { policies }
        refuse { audit_logging_options }
        ignore { action }
    });
    let at = at.field("policies");
    let mut found: BTreeMap<(Arc<str>, Arc<str>), Vec<AuthorizationRule>> = BTreeMap::new();
    if policies.is_empty() {
        found.insert(("".into(), "".into()), Vec::new());
    }
    for (key, policy) in policies.into_iter().collect::<BTreeMap<_, _>>() {
        let RuleName {
            namespace,
            name,
            index,
        } = RuleName::parse(&key, action);
        let rules = found.entry((namespace, name)).or_default();
        let told = |invalid: InvalidResource| InvalidResource {
            path: format!("{}[{key:?}]", invalid.path),
            ..invalid
        };
        if let Some(rule) = from_policy(policy, index, action, &at).map_err(told)? {
            rules.push(rule);
        }
    }
    let policies = found.into_iter().map(|((namespace, name), mut rules)| {
        rules.sort_by_key(|rule| rule.index);
        AuthorizationPolicy {
            namespace,
            name,
            dry_run,
            rules,
        }
    });
    Ok(policies.collect())
}

/// None for what no request matches.
fn from_policy(
    proto: Policy,
    index: u32,
    action: AuthorizationAction,
    at: &At<'_>,
) -> Result<Option<AuthorizationRule>, InvalidResource> {
    open!(at, proto => Policy {
        keep { permissions, principals }
        refuse { condition, checked_condition, cel_config }
        ignore {}
    });
    if permissions.iter().cloned().all(is_never) || principals.iter().cloned().all(is_never) {
        return Ok(None);
    }
    let (from, of_principals) = alternatives(principals, "principals", at, |one, at| {
        principal::from_proto(one, action, at)
    })?;
    let (to, of_permissions) =
        alternatives(permissions, "permissions", at, permission::from_proto)?;
    Ok(Some(AuthorizationRule {
        index,
        from,
        to,
        when: of_principals.into_iter().chain(of_permissions).collect(),
    }))
}

/// Alternatives, none where one of them is everything, and the conditions that all of them have.
fn alternatives<P, T>(
    protos: Vec<P>,
    field: &'static str,
    at: &At<'_>,
    convert: impl Fn(P, &At<'_>) -> Result<(Option<T>, Conditions), InvalidResource>,
) -> Result<(Vec<T>, Vec<Condition>), InvalidResource> {
    let all = at.list(field, protos, convert)?;
    let mut conditions: Option<&Conditions> = None;
    for (index, (_, one)) in all.iter().enumerate() {
        if *conditions.get_or_insert(one) != one {
            let list = at.field(field);
            return Err(list
                .index(index)
                .value("all alternatives of a rule must have the same conditions"));
        }
    }
    let conditions = conditions.map(|it| it.0.clone()).unwrap_or_default();
    let any = all.iter().any(|(one, _)| one.is_none());
    let some = all.into_iter().filter_map(|(one, _)| one);
    Ok((if any { Vec::new() } else { some.collect() }, conditions))
}

/// Conditions in the order of their clauses.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Conditions(Vec<Condition>);

// === impl Conditions ===

impl Conditions {
    /// Values that are not wanted belong to the condition before them, if that is about the same attribute.
    pub(super) fn texts(&mut self, wanted: TextAttribute, negated: bool, more: Vec<StringPattern>) {
        if let Some(Condition::Text { attribute, values }) = self.0.last_mut()
            && *attribute == wanted
            && negated
            && values.not_values.is_empty()
        {
            values.not_values = more;
            return;
        }
        self.0.push(Condition::Text {
            attribute: wanted,
            values: of(negated, more),
        });
    }

    pub(super) fn addresses(&mut self, wanted: AddressAttribute, negated: bool, more: Vec<Cidr>) {
        if let Some(Condition::Address { attribute, values }) = self.0.last_mut()
            && *attribute == wanted
            && negated
            && values.not_values.is_empty()
        {
            values.not_values = more;
            return;
        }
        self.0.push(Condition::Address {
            attribute: wanted,
            values: of(negated, more),
        });
    }

    pub(super) fn ports(&mut self, negated: bool, more: Vec<u16>) {
        if let Some(Condition::DestinationPort(values)) = self.0.last_mut()
            && negated
            && values.not_values.is_empty()
        {
            values.not_values = more;
            return;
        }
        self.0.push(Condition::DestinationPort(of(negated, more)));
    }
}

fn of<T>(negated: bool, values: Vec<T>) -> Constraint<T> {
    if negated {
        Constraint::none_of(values)
    } else {
        Constraint::any_of(values)
    }
}

/// The clauses of a constraint.
pub(super) fn clauses<T, N>(constraint: &Constraint<T>, node: impl Fn(&T) -> N) -> Vec<Clause<N>> {
    let Constraint { values, not_values } = constraint;
    [(false, values), (true, not_values)]
        .into_iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(negated, values)| Clause {
            negated,
            nodes: values.iter().map(&node).collect(),
        })
        .collect()
}

/// Adds the values of a clause to a constraint, which has each kind of them once.
pub(super) fn constraint<T>(
    constraint: &mut Constraint<T>,
    negated: bool,
    values: Vec<T>,
    at: &At<'_>,
) -> Result<(), InvalidResource> {
    let known = if negated {
        &mut constraint.not_values
    } else {
        &mut constraint.values
    };
    if !known.is_empty() {
        return Err(at.value("two choices of the same kind cannot be made at once"));
    }
    *known = values;
    Ok(())
}

/// The parts of a rule's name.
struct RuleName {
    namespace: Arc<str>,
    name: Arc<str>,
    index: u32,
}

// === impl RuleName ===

impl RuleName {
    /// A name of another form is that of a policy with one rule.
    fn parse(key: &str, action: AuthorizationAction) -> Self {
        let known = || {
            let key = match action {
                // The name of the provider comes first, in which there is no bracket.
                AuthorizationAction::Custom if key.starts_with(CUSTOM_NAME) => {
                    key.get(key.find("-ns[")? + 1..)?
                }
                _ => key,
            };
            let (namespace, rest) = key.strip_prefix("ns[")?.split_once("]-policy[")?;
            let (name, index) = rest.strip_suffix(']')?.rsplit_once("]-rule[")?;
            let index = if index == NO_RULE {
                0
            } else {
                index.parse().ok()?
            };
            Some(Self {
                namespace: namespace.into(),
                name: name.into(),
                index,
            })
        };
        known().unwrap_or_else(|| Self {
            namespace: "".into(),
            name: key.into(),
            index: 0,
        })
    }
}
