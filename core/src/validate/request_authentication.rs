//! `RequestAuthentication`.

use serde_json::Value;

use super::common::header_name;
use super::policy::check_targets;
use super::{At, Violations};
use crate::model::{JwtRule, RequestAuthenticationSpec};

pub(crate) fn check(object: &RequestAuthenticationSpec, at: &At<'_>, violations: &mut Violations) {
    let RequestAuthenticationSpec {
        selector,
        target_ref,
        target_refs,
        jwt_rules,
    } = object;
    check_targets(
        selector.as_ref(),
        target_ref.as_ref(),
        target_refs,
        at,
        violations,
    );
    for (position, rule) in jwt_rules.iter().enumerate() {
        let key = at.key("jwtRules");
        check_rule(rule, &key.index(position), violations);
    }
}

fn check_rule(rule: &JwtRule, at: &At<'_>, violations: &mut Violations) {
    if rule.issuer.is_empty() && rule.keys_address().unwrap_or_default().is_empty() {
        violations.add_hint(
            &at.key("issuer"),
            "the issuer is missing",
            "set issuer, or jwksUri to take tokens of every issuer that uses its keys",
        );
    }
    if let Some(jwks) = rule.jwks.as_deref().filter(|text| !text.is_empty()) {
        violations.check(&at.key("jwks"), key_set(jwks));
    }
    let key = at.key("fromHeaders");
    for (position, header) in rule.from_headers.iter().enumerate() {
        if !header.name.is_empty() {
            let at = key.index(position);
            violations.check(&at.key("name"), header_name(&header.name));
        }
    }
    if !rule.space_delimited_claims.is_empty() {
        let message =
            "only scope and permission are lists of words; spaceDelimitedClaims has no effect";
        violations.no_effect(&at.key("spaceDelimitedClaims"), message);
    }
    let output = rule.output_payload_to_header.as_deref();
    if let Some(name) = output.filter(|name| !name.is_empty()) {
        violations.check(&at.key("outputPayloadToHeader"), header_name(name));
    }
}

/// A JSON Web Key Set, or a single key.
fn key_set(text: &str) -> Result<(), String> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("the key set is not JSON: {error}"))?;
    let keys = match value.get("keys") {
        Some(Value::Array(keys)) => keys.as_slice(),
        Some(_) => return Err("keys of the key set is not a list".to_owned()),
        None => std::slice::from_ref(&value),
    };
    const TYPES: [&str; 4] = ["RSA", "EC", "OKP", "oct"];
    for (position, key) in keys.iter().enumerate() {
        match key.get("kty").and_then(Value::as_str) {
            Some(kind) if TYPES.contains(&kind) => {}
            Some(kind) => {
                return Err(format!(
                    "key {position} of the key set has the unknown type {kind:?}"
                ));
            }
            None => return Err(format!("key {position} of the key set has no type (kty)")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_sets() {
        for text in [
            r#"{"keys": [{"kty": "RSA", "kid": "a", "e": "AQAB", "n": "sXch"}]}"#,
            r#"{"kty": "EC", "crv": "P-256", "x": "f83O", "y": "x_FE"}"#,
            r#"{"keys": []}"#,
        ] {
            assert_eq!(key_set(text), Ok(()), "{text}");
        }
        for text in [
            "keys",
            "[]",
            "{}",
            r#"{"keys": {}}"#,
            r#"{"keys": [{"kid": "a"}]}"#,
            r#"{"keys": [{"kty": "DSA"}]}"#,
        ] {
            assert!(key_set(text).is_err(), "{text}");
        }
    }
}
