//! The `RequestAuthentication`s of a workload, merged to what its proxy checks.

use std::sync::Arc;

use mesh_ir::ConfigRef;
use mesh_ir::policy::{ClaimToHeader, JwtRule, RequestAuthentication, TokenLocation};

use crate::model;
use crate::resource::{Object, Resource};
use crate::snapshot::Snapshot;

/// All rules of the policies that are for a workload.
pub(super) fn merged<'r>(
    snapshot: &Snapshot,
    policies: impl IntoIterator<Item = &'r Arc<Resource>>,
) -> RequestAuthentication {
    let rules = policies.into_iter().flat_map(|resource| {
        let spec = match &resource.object {
            Object::RequestAuthentication(spec) => Some(spec),
            _ => None,
        };
        let rules = spec.into_iter().flat_map(|spec| &spec.jwt_rules);
        rules.map(move |rule| compile(snapshot, resource, rule))
    });
    RequestAuthentication {
        rules: rules.collect(),
    }
}

fn compile(snapshot: &Snapshot, resource: &Resource, rule: &model::JwtRule) -> JwtRule {
    let model::JwtRule {
        issuer,
        audiences,
        jwks_uri: _,
        jwks_uri_snake: _,
        jwks,
        from_headers: _,
        from_params: _,
        from_cookies: _,
        output_payload_to_header,
        forward_original_token,
        output_claim_to_headers,
        // How long fetching may take.
        timeout: _,
        // Has no effect yet, which the object's findings say.
        space_delimited_claims: _,
    } = rule;
    let lower = |name: &str| -> Arc<str> { name.to_ascii_lowercase().into() };
    let outputs = output_claim_to_headers.iter().map(|output| ClaimToHeader {
        header: lower(&output.header),
        claim: output.claim.as_str().into(),
    });
    JwtRule {
        issuer: issuer.as_str().into(),
        audiences: audiences.iter().map(|it| it.as_str().into()).collect(),
        jwks: keys(snapshot, jwks.as_deref(), rule.keys_address()),
        locations: locations(rule),
        forward_original_token: *forward_original_token,
        output_payload_to_header: output_payload_to_header
            .as_deref()
            .filter(|name| !name.is_empty())
            .map(lower),
        output_claims: outputs.collect(),
        origin: Some(ConfigRef {
            api_version: "security.istio.io/v1beta1".into(),
            kind: "request-authentication".into(),
            namespace: resource.key.namespace.clone(),
            name: resource.key.name.clone(),
        }),
    }
}

/// The keys as they are written, or as they were fetched. Without any every token is wrong.
fn keys(snapshot: &Snapshot, written: Option<&str>, address: Option<&str>) -> Arc<str> {
    if let Some(written) = written.filter(|text| !text.is_empty()) {
        return written.into();
    }
    let fetched = address.and_then(|address| snapshot.key_set(address));
    fetched.cloned().unwrap_or_else(|| r#"{"keys":[]}"#.into())
}

/// Where tokens are looked for: where the rule says, or else where OAuth has them (RFC 6750).
fn locations(rule: &model::JwtRule) -> Vec<TokenLocation> {
    let headers = rule
        .from_headers
        .iter()
        .map(|header| TokenLocation::Header {
            name: header.name.to_ascii_lowercase().into(),
            prefix: header.prefix.as_deref().unwrap_or_default().into(),
        });
    let parameters = rule.from_params.iter();
    let cookies = rule.from_cookies.iter();
    let said: Vec<TokenLocation> = headers
        .chain(parameters.map(|name| TokenLocation::Parameter(name.as_str().into())))
        .chain(cookies.map(|name| TokenLocation::Cookie(name.as_str().into())))
        .collect();
    if !said.is_empty() {
        return said;
    }
    vec![
        TokenLocation::Header {
            name: "authorization".into(),
            prefix: "Bearer ".into(),
        },
        TokenLocation::Parameter("access_token".into()),
    ]
}
