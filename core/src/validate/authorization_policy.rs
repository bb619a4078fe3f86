//! `AuthorizationPolicy`.

use mesh_ir::policy::PathTemplate;

use super::names::network;
use super::policy::{check_targets, not_empty};
use super::{At, Violations};
use crate::model::{
    AuthorizationAction, AuthorizationOperation, AuthorizationPolicySpec, AuthorizationRule,
    AuthorizationSource, Condition,
};

pub(crate) fn check(object: &AuthorizationPolicySpec, at: &At<'_>, violations: &mut Violations) {
    let AuthorizationPolicySpec {
        selector,
        target_ref,
        target_refs,
        rules,
        action,
        provider,
    } = object;
    check_targets(
        selector.as_ref(),
        target_ref.as_ref(),
        target_refs,
        at,
        violations,
    );
    let action = action.unwrap_or(AuthorizationAction::Allow);
    if rules.is_empty()
        && matches!(
            action,
            AuthorizationAction::Deny | AuthorizationAction::Custom
        )
    {
        violations.add_hint(
            &at.key("rules"),
            "a policy that denies or asks, but has no rules, never does so",
            "add the rule {} to match every request",
        );
    }
    let given = provider
        .as_ref()
        .filter(|provider| !provider.name.is_empty());
    if action == AuthorizationAction::Custom {
        if given.is_none() {
            let message = "the action CUSTOM needs the name of an extension provider";
            violations.add(&at.key("provider").key("name"), message);
        }
    } else if provider.is_some() {
        let message = "a provider can be set with the action CUSTOM only";
        violations.add(&at.key("provider"), message);
    }
    for (position, rule) in rules.iter().enumerate() {
        let key = at.key("rules");
        check_rule(rule, action, &key.index(position), violations);
    }
}

fn check_rule(
    rule: &AuthorizationRule,
    action: AuthorizationAction,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let AuthorizationRule { from, to, when } = rule;
    let key = at.key("from");
    for (position, from) in from.iter().enumerate() {
        if let Some(source) = &from.source {
            let at = key.index(position);
            check_source(source, action, &at.key("source"), violations);
        }
    }
    let key = at.key("to");
    for (position, to) in to.iter().enumerate() {
        if let Some(operation) = &to.operation {
            let at = key.index(position);
            check_operation(operation, &at.key("operation"), violations);
        }
    }
    let key = at.key("when");
    for (position, condition) in when.iter().enumerate() {
        check_condition(condition, action, &key.index(position), violations);
    }
    if action == AuthorizationAction::Deny && matches_all_of_tcp(rule) {
        violations.warn_hint(
            at,
            "on TCP ports this rule denies every connection, because all it names are properties of HTTP requests",
            "add to.operation.ports, so that it is for HTTP ports only",
        );
    }
}

/// Whether a rule that denies has nothing that a TCP connection could fail to match.
fn matches_all_of_tcp(rule: &AuthorizationRule) -> bool {
    let sources = || rule.from.iter().filter_map(|from| from.source.as_ref());
    let operations = || rule.to.iter().filter_map(|to| to.operation.as_ref());
    let from_connection = sources().any(|source| {
        [
            &source.principals,
            &source.not_principals,
            &source.namespaces,
            &source.not_namespaces,
            &source.service_accounts,
            &source.not_service_accounts,
            &source.trust_domains,
            &source.not_trust_domains,
            &source.ip_blocks,
            &source.not_ip_blocks,
            &source.remote_ip_blocks,
            &source.not_remote_ip_blocks,
        ]
        .iter()
        .any(|values| !values.is_empty())
    });
    let names_port = operations()
        .any(|operation| !operation.ports.is_empty() || !operation.not_ports.is_empty());
    let (has_from, has_to) = (sources().next().is_some(), operations().next().is_some());
    (has_from && !has_to && !from_connection) || (has_to && !names_port)
}

