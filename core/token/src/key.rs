//! JSON Web Key Sets (RFC 7517), parsed once.

use std::fmt;

use aws_lc_rs::signature::{ED25519, ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::algorithm::Algorithm;

/// Keys that signatures are checked with. What is no public key for signatures, or none that can be read, is left out.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Box<[Key]>,
}

#[derive(Clone)]
struct Key {
    id: Option<Box<str>>,
    /// The same key, for each algorithm that it may be used with.
    algorithms: Vec<(Algorithm, ParsedPublicKey)>,
}

/// What came of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signature {
    Valid,
    Wrong,
    /// No key has the identifier and may be used with the algorithm.
    NoKey,
}

// === impl KeySet ===

impl KeySet {
    /// The keys of a set, or a single key.
    pub fn parse(text: &str) -> Self {
        let Ok(value) = serde_json::from_str::<Value>(text) else {
            return Self::default();
        };
        let keys = match value.get("keys") {
            Some(Value::Array(keys)) => keys.as_slice(),
            Some(_) => &[],
            None => std::slice::from_ref(&value),
        };
        Self {
            keys: keys.iter().filter_map(Key::parse).collect(),
        }
    }

    /// Whether there is no usable key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(crate) fn verify(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Signature {
        let mut outcome = Signature::NoKey;
        for key in &self.keys {
            if let (Some(wanted), Some(known)) = (id, key.id.as_deref())
                && wanted != known
            {
                continue;
            }
            let mut usable = key.algorithms.iter();
            let Some((_, public)) = usable.find(|(known, _)| *known == algorithm) else {
                continue;
            };
            if public.verify_sig(message, signature).is_ok() {
                return Signature::Valid;
            }
            outcome = Signature::Wrong;
        }
        outcome
    }
}

// === impl Key ===

impl Key {
    fn parse(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        if let Some(operations) = value.get("key_ops") {
            let mut operations = operations.as_array()?.iter();
            operations.find(|operation| operation.as_str() == Some("verify"))?;
        }
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let mut algorithms: Vec<(Algorithm, ParsedPublicKey)> = match text("kty")? {
            "RSA" => {
                let unsigned = |name| Some(without_zeros(bytes(name)?));
                let components = RsaPublicKeyComponents {
                    n: unsigned("n")?,
                    e: unsigned("e")?,
                };
                Algorithm::of_rsa()
                    .filter_map(|(algorithm, parameters)| {
                        let key = components.to_parsed_public_key(parameters).ok()?;
                        Some((algorithm, key))
                    })
                    .collect()
            }
            "EC" => {
                let (algorithm, verification, length) = Algorithm::of_curve(text("crv")?)?;
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() != length || y.len() != length {
                    return None;
                }
                // A point that is not compressed (SEC 1).
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                vec![(algorithm, ParsedPublicKey::new(verification, point).ok()?)]
            }
            "OKP" if text("crv")? == "Ed25519" => {
                vec![(
                    Algorithm::EdDsa,
                    ParsedPublicKey::new(&ED25519, bytes("x")?).ok()?,
                )]
            }
            // Secrets above all: who knows a public key could sign with it.
            _ => return None,
        };
        if let Some(name) = text("alg") {
            let only = Algorithm::named(name)?;
            algorithms.retain(|(algorithm, _)| *algorithm == only);
        }
        (!algorithms.is_empty()).then(|| Self {
            id: text("kid").filter(|id| !id.is_empty()).map(Into::into),
            algorithms,
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, algorithms } = self;
        let names: Vec<Algorithm> = algorithms.iter().map(|(algorithm, _)| *algorithm).collect();
        f.debug_struct("Key")
            .field("id", id)
            .field("algorithms", &names)
            .finish()
    }
}

fn without_zeros(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}
