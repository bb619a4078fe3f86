//! Tokens that requests carry: Envoy's JWT filter.

use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3::{RouteMatch, route_match::PathSpecifier};
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::{
    JwtAuthentication as Proto, JwtClaimToHeader, JwtHeader, JwtProvider, JwtRequirement,
    JwtRequirementAndList, JwtRequirementOrList, RequirementRule,
    jwt_provider::{JwksSourceSpecifier, NormalizePayload},
    jwt_requirement::RequiresType,
    requirement_rule::RequirementType,
};
use envoy_types::pb::google::protobuf::Empty;
use mesh_ir::policy::{ClaimToHeader, JwtRule, RequestAuthentication, TokenLocation};

use super::border::{At, InvalidResource};
use super::values;

pub(super) const NAME: &str = "envoy.filters.http.jwt_authn";
/// Where the filter leaves the claims, within its own metadata.
pub(super) const PAYLOAD: &str = "payload";

/// Claims that are lists of words (RFC 8693).
const WORDS: [&str; 2] = ["scope", "permission"];
/// Seconds by which clocks may differ.
const CLOCK_SKEW: u32 = 60;

pub(super) fn to_proto(value: &RequestAuthentication) -> Proto {
    let RequestAuthentication { rules } = value;
    let names: Vec<String> = (0..rules.len())
        .map(|index| format!("origins-{index}"))
        .collect();
    let providers = names.iter().cloned().zip(rules.iter().map(provider));
    Proto {
        providers: providers.collect(),
        rules: vec![RequirementRule {
            r#match: Some(RouteMatch {
                path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
                ..RouteMatch::default()
            }),
            requirement_type: Some(RequirementType::Requires(requirement(&names))),
        }],
        bypass_cors_preflight: true,
        ..Proto::default()
    }
}

/// A token of any provider, or none. Several providers that look in the same place refuse each other's tokens, which the list of
/// alternatives makes up for; a request with several tokens needs all of them to be right.
fn requirement(names: &[String]) -> JwtRequirement {
    let of = |requires| JwtRequirement {
        requires_type: Some(requires),
    };
    let one = |name: &String| of(RequiresType::ProviderName(name.clone()));
    let missing = || of(RequiresType::AllowMissing(Empty {}));
    let any = |requirements| {
        of(RequiresType::RequiresAny(JwtRequirementOrList {
            requirements,
        }))
    };
    if let [name] = names {
        return any(vec![one(name), missing()]);
    }
    let each = names.iter().map(|name| any(vec![one(name), missing()]));
    let all = of(RequiresType::RequiresAll(JwtRequirementAndList {
        requirements: each.collect(),
    }));
    any(names.iter().map(one).chain([all]).collect())
}

fn provider(value: &JwtRule) -> JwtProvider {
    let JwtRule {
        issuer,
        audiences,
        jwks,
        locations,
        forward_original_token,
        output_payload_to_header,
        output_claims,
        // The wire has no place for it.
        origin: _,
    } = value;
    let mut proto = JwtProvider {
        issuer: issuer.to_string(),
        audiences: audiences.iter().map(ToString::to_string).collect(),
        forward: *forward_original_token,
        forward_payload_header: output_payload_to_header
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        claim_to_headers: output_claims
            .iter()
            .map(|ClaimToHeader { header, claim }| JwtClaimToHeader {
                header_name: header.to_string(),
                claim_name: claim.to_string(),
                ..JwtClaimToHeader::default()
            })
            .collect(),
        payload_in_metadata: PAYLOAD.to_owned(),
        normalize_payload_in_metadata: Some(NormalizePayload {
            space_delimited_claims: WORDS.map(str::to_owned).to_vec(),
        }),
        clock_skew_seconds: CLOCK_SKEW,
        // Claims and the headers that are made of them count for routes.
        clear_route_cache: true,
        jwks_source_specifier: values::inline(jwks).map(JwksSourceSpecifier::LocalJwks),
        ..JwtProvider::default()
    };
    for location in locations {
        match location {
            TokenLocation::Header { name, prefix } => proto.from_headers.push(JwtHeader {
                name: name.to_string(),
                value_prefix: prefix.to_string(),
            }),
            TokenLocation::Parameter(name) => proto.from_params.push(name.to_string()),
            TokenLocation::Cookie(name) => proto.from_cookies.push(name.to_string()),
        }
    }
    proto
}

