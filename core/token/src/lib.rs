//! JSON Web Tokens (RFC 7519): which of a request's tokens count, by the rules of a `RequestAuthentication`.
//!
//! ```text
//! JSON Web Key Set --KeySet--> keys by the algorithms that they may be used with
//! request --locations--> texts --parse--> issuer, times, audience, signature --> VerifiedToken | TokenError
//! ```
//!
//! What a token says about how it is to be checked counts for nothing but to pick one of the configured keys: `none`, keys in the header,
//! and secrets (`HS256`) are never accepted. The current time is handed in.

mod algorithm;
mod cache;
mod key;
mod locations;
mod token;
mod verifier;

pub use cache::TokenCache;
pub use key::KeySet;
pub use verifier::{CheckedTokens, TokenVerifier};

#[cfg(test)]
mod tests;
