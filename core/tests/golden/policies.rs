//! Filters of security policies: one line for each rule.

use std::fmt::Display;

use mesh_ir::policy::{
    Authorization, AuthorizationPolicy, AuthorizationRule, Condition, Constraint,
    ExternalAuthorization, JwtRule, Operation, Source, TokenLocation,
};
use mesh_ir::{HttpFilter, NetworkFilter};
use serde_json::{Value, json};

/// The filters before those that every chain has.
pub fn http(filters: &[HttpFilter]) -> Value {
    let filters = filters.iter().flat_map(|filter| match filter {
        HttpFilter::Authorize(policies) => authorization(policies),
        HttpFilter::ExternalAuthorize(external) => asked(external),
        HttpFilter::Authenticate(tokens) => tokens.rules.iter().map(token_rule).collect(),
        other => panic!("{other:?} is not rendered"),
    });
    filters.collect()
}

pub fn network(filters: &[NetworkFilter]) -> Value {
    let filters = filters.iter().flat_map(|filter| match filter {
        NetworkFilter::Authorize(policies) => authorization(policies),
        NetworkFilter::ExternalAuthorize(external) => asked(external),
        other => panic!("{other:?} is not rendered"),
    });
    filters.collect()
}

fn token_rule(rule: &JwtRule) -> Value {
    let JwtRule {
        issuer,
        audiences,
        jwks,
        locations,
        forward_original_token,
        output_payload_to_header,
        output_claims,
        origin,
    } = rule;
    let origin = origin.as_ref().map(ToString::to_string);
    let places: Vec<String> = locations
        .iter()
        .map(|location| match location {
            TokenLocation::Header { name, prefix } => format!("header {name} {prefix:?}"),
            TokenLocation::Parameter(name) => format!("parameter {name}"),
            TokenLocation::Cookie(name) => format!("cookie {name}"),
        })
        .collect();
    let outputs = output_claims.iter();
    let outputs: Vec<String> = outputs
        .map(|output| format!("{} from {}", output.header, output.claim))
        .collect();
    json!({ format!("tokens of {issuer}"): {
        "of": origin,
        "for": audiences.join(" "),
        "keys": &**jwks,
        "in": places.join(", "),
        "forwarded": forward_original_token,
        "payload": output_payload_to_header.as_deref(),
        "claims": outputs.join(", "),
    }})
}

fn authorization(policies: &Authorization) -> Vec<Value> {
    let Authorization { deny, allow, audit } = policies;
    [("DENY", deny), ("ALLOW", allow), ("AUDIT", audit)]
        .into_iter()
        .flat_map(|(action, policies)| policies.iter().map(move |it| policy(action, it)))
        .collect()
}

fn asked(external: &ExternalAuthorization) -> Vec<Value> {
    let ExternalAuthorization { provider, policies } = external;
    let label = match provider {
        None => "CUSTOM of nobody".to_owned(),
        Some(provider) => format!("CUSTOM {provider:?}"),
    };
    policies.iter().map(|it| policy(&label, it)).collect()
}

fn policy(label: &str, policy: &AuthorizationPolicy) -> Value {
    let AuthorizationPolicy {
        namespace,
        name,
        dry_run,
        rules,
    } = policy;
    let tried = if *dry_run { " dry run" } else { "" };
    let rules: Vec<String> = rules.iter().map(rule).collect();
    json!({ format!("{label} {namespace}/{name}{tried}"): rules })
}

fn rule(rule: &AuthorizationRule) -> String {
    let AuthorizationRule {
        index,
        from,
        to,
        when,
    } = rule;
    let mut parts = vec![format!("{index}:")];
    parts.extend(from.iter().map(|it| format!("from({})", source(it))));
    parts.extend(to.iter().map(|it| format!("to({})", operation(it))));
    parts.extend(when.iter().map(|it| format!("when({})", condition(it))));
    parts.join(" ")
}

fn source(source: &Source) -> String {
    let Source {
        principals,
        request_principals,
        namespaces,
        service_accounts,
        trust_domains,
        ip_blocks,
        remote_ip_blocks,
    } = source;
    [
        constraint("principals", principals),
        constraint("requestPrincipals", request_principals),
        constraint("namespaces", namespaces),
        constraint("serviceAccounts", service_accounts),
        constraint("trustDomains", trust_domains),
        constraint("ipBlocks", ip_blocks),
        constraint("remoteIpBlocks", remote_ip_blocks),
    ]
    .concat()
    .join(" ")
}

fn operation(operation: &Operation) -> String {
    let Operation {
        hosts,
        ports,
        methods,
        paths,
    } = operation;
    [
        constraint("hosts", hosts),
        constraint("ports", ports),
        constraint("methods", methods),
        constraint("paths", paths),
    ]
    .concat()
    .join(" ")
}

fn condition(condition: &Condition) -> String {
    match condition {
        Condition::Text { attribute, values } => constraint(&attribute.to_string(), values),
        Condition::Address { attribute, values } => constraint(&attribute.to_string(), values),
        Condition::DestinationPort(ports) => constraint("destination.port", ports),
    }
    .join(" ")
}

fn constraint<T: Display>(name: &str, constraint: &Constraint<T>) -> Vec<String> {
    let Constraint { values, not_values } = constraint;
    [("", values), ("!", not_values)]
        .into_iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(not, values)| {
            let values: Vec<String> = values.iter().map(T::to_string).collect();
            format!("{not}{name}={}", values.join(","))
        })
        .collect()
}
