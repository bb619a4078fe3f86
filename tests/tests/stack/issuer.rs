//! An issuer of tokens.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Its name.
pub const ISSUER: &str = "https://issuer.example";

/// An issuer of tokens, with a key of its own.
pub struct Issuer(EcdsaKeyPair);

impl Issuer {
    pub fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    /// Its public key.
    pub fn jwk(&self) -> Value {
        let point = self.0.public_key().as_ref();
        let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
        json!({"kty": "EC", "kid": "k", "crv": "P-256", "x": x, "y": y})
    }

    /// Its keys.
    pub fn jwks(&self) -> String {
        json!({"keys": [self.jwk()]}).to_string()
    }

    /// A token of `alice` with these claims beside or in place of the usual ones.
    pub fn token(&self, claims: Value) -> String {
        self.token_with(json!({"alg": "ES256", "kid": "k"}), claims)
    }

    /// The same with another header.
    pub fn token_with(&self, header: Value, claims: Value) -> String {
        let mut all = json!({"iss": ISSUER, "sub": "alice"});
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        let parts = [header, all].map(|part| encode(part.to_string().as_bytes()));
        let message = parts.join(".");
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes());
        [message, encode(signature.unwrap().as_ref())].join(".")
    }
}

/// Base64url without padding.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
