//! The text of a token, taken apart. Nothing of it counts before its signature is checked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mesh_ir::evaluate::TokenError;
use serde_json::Value;

use crate::algorithm::Algorithm;

/// Longest text that is looked at.
const LONGEST: usize = 32 << 10;
/// Seconds by which clocks may differ.
const CLOCK_SKEW: u64 = 60;

/// A token before its signature is checked.
#[derive(Debug)]
pub(crate) struct UnverifiedToken<'t> {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
    pub(crate) claims: Value,
    /// What is signed.
    pub(crate) message: &'t str,
    pub(crate) signature: Vec<u8>,
    pub(crate) times: Times,
}

/// When a token is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    not_before: u64,
    expires: Option<u64>,
}

// === impl UnverifiedToken ===

impl<'t> UnverifiedToken<'t> {
    pub(crate) fn parse(text: &'t str) -> Result<Self, TokenError> {
        if text.len() > LONGEST {
            return Err(TokenError::Malformed);
        }
        let mut parts = text.split('.');
        let (Some(head), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Malformed);
        };
        let (header, claims) = (object(head)?, object(payload)?);
        let algorithm = match header.get("alg") {
            Some(Value::String(name)) => Algorithm::named(name).ok_or(TokenError::Algorithm)?,
            _ => return Err(TokenError::Malformed),
        };
        // What must be understood (RFC 7515, 4.1.11) and is not.
        if header.get("crit").is_some() {
            return Err(TokenError::Malformed);
        }
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()).filter(|id| !id.is_empty()),
            Some(_) => return Err(TokenError::Malformed),
        };
        Ok(Self {
            algorithm,
            key_id,
            times: Times::of(&claims)?,
            claims,
            message: text
                .get(..head.len() + 1 + payload.len())
                .ok_or(TokenError::Malformed)?,
            signature: decode(signature)?,
        })
    }

    /// The claim `iss`; empty without one.
    pub(crate) fn issuer(&self) -> Result<&str, TokenError> {
        match self.claims.get("iss") {
            None => Ok(""),
            Some(Value::String(issuer)) => Ok(issuer),
            Some(_) => Err(TokenError::Malformed),
        }
    }

    /// Whether the token is for one of these audiences; for anybody if there are none.
    pub(crate) fn is_for(&self, audiences: &[impl AsRef<str>]) -> bool {
        let wanted = |audience: &str| {
            let audience = bare(audience);
            audiences
                .iter()
                .any(|known| bare(known.as_ref()) == audience)
        };
        let is_one = match self.claims.get("aud") {
            Some(Value::String(one)) => wanted(one),
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).any(wanted),
            _ => false,
        };
        audiences.is_empty() || is_one
    }
}

// === impl Times ===

impl Times {
    fn of(claims: &Value) -> Result<Self, TokenError> {
        Ok(Self {
            not_before: date(claims, "nbf")?.unwrap_or(0),
            expires: date(claims, "exp")?,
        })
    }

    /// Whether the token is valid now.
    pub(crate) fn check(self, now: u64) -> Result<(), TokenError> {
        let Self {
            not_before,
            expires,
        } = self;
        if not_before > now.saturating_add(CLOCK_SKEW) {
            return Err(TokenError::NotYetValid);
        }
        if expires.is_some_and(|expires| now > expires.saturating_add(CLOCK_SKEW)) {
            return Err(TokenError::Expired);
        }
        Ok(())
    }
}

/// A number of seconds; parts of a second do not count.
fn date(claims: &Value, name: &str) -> Result<Option<u64>, TokenError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let whole = value.as_u64();
    let parts = || value.as_f64().filter(|seconds| *seconds >= 0.0);
    let seconds = whole.or_else(|| parts().map(|seconds| seconds as u64));
    seconds.map(Some).ok_or(TokenError::Malformed)
}

/// An audience without what Envoy leaves out: the scheme, and a slash at the end.
fn bare(audience: &str) -> &str {
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| audience.strip_prefix(scheme))
        .unwrap_or(audience);
    rest.strip_suffix('/').unwrap_or(rest)
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::Malformed)
}

fn object(part: &str) -> Result<Value, TokenError> {
    let value: Value = serde_json::from_slice(&decode(part)?).map_err(|_| TokenError::Malformed)?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(TokenError::Malformed)
    }
}
