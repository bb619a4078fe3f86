//! Tokens that requests carry.

use std::sync::Arc;

use crate::ConfigRef;

/// All `RequestAuthentication`s that select a workload, merged.
///
/// A request without a token passes; one with a token that no rule accepts is answered with 401.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RequestAuthentication {
    /// The rules.
    pub rules: Vec<JwtRule>,
}

/// Tokens of one issuer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JwtRule {
    /// The claim `iss` must be this.
    pub issuer: Arc<str>,
    /// The claim `aud` must name one of these; empty accepts any.
    pub audiences: Vec<Arc<str>>,
    /// Keys as a JSON Web Key Set (RFC 7517). Without a usable key every token is wrong.
    pub jwks: Arc<str>,
    /// Where tokens are looked for.
    pub locations: Vec<TokenLocation>,
    /// Whether the token goes on to the upstream.
    pub forward_original_token: bool,
    /// Header that gets the payload in base64url; what the client sent in it is always removed.
    pub output_payload_to_header: Option<Arc<str>>,
    /// Headers that get claims; what the client sent in them is always removed.
    pub output_claims: Vec<ClaimToHeader>,
    /// The object.
    pub origin: Option<ConfigRef>,
}

/// Where a token is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TokenLocation {
    /// A header, behind a prefix.
    Header {
        /// Lower-case name.
        name: Arc<str>,
        /// Prefix, `Bearer ` in most cases; may be empty.
        prefix: Arc<str>,
    },
    /// A query parameter.
    Parameter(Arc<str>),
    /// A cookie.
    Cookie(Arc<str>),
}

/// A claim that is copied to a header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimToHeader {
    /// Lower-case name.
    pub header: Arc<str>,
    /// Name of the claim; nested claims are joined with dots.
    pub claim: Arc<str>,
}
