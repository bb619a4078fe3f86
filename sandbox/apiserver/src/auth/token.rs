//! Service account tokens: what they say, how they are signed, and when they are no longer good.
//!
//! A token is a JSON web token with the claims that Kubernetes puts into its own, so that programs which look into theirs
//! (for its audience or expiry) find what they expect. It is signed with a key that only this sandbox has (HS256):
//! nobody but the API server checks it, by itself or through a `TokenReview`.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Who issues tokens, and the audience of those that are meant for the API server itself.
pub const API_AUDIENCE: &str = "https://kubernetes.default.svc.cluster.local";

/// The fixed first part: `{"alg":"HS256","typ":"JWT"}`.
const HEADER: &[u8] = br#"{"alg":"HS256","typ":"JWT"}"#;

/// The key that tokens are signed with.
pub struct SigningKey(hmac::Key);

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The audiences it is meant for.
    pub aud: Vec<String>,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    pub iat: i64,
    pub nbf: i64,
    pub iss: String,
    /// A number of its own.
    pub jti: String,
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub sub: String,
    #[serde(rename = "kubernetes.io")]
    pub kubernetes: Bound,
}

/// The objects that a token is bound to: it ends with any of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    pub namespace: String,
    pub serviceaccount: Named,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Named>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Named>,
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub name: String,
    pub uid: String,
}

/// Why a token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is malformed")]
    Malformed,
    #[error("the token was not issued by this sandbox")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    Early,
}

// === impl SigningKey ===

impl SigningKey {
    /// A key of the caller's random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
    }

    /// The token that says this.
    pub fn sign(&self, claims: &Claims) -> String {
        // Claims are strings and numbers, which always serialize.
        let claims = serde_json::to_vec(claims).unwrap_or_default();
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(HEADER),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// What a token says, if it is ours and in its time.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let decode = |text: &str| {
            URL_SAFE_NO_PAD
                .decode(text)
                .map_err(|_| TokenError::Malformed)
        };
        hmac::verify(&self.0, signed.as_bytes(), &decode(signature)?)
            .map_err(|_| TokenError::Signature)?;
        // The signature covers the header, so that another algorithm cannot be claimed; this is only for clarity.
        if decode(header)? != HEADER {
            return Err(TokenError::Malformed);
        }
        let claims: Claims =
            serde_json::from_slice(&decode(claims)?).map_err(|_| TokenError::Malformed)?;
        match now.as_second() {
            second if second >= claims.exp => Err(TokenError::Expired),
            second if second < claims.nbf => Err(TokenError::Early),
            _ => Ok(claims),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            aud: vec!["istio-ca".into()],
            exp: 1000,
            iat: 100,
            nbf: 100,
            iss: API_AUDIENCE.into(),
            jti: "1".into(),
            sub: "system:serviceaccount:n:a".into(),
            kubernetes: Bound {
                namespace: "n".into(),
                serviceaccount: Named {
                    name: "a".into(),
                    uid: "u".into(),
                },
                pod: None,
                secret: None,
            },
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_token_says_what_was_signed_in_its_time() {
        let key = SigningKey::new([7; 32]);
        let token = key.sign(&claims());
        assert_eq!(key.verify(&token, at(500)), Ok(claims()));
        assert_eq!(key.verify(&token, at(1000)), Err(TokenError::Expired));
        assert_eq!(key.verify(&token, at(99)), Err(TokenError::Early));
    }

    #[test]
    fn a_changed_or_foreign_token_is_refused() {
        let key = SigningKey::new([7; 32]);
        let token = key.sign(&claims());
        let mut parts: Vec<&str> = token.split('.').collect();
        let mut other = claims();
        other.sub = "system:serviceaccount:n:admin".into();
        let forged = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&other).unwrap());
        parts[1] = &forged;
        let cases = [
            (parts.join("."), TokenError::Signature),
            (
                SigningKey::new([8; 32]).sign(&claims()),
                TokenError::Signature,
            ),
            ("a.b".into(), TokenError::Malformed),
            (String::new(), TokenError::Malformed),
        ];
        for (token, error) in cases {
            assert_eq!(key.verify(&token, at(500)), Err(error), "{token}");
        }
    }
}
