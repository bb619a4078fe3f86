//! Signature algorithms (RFC 7518, RFC 8037), each for keys of one type only.

use aws_lc_rs::signature::{self, EcdsaVerificationAlgorithm, RsaParameters};

/// An algorithm that tokens may be signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

const NAMES: [(&str, Algorithm); 10] = [
    ("RS256", Algorithm::Rs256),
    ("RS384", Algorithm::Rs384),
    ("RS512", Algorithm::Rs512),
    ("PS256", Algorithm::Ps256),
    ("PS384", Algorithm::Ps384),
    ("PS512", Algorithm::Ps512),
    ("ES256", Algorithm::Es256),
    ("ES384", Algorithm::Es384),
    ("ES512", Algorithm::Es512),
    ("EdDSA", Algorithm::EdDsa),
];

// === impl Algorithm ===

impl Algorithm {
    /// The algorithm of a name in a token's header or in a key; none for what is not accepted.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let mut names = NAMES.iter();
        let found = names.find(|(known, _)| *known == name);
        found.map(|(_, algorithm)| *algorithm)
    }

    /// Those of keys of RSA.
    pub(crate) fn of_rsa() -> impl Iterator<Item = (Self, &'static RsaParameters)> {
        [
            (Self::Rs256, &signature::RSA_PKCS1_2048_8192_SHA256),
            (Self::Rs384, &signature::RSA_PKCS1_2048_8192_SHA384),
            (Self::Rs512, &signature::RSA_PKCS1_2048_8192_SHA512),
            (Self::Ps256, &signature::RSA_PSS_2048_8192_SHA256),
            (Self::Ps384, &signature::RSA_PSS_2048_8192_SHA384),
            (Self::Ps512, &signature::RSA_PSS_2048_8192_SHA512),
        ]
        .into_iter()
    }

    /// That of keys of a curve, with the length of a coordinate.
    pub(crate) fn of_curve(
        name: &str,
    ) -> Option<(Self, &'static EcdsaVerificationAlgorithm, usize)> {
        match name {
            "P-256" => Some((Self::Es256, &signature::ECDSA_P256_SHA256_FIXED, 32)),
            "P-384" => Some((Self::Es384, &signature::ECDSA_P384_SHA384_FIXED, 48)),
            "P-521" => Some((Self::Es512, &signature::ECDSA_P521_SHA512_FIXED, 66)),
            _ => None,
        }
    }
}