fn check_source(
    source: &AuthorizationSource,
    action: AuthorizationAction,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let AuthorizationSource {
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
    } = source;
    let identities = [
        ("principals", principals),
        ("notPrincipals", not_principals),
        ("requestPrincipals", request_principals),
        ("notRequestPrincipals", not_request_principals),
        ("namespaces", namespaces),
        ("notNamespaces", not_namespaces),
    ];
    let accounts = [
        ("serviceAccounts", service_accounts),
        ("notServiceAccounts", not_service_accounts),
    ];
    let networks = [
        ("ipBlocks", ip_blocks),
        ("notIpBlocks", not_ip_blocks),
        ("remoteIpBlocks", remote_ip_blocks),
        ("notRemoteIpBlocks", not_remote_ip_blocks),
    ];
    let domains = [
        ("trustDomains", trust_domains),
        ("notTrustDomains", not_trust_domains),
    ];
    let mut all = identities
        .iter()
        .chain(&accounts)
        .chain(&domains)
        .chain(&networks);
    if all.all(|(_, values)| values.is_empty()) {
        violations.add(at, "the source is empty");
    }
    for (name, values) in identities {
        not_empty(values, &at.key(name), violations);
    }
    for (name, values) in identities.iter().chain(&accounts).chain(&domains) {
        if action == AuthorizationAction::Custom && !values.is_empty() {
            let message =
                "identities cannot be used with the action CUSTOM, which is decided first";
            violations.add(&at.key(name), message);
        }
    }
    for (name, values) in domains {
        check_each(values, &at.key(name), violations, trust_domain);
    }
    for (name, values) in accounts {
        check_each(values, &at.key(name), violations, service_account);
    }
    for (name, values) in networks {
        check_each(values, &at.key(name), violations, network);
    }
}

fn check_operation(operation: &AuthorizationOperation, at: &At<'_>, violations: &mut Violations) {
    let AuthorizationOperation {
        hosts,
        not_hosts,
        ports,
        not_ports,
        methods,
        not_methods,
        paths,
        not_paths,
    } = operation;
    let texts = [
        ("hosts", hosts),
        ("notHosts", not_hosts),
        ("methods", methods),
        ("notMethods", not_methods),
        ("paths", paths),
        ("notPaths", not_paths),
    ];
    let numbers = [("ports", ports), ("notPorts", not_ports)];
    if texts
        .iter()
        .chain(&numbers)
        .all(|(_, values)| values.is_empty())
    {
        violations.add(at, "the operation is empty");
    }
    for (name, values) in texts {
        not_empty(values, &at.key(name), violations);
    }
    for (name, values) in numbers {
        check_each(values, &at.key(name), violations, port_text);
    }
    for (name, values) in [("paths", paths), ("notPaths", not_paths)] {
        check_each(values, &at.key(name), violations, path);
    }
}

fn check_condition(
    condition: &Condition,
    action: AuthorizationAction,
    at: &At<'_>,
    violations: &mut Violations,
) {
    let Condition {
        key,
        values,
        not_values,
    } = condition;
    let key_at = at.key("key");
    if key.is_empty() {
        violations.add(&key_at, "the key is missing");
        return;
    }
    let kind = match attribute(key) {
        Ok(kind) => kind,
        Err(message) => {
            violations.add(&key_at, message);
            return;
        }
    };
    if key.starts_with(EXPERIMENTAL) {
        let message = "metadata of Envoy's filters is not known to policies; the condition is left out, and with it a rule that allows";
        violations.no_effect(&key_at, message);
    }
    let is_identity = matches!(
        kind,
        Attribute::Identity | Attribute::Account | Attribute::Domain
    );
    if action == AuthorizationAction::Custom && is_identity {
        let message =
            format!("{key} cannot be used with the action CUSTOM, which is decided first");
        violations.add(&key_at, message);
    }
    if values.is_empty() && not_values.is_empty() {
        violations.add(at, format!("values or notValues is missing for {key}"));
    }
    for (name, values) in [("values", values), ("notValues", not_values)] {
        let at = at.key(name);
        match kind {
            Attribute::Address => check_each(values, &at, violations, network),
            Attribute::Port => check_each(values, &at, violations, port_text),
            Attribute::Account => check_each(values, &at, violations, service_account),
            Attribute::Domain => check_each(values, &at, violations, wildcard_text),
            Attribute::Text | Attribute::Identity => not_empty(values, &at, violations),
        }
    }
}

/// Keys of metadata that other filters of Envoy leave.
const EXPERIMENTAL: &str = "experimental.envoy.filters.";

/// What the values of an attribute are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attribute {
    Text,
    /// Known only after a client or token is authenticated.
    Identity,
    Account,
    Domain,
    Address,
    Port,
}

