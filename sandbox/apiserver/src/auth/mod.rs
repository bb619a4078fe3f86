//! Who asks: the owner of the sandbox by the token of the kubeconfig, and pods by the tokens of their service accounts.
//!
//! ```text
//! Authorization: Bearer TOKEN -> Authenticator -> User | 401
//! TokenRequest  -> grant  -> TokenRequest with its status (a token)
//! TokenReview, Self...Review -> review -> the same object with its status
//! ```
//!
//! What somebody may do is the matter of `authorization`.

mod grant;
mod impersonation;
mod review;
mod token;

use std::collections::BTreeMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use jiff::Timestamp;
use serde_json::{Value, json};

pub use grant::{GrantError, grant};
pub use impersonation::user as impersonated;
pub use review::{answered, self_subject_review, token_review};
pub use token::{API_AUDIENCE, Bound, Claims, Named, SigningKey, TokenError};

/// Someone whom the API server knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    /// More about it, such as the pod that a token is bound to.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Where objects that tokens are bound to are looked up: the uid of an object, `None` when there is none.
pub trait Lookup {
    /// The uid of `namespace`'s object `name` of the (plural) resource, which belongs to the core group.
    fn uid(&self, resource: &str, namespace: &str, name: &str) -> Option<String>;
}

/// What users are recognised by.
pub struct Authenticator {
    admin: String,
    key: SigningKey,
}

/// Why a request is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("no bearer token was presented: use the sandbox's kubeconfig (`meshctl sandbox env`)")]
    Missing,
    #[error("{0}")]
    Token(#[from] TokenError),
    #[error("the token is meant for {0:?} and not for any of the audiences asked for")]
    Audience(Vec<String>),
    #[error("the token is bound to {0}, which is gone")]
    Gone(String),
}

// === impl Authenticator ===

impl Authenticator {
    /// With the token of the kubeconfig, and the key that service account tokens are signed with.
    pub fn new(admin: String, key: SigningKey) -> Self {
        Self { admin, key }
    }

    /// The user of a request, by the value of its header `authorization`.
    pub fn user(
        &self,
        authorization: Option<&str>,
        lookup: &dyn Lookup,
        now: Timestamp,
    ) -> Result<User, Denied> {
        let token = authorization
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .filter(|token| !token.is_empty())
            .ok_or(Denied::Missing)?;
        let audiences = [API_AUDIENCE.to_owned()];
        self.user_of_token(token, &audiences, lookup, now)
            .map(|(user, _)| user)
    }

    /// The user of a token, and those of the audiences that it is meant for.
    pub fn user_of_token(
        &self,
        token: &str,
        audiences: &[String],
        lookup: &dyn Lookup,
        now: Timestamp,
    ) -> Result<(User, Vec<String>), Denied> {
        let api = [API_AUDIENCE.to_owned()];
        let audiences = if audiences.is_empty() {
            &api
        } else {
            audiences
        };
        let matching = |offered: &[String]| -> Vec<String> {
            let both = audiences
                .iter()
                .filter(|audience| offered.contains(audience));
            both.cloned().collect()
        };
        if verify_slices_are_equal(token.as_bytes(), self.admin.as_bytes()).is_ok() {
            return match matching(&api) {
                none if none.is_empty() => Err(Denied::Audience(api.into())),
                audiences => Ok((admin(), audiences)),
            };
        }
        let claims = self.key.verify(token, now)?;
        let audiences = matching(&claims.aud);
        if audiences.is_empty() {
            return Err(Denied::Audience(claims.aud));
        }
        check_bound(&claims.kubernetes, lookup)?;
        Ok((account(claims), audiences))
    }

    /// The key of service account tokens.
    fn key(&self) -> &SigningKey {
        &self.key
    }
}

/// The owner of the sandbox.
fn admin() -> User {
    User {
        name: "sandbox-admin".to_owned(),
        uid: String::new(),
        groups: vec![
            crate::authorization::MASTERS.to_owned(),
            "system:authenticated".to_owned(),
        ],
        extra: BTreeMap::new(),
    }
}

fn account(claims: Claims) -> User {
    let Claims {
        sub, kubernetes, ..
    } = claims;
    User {
        name: sub,
        uid: kubernetes.serviceaccount.uid,
        groups: account_groups(&kubernetes.namespace),
        extra: kubernetes.pod.map(pod).unwrap_or_default(),
    }
}

/// The groups of a service account.
fn account_groups(namespace: &str) -> Vec<String> {
    vec![
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
        "system:authenticated".to_owned(),
    ]
}

/// What a token says of the pod that it is bound to.
fn pod(pod: Named) -> BTreeMap<String, Vec<String>> {
    let Named { name, uid } = pod;
    BTreeMap::from([
        (
            "authentication.kubernetes.io/pod-name".to_owned(),
            vec![name],
        ),
        ("authentication.kubernetes.io/pod-uid".to_owned(), vec![uid]),
    ])
}

/// A token ends with the objects it is bound to, however long it was to live.
fn check_bound(bound: &Bound, lookup: &dyn Lookup) -> Result<(), Denied> {
    let bound_to = [
        ("serviceaccounts", Some(&bound.serviceaccount)),
        ("pods", bound.pod.as_ref()),
        ("secrets", bound.secret.as_ref()),
    ];
    for (resource, named) in bound_to {
        let Some(Named { name, uid }) = named else {
            continue;
        };
        if lookup.uid(resource, &bound.namespace, name).as_ref() != Some(uid) {
            return Err(Denied::Gone(format!(
                "{resource} {name:?} of namespace {:?}",
                bound.namespace
            )));
        }
    }
    Ok(())
}

// === impl User ===

impl User {
    /// A user of this name, in no group.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            uid: String::new(),
            groups: Vec::new(),
            extra: BTreeMap::new(),
        }
    }

    /// As reviews show a user.
    pub fn describe(&self) -> Value {
        let Self {
            name,
            uid,
            groups,
            extra,
        } = self;
        let mut text = json!({"username": name, "groups": groups});
        if !uid.is_empty() {
            text["uid"] = json!(uid);
        }
        if !extra.is_empty() {
            text["extra"] = json!(extra);
        }
        text
    }
}

#[cfg(test)]
mod tests;