pub(super) fn from_proto(
    proto: Proto,
    at: &At<'_>,
) -> Result<RequestAuthentication, InvalidResource> {
    open!(at, proto => Proto {
        keep { providers, rules, bypass_cors_preflight }
        refuse { filter_state_rules, requirement_map }
        ignore { strip_failure_response, stat_prefix }
    });
    if !bypass_cors_preflight {
        return Err(at.field("bypass_cors_preflight").value("must be true"));
    }
    let mut named: Vec<(String, JwtProvider)> = providers.into_iter().collect();
    let number = |name: &str| {
        name.rsplit('-')
            .next()
            .and_then(|it| it.parse::<u32>().ok())
    };
    named.sort_by(|(left, _), (right, _)| (number(left), left).cmp(&(number(right), right)));
    let names: Vec<String> = named.iter().map(|(name, _)| name.clone()).collect();
    check_requirement(rules, &names, at)?;
    let of = named.into_iter().map(|(_, provider)| provider);
    Ok(RequestAuthentication {
        rules: at.list("providers", of, from_provider)?,
    })
}

/// Only what is asked of every request, and what [`requirement`] asks, can be done.
fn check_requirement(
    rules: Vec<RequirementRule>,
    names: &[String],
    at: &At<'_>,
) -> Result<(), InvalidResource> {
    let at = at.field("rules");
    let mut rules = rules.into_iter();
    let (Some(rule), None) = (rules.next(), rules.next()) else {
        return Err(at.value("there must be one rule, which is for all requests"));
    };
    let RequirementRule {
        r#match,
        requirement_type,
    } = rule;
    let everything = RouteMatch {
        path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
        ..RouteMatch::default()
    };
    if r#match != Some(everything) {
        return Err(at.value("there must be one rule, which is for all requests"));
    }
    match requirement_type {
        Some(RequirementType::Requires(requires)) if requires == requirement(names) => Ok(()),
        _ => Err(at.value("requests must need a token of any of the providers, or none")),
    }
}

fn from_provider(proto: JwtProvider, at: &At<'_>) -> Result<JwtRule, InvalidResource> {
    open!(at, proto => JwtProvider {
        keep {
            issuer, audiences, forward, from_headers, from_params, from_cookies, forward_payload_header,
            payload_in_metadata, normalize_payload_in_metadata, clock_skew_seconds, claim_to_headers,
            jwks_source_specifier,
        }
        refuse {
            subjects, require_expiration, max_lifetime, pad_forward_payload_header, header_in_metadata,
            failed_status_in_metadata,
        }
        // The tokens that are remembered, and whether routes are chosen again, which they are once everything is known.
        ignore { jwt_cache_config, clear_route_cache }
    });
    if payload_in_metadata != PAYLOAD {
        return Err(at.field("payload_in_metadata").unsupported());
    }
    let words = normalize_payload_in_metadata.map(|it| it.space_delimited_claims);
    if words.is_some_and(|words| words != WORDS) {
        return Err(at.field("normalize_payload_in_metadata").unsupported());
    }
    if ![0, CLOCK_SKEW].contains(&clock_skew_seconds) {
        return Err(at.field("clock_skew_seconds").unsupported());
    }
    let jwks = match jwks_source_specifier {
        Some(JwksSourceSpecifier::LocalJwks(keys)) => {
            values::from_inline(keys, &at.field("local_jwks"))?
        }
        // Our control plane fetches keys for its proxies.
        Some(JwksSourceSpecifier::RemoteJwks(_)) => {
            return Err(at.field("remote_jwks").unsupported());
        }
        None => return Err(at.field("local_jwks").missing()),
    };
    let headers = from_headers
        .into_iter()
        .map(|JwtHeader { name, value_prefix }| TokenLocation::Header {
            name: name.to_ascii_lowercase().into(),
            prefix: value_prefix.into(),
        });
    let parameters = from_params
        .into_iter()
        .map(|name| TokenLocation::Parameter(name.into()));
    let cookies = from_cookies
        .into_iter()
        .map(|name| TokenLocation::Cookie(name.into()));
    Ok(JwtRule {
        issuer: issuer.into(),
        audiences: audiences.into_iter().map(Arc::from).collect(),
        jwks: jwks.into(),
        locations: headers.chain(parameters).chain(cookies).collect(),
        forward_original_token: forward,
        output_payload_to_header: Some(forward_payload_header)
            .filter(|name| !name.is_empty())
            .map(|name| name.to_ascii_lowercase().into()),
        output_claims: at.list("claim_to_headers", claim_to_headers, |claim, at| {
            open!(at, claim => JwtClaimToHeader {
                keep { header_name, claim_name }
                refuse { claim_path }
                ignore {}
            });
            Ok(ClaimToHeader {
                header: header_name.to_ascii_lowercase().into(),
                claim: claim_name.into(),
            })
        })?,
        origin: None,
    })
}
