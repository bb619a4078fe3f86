//! The rules of a `RequestAuthentication`, compiled, and what they make of a request's tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mesh_ir::evaluate::{TokenError, Tokens, VerifiedToken};
use mesh_ir::matching::{HeadEdits, RequestView};
use mesh_ir::policy::{ClaimToHeader, JwtRule, RequestAuthentication, TokenLocation};
use serde_json::Value;

use crate::cache::{Key, Known, TokenCache};
use crate::key::{KeySet, Signature};
use crate::locations;
use crate::token::UnverifiedToken;

/// Most tokens of a request that are looked at; with more it is refused.
const MOST: usize = 16;

/// Checks the tokens of requests.
#[derive(Debug)]
pub struct TokenVerifier {
    /// Tells verifiers apart in a cache.
    id: u64,
    rules: Box<[Rule]>,
    /// All places where a rule looks for tokens.
    locations: Box<[TokenLocation]>,
    /// Headers that only the proxy may write.
    outputs: Box<[Arc<str>]>,
}

#[derive(Debug)]
struct Rule {
    issuer: Arc<str>,
    audiences: Vec<Arc<str>>,
    keys: KeySet,
    /// Positions in the verifier's list.
    locations: Vec<usize>,
    forwards: bool,
    output_payload: Option<Arc<str>>,
    output_claims: Vec<ClaimToHeader>,
}

/// What came of a request's tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckedTokens {
    verified: Vec<Arc<VerifiedToken>>,
    error: Option<TokenError>,
    /// What becomes of the request's head.
    pub edits: HeadEdits,
}

// === impl CheckedTokens ===

impl CheckedTokens {
    /// As policies see them: one that is wrong spoils all others.
    pub fn tokens(&self) -> Tokens<'_> {
        match self.error {
            Some(error) => Tokens::Invalid(error),
            None if self.verified.is_empty() => Tokens::None,
            None => Tokens::Verified(&self.verified),
        }
    }
}

// === impl TokenVerifier ===

impl TokenVerifier {
    /// Compiles rules.
    pub fn new(authentication: &RequestAuthentication) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let RequestAuthentication { rules } = authentication;
        let mut locations: Vec<TokenLocation> = Vec::new();
        for location in rules.iter().flat_map(|rule| &rule.locations) {
            if !locations.contains(location) {
                locations.push(location.clone());
            }
        }
        let outputs = rules.iter().flat_map(|rule| {
            let claims = rule.output_claims.iter().map(|output| &output.header);
            rule.output_payload_to_header.iter().chain(claims).cloned()
        });
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            outputs: outputs.collect(),
            rules: rules
                .iter()
                .map(|rule| Rule::new(rule, &locations))
                .collect(),
            locations: locations.into(),
        }
    }

    /// Checks all tokens of a request at a time, in seconds since 1970.
    pub fn check<R: RequestView>(
        &self,
        request: &R,
        now: u64,
        cache: &mut TokenCache,
    ) -> CheckedTokens {
        let mut checked = CheckedTokens::default();
        for output in &self.outputs {
            checked.edits.remove(output);
        }
        let mut count = 0;
        for (position, location) in self.locations.iter().enumerate() {
            let found = locations::tokens(location, request);
            for text in &found {
                count += 1;
                let outcome = if count > MOST {
                    Err(TokenError::Malformed)
                } else {
                    self.verify(text, position, now, cache)
                };
                match outcome {
                    Ok(Known { rule, token, .. }) => {
                        if let Some(rule) = self.rules.get(rule) {
                            rule.write_outputs(&token, text, &mut checked.edits);
                            if !rule.forwards {
                                locations::take_out(location, request, &mut checked.edits);
                            }
                        }
                        checked.verified.push(token);
                    }
                    Err(error) => {
                        checked.error = checked.error.or(Some(error));
                        // It goes nowhere, not even into a log.
                        locations::take_out(location, request, &mut checked.edits);
                    }
                }
            }
        }
        checked
    }

    fn verify(
        &self,
        text: &str,
        location: usize,
        now: u64,
        cache: &mut TokenCache,
    ) -> Result<Known, TokenError> {
        let key = Key {
            verifier: self.id,
            location,
            text: text.into(),
        };
        if let Some(known) = cache.get(&key) {
            known.times.check(now)?;
            return Ok(known);
        }
        let token = UnverifiedToken::parse(text)?;
        let rule = self.rule(&token, location, now)?;
        let known = Known {
            rule,
            times: token.times,
            token: Arc::new(VerifiedToken::new(token.claims)),
        };
        cache.insert(key, known.clone());
        Ok(known)
    }

    /// The rule by which a token is right.
    fn rule(
        &self,
        token: &UnverifiedToken<'_>,
        location: usize,
        now: u64,
    ) -> Result<usize, TokenError> {
        let issuer = token.issuer()?;
        let mut outcome = Err(TokenError::UnknownIssuer);
        for (position, rule) in self.rules.iter().enumerate() {
            let is_meant = rule.issuer.is_empty() || *rule.issuer == *issuer;
            if !is_meant || !rule.locations.contains(&location) {
                continue;
            }
            match rule.check(token, now) {
                Ok(()) => return Ok(position),
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }
}

// === impl Rule ===

impl Rule {
    fn new(rule: &JwtRule, all: &[TokenLocation]) -> Self {
        let JwtRule {
            issuer,
            audiences,
            jwks,
            locations,
            forward_original_token,
            output_payload_to_header,
            output_claims,
            origin: _,
        } = rule;
        let positions = all.iter().enumerate();
        let own = positions.filter(|(_, location)| locations.contains(location));
        Self {
            issuer: issuer.clone(),
            audiences: audiences.clone(),
            keys: KeySet::parse(jwks),
            locations: own.map(|(position, _)| position).collect(),
            forwards: *forward_original_token,
            output_payload: output_payload_to_header.clone(),
            output_claims: output_claims.clone(),
        }
    }

    /// In the order of Envoy, which decides what the client is told.
    fn check(&self, token: &UnverifiedToken<'_>, now: u64) -> Result<(), TokenError> {
        token.times.check(now)?;
        if !token.is_for(&self.audiences) {
            return Err(TokenError::Audience);
        }
        let UnverifiedToken {
            algorithm,
            key_id,
            message,
            signature,
            ..
        } = token;
        let id = key_id.as_deref();
        match self
            .keys
            .verify(*algorithm, id, message.as_bytes(), signature)
        {
            Signature::Valid => Ok(()),
            Signature::Wrong => Err(TokenError::Signature),
            Signature::NoKey => Err(TokenError::NoKeys),
        }
    }

    fn write_outputs(&self, token: &VerifiedToken, text: &str, edits: &mut HeadEdits) {
        if let Some(name) = &self.output_payload
            && let Some(payload) = text.split('.').nth(1)
        {
            edits.set(name, payload);
        }
        for ClaimToHeader { header, claim } in &self.output_claims {
            if let Some(value) = claim_text(token.claims(), claim) {
                edits.set(header, value);
            }
        }
    }
}

/// A claim as the value of a header; none where there is no such claim, or none that a header can hold. Dots lead into nested claims.
fn claim_text(claims: &Value, name: &str) -> Option<String> {
    let found = name
        .split('.')
        .try_fold(claims, |value, part| value.get(part))?;
    let text = match found {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => found.to_string(),
        Value::Array(_) | Value::Object(_) => STANDARD.encode(found.to_string()),
        Value::Null => return None,
    };
    let is_plain = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
    text.bytes().all(is_plain).then_some(text)
}