/// What the values of a condition's key are. An unknown key is refused: a rule that ignored it would match more than it says.
fn attribute(key: &str) -> Result<Attribute, String> {
    const KEYS: [(&str, Attribute); 10] = [
        ("source.ip", Attribute::Address),
        ("remote.ip", Attribute::Address),
        ("source.namespace", Attribute::Identity),
        ("source.principal", Attribute::Identity),
        ("source.serviceAccount", Attribute::Account),
        ("source.trustDomain", Attribute::Domain),
        ("request.auth.principal", Attribute::Identity),
        ("request.auth.audiences", Attribute::Identity),
        ("request.auth.presenter", Attribute::Identity),
        ("connection.sni", Attribute::Text),
    ];
    const DESTINATION: [(&str, Attribute); 2] = [
        ("destination.ip", Attribute::Address),
        ("destination.port", Attribute::Port),
    ];
    let known = KEYS
        .iter()
        .chain(&DESTINATION)
        .find(|(name, _)| *name == key);
    if let Some((_, kind)) = known {
        return Ok(*kind);
    }
    let (name, rest) = match key.split_once('[') {
        Some((name, rest)) => (name, Some(rest)),
        None => (key, None),
    };
    let kind = match name {
        "request.headers" => Attribute::Text,
        "request.auth.claims" => Attribute::Identity,
        _ if name.starts_with(EXPERIMENTAL) => Attribute::Text,
        "destination.namespace" => {
            return Err(
                "destination.namespace is the policy's own namespace; leave it out".to_owned(),
            );
        }
        "destination.labels" => {
            return Err("destination.labels is no key; use the policy's selector".to_owned());
        }
        _ => return Err(format!("there is no key {key:?}")),
    };
    // `[a]`, and for claims `[a][b]`.
    let inside = rest.and_then(|rest| rest.strip_suffix(']'));
    let parts = inside.map(|inside| inside.split("][").collect::<Vec<_>>());
    let is_name = |part: &&str| !part.is_empty() && !part.contains(['[', ']']);
    match parts {
        Some(parts)
            if parts.iter().all(is_name) && (parts.len() == 1 || name == "request.auth.claims") =>
        {
            Ok(kind)
        }
        _ => Err(format!("{key:?} does not have the form {name}[NAME]")),
    }
}

fn check_each(
    values: &[String],
    at: &At<'_>,
    violations: &mut Violations,
    check: impl Fn(&str) -> Result<(), String>,
) {
    for (position, value) in values.iter().enumerate() {
        violations.check(&at.index(position), check(value));
    }
}

/// A port as a text, from 0 to 65535.
fn port_text(text: &str) -> Result<(), String> {
    match text.parse::<u16>() {
        Ok(_) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(()),
        _ => Err(format!("{text:?} is not a port")),
    }
}

/// `NAMESPACE/NAME` or `NAME`, taken literally.
fn service_account(text: &str) -> Result<(), String> {
    let mut parts = text.split('/');
    let named = parts.by_ref().take(2).all(|part| !part.is_empty());
    if !named || parts.next().is_some() {
        return Err(format!(
            "{text:?} is not a service account, NAMESPACE/NAME or NAME"
        ));
    }
    if text.contains('*') {
        return Err(format!(
            "{text:?} has a wildcard, which service accounts cannot have"
        ));
    }
    Ok(())
}

/// A value that may begin or end with a wildcard.
fn wildcard_text(text: &str) -> Result<(), String> {
    let inside = text
        .strip_prefix('*')
        .or_else(|| text.strip_suffix('*'))
        .unwrap_or(text);
    if text.is_empty() {
        Err("an empty value matches nothing".to_owned())
    } else if inside.contains('*') {
        Err(format!(
            "{text:?} has a wildcard that is neither its beginning nor its end"
        ))
    } else {
        Ok(())
    }
}

fn trust_domain(text: &str) -> Result<(), String> {
    if text.contains('/') {
        return Err(format!("{text:?} is not a trust domain: it has a slash"));
    }
    wildcard_text(text)
}

/// A path, perhaps a template.
fn path(text: &str) -> Result<(), String> {
    if !PathTemplate::is_template(text) {
        if text.contains(['{', '}']) {
            return Err(format!(
                "{text:?} is no path template: braces stand in {{*}} and {{**}} only"
            ));
        }
        return Ok(());
    }
    PathTemplate::parse(text)
        .map(drop)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_conditions() {
        for key in [
            "source.ip",
            "source.trustDomain",
            "request.headers[x-team]",
            "request.auth.claims[iss]",
            "request.auth.claims[realm][roles]",
            "experimental.envoy.filters.network.mysql_proxy[db.table]",
            "destination.port",
        ] {
            assert!(attribute(key).is_ok(), "{key}");
        }
        for key in [
            "source.address",
            "request.headers",
            "request.headers[]",
            "request.headers[a",
            "request.headers[a][b]",
            "request.auth.claims[a][]",
            "destination.labels[app]",
            "destination.namespace",
            "Source.ip",
        ] {
            assert!(attribute(key).is_err(), "{key}");
        }
    }

    #[test]
    fn service_accounts_are_literal() {
        for text in ["default/web", "web", "shop/web.v2"] {
            assert_eq!(service_account(text), Ok(()), "{text}");
        }
        for text in ["", "/web", "shop/", "a/b/c", "shop/*"] {
            assert!(service_account(text).is_err(), "{text}");
        }
    }
}
