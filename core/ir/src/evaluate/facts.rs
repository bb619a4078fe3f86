//! What is known of a connection and of a request's token before anything is decided. Bytes are read and signatures checked elsewhere.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;

use crate::Transport;
use crate::policy::PeerIdentity;

/// What is known of a connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionFacts<'a> {
    /// The peer's address.
    pub source: SocketAddr,
    /// Where the peer meant to connect to.
    pub destination: SocketAddr,
    /// Name that the peer asked for in TLS.
    pub server_name: Option<&'a str>,
    /// What the connection begins with.
    pub transport: Transport,
    /// Protocols that the peer offers in TLS, or `http/1.1` or `h2c` where its first bytes show that; by the peer's preference.
    pub application_protocols: &'a [&'a str],
    /// Who the peer is by its verified certificate; none without one.
    pub peer: Option<&'a PeerIdentity>,
}

/// The tokens of a request.
#[derive(Clone, Copy, Debug, Default)]
pub enum Tokens<'a> {
    /// There is none.
    #[default]
    None,
    /// All of them are valid.
    Verified(&'a [Arc<VerifiedToken>]),
    /// One of them is not.
    Invalid(TokenError),
}

/// Why a token is wrong. Whatever it is, the answer is 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenError {
    /// It is no JSON Web Token.
    Malformed,
    /// Its algorithm is none that is accepted.
    Algorithm,
    /// No rule knows its issuer.
    UnknownIssuer,
    /// No key of its issuer verifies its signature.
    Signature,
    /// Its `exp` has passed.
    Expired,
    /// Its `nbf` has not come yet.
    NotYetValid,
    /// It is for others.
    Audience,
    /// There are no keys to verify it with.
    NoKeys,
}

/// A token whose signature, times and audience were checked.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedToken {
    claims: Value,
    /// `ISSUER/SUBJECT`.
    principal: Option<Box<str>>,
}

// === impl ConnectionFacts ===

impl ConnectionFacts<'_> {
    /// A plaintext connection of which nothing but the addresses is known.
    pub fn plaintext(source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            source,
            destination,
            server_name: None,
            transport: Transport::Plaintext,
            application_protocols: &[],
            peer: None,
        }
    }
}

// === impl Tokens ===

impl<'a> Tokens<'a> {
    /// The valid tokens; none if any is not.
    pub fn verified(&self) -> &'a [Arc<VerifiedToken>] {
        match self {
            Self::Verified(tokens) => tokens,
            Self::None | Self::Invalid(_) => &[],
        }
    }
}

// === impl TokenError ===

impl TokenError {
    /// What the client is told.
    pub fn message(self) -> &'static str {
        match self {
            Self::Malformed => {
                "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"
            }
            Self::Algorithm => "Jwt header [alg] is not supported",
            Self::UnknownIssuer => "Jwt issuer is not configured",
            Self::Signature => "Jwt verification fails",
            Self::Expired => "Jwt is expired",
            Self::NotYetValid => "Jwt not yet valid",
            Self::Audience => "Audiences in Jwt are not allowed",
            Self::NoKeys => "Jwks doesn't have key to match kid or alg from Jwt",
        }
    }
}

// === impl VerifiedToken ===

impl VerifiedToken {
    /// A token with these claims.
    pub fn new(claims: Value) -> Self {
        let text = |name| claims.get(name).and_then(Value::as_str);
        let principal = match (text("iss"), text("sub")) {
            (Some(issuer), Some(subject)) => Some([issuer, "/", subject].concat().into()),
            _ => None,
        };
        Self { claims, principal }
    }

    /// All claims.
    pub fn claims(&self) -> &Value {
        &self.claims
    }

    /// `ISSUER/SUBJECT`; none if either claim is missing.
    pub fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// Whether a claim has a value that passes: the claim itself, one of its items if it is a list, or one of its words if it is `scope`
    /// or `permission`, which are lists separated by spaces (RFC 8693). Only texts are compared.
    pub fn any_claim(
        &self,
        path: &[impl AsRef<str>],
        mut passes: impl FnMut(&str) -> bool,
    ) -> bool {
        let found = path
            .iter()
            .try_fold(&self.claims, |value, name| value.get(name.as_ref()));
        let spaced = matches!(path, [name] if matches!(name.as_ref(), "scope" | "permission"));
        match found {
            Some(Value::String(text)) => {
                passes(text) || (spaced && text.split(' ').any(&mut passes))
            }
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).any(passes),
            _ => false,
        }
    }
}
