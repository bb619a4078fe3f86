//! `TokenRequest`: a new token for a service account, as `kubectl create token` and the node ask for one.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::token::{API_AUDIENCE, Bound, Claims, Named};
use super::{Authenticator, Lookup};

/// Kubernetes refuses shorter lives.
const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;
const USUAL: i64 = 3600;

/// Why no token is given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// The account is not there.
    #[error("serviceaccounts {0:?} not found")]
    NoAccount(String),
    /// A field of the request is wrong.
    #[error("{field}: {message}")]
    Invalid {
        field: &'static str,
        message: String,
    },
    /// The object to bind to is another one.
    #[error("{0}")]
    Conflict(String),
}

/// Answers the request for a token of `account` in `namespace`; `id` is a number that no other token has.
pub fn grant(
    authenticator: &Authenticator,
    lookup: &dyn Lookup,
    (namespace, account): (&str, &str),
    mut request: Value,
    id: String,
    now: Timestamp,
) -> Result<Value, GrantError> {
    let uid = lookup
        .uid("serviceaccounts", namespace, account)
        .ok_or_else(|| GrantError::NoAccount(account.to_owned()))?;
    let audiences = audiences(&request["spec"]["audiences"]);
    let seconds = lifetime(&request["spec"]["expirationSeconds"])?;
    let mut bound = Bound {
        namespace: namespace.to_owned(),
        serviceaccount: Named {
            name: account.to_owned(),
            uid,
        },
        pod: None,
        secret: None,
    };
    bind(&mut bound, &request["spec"]["boundObjectRef"], lookup)?;
    let issued = now.as_second();
    let claims = Claims {
        aud: audiences.clone(),
        exp: issued + seconds,
        iat: issued,
        nbf: issued,
        iss: API_AUDIENCE.to_owned(),
        jti: id,
        sub: format!("system:serviceaccount:{namespace}:{account}"),
        kubernetes: bound,
    };
    let expires = Timestamp::from_second(claims.exp).unwrap_or(Timestamp::MAX);
    let token = authenticator.key().sign(&claims);
    if !request.is_object() {
        request = json!({});
    }
    request["apiVersion"] = json!("authentication.k8s.io/v1");
    request["kind"] = json!("TokenRequest");
    request["metadata"] = json!({
        "name": account, "namespace": namespace,
        "creationTimestamp": Timestamp::from_second(issued).unwrap_or(now).to_string(),
    });
    request["spec"]["audiences"] = json!(audiences);
    request["spec"]["expirationSeconds"] = json!(seconds);
    request["status"] = json!({"token": token, "expirationTimestamp": expires.to_string()});
    Ok(request)
}

fn audiences(value: &Value) -> Vec<String> {
    let named: Vec<String> = value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|audience| audience.as_str().map(str::to_owned))
        .collect();
    if named.is_empty() {
        vec![API_AUDIENCE.to_owned()]
    } else {
        named
    }
}

fn lifetime(value: &Value) -> Result<i64, GrantError> {
    let seconds = match value {
        Value::Null => USUAL,
        other => other.as_i64().unwrap_or(0),
    };
    if (SHORTEST..=LONGEST).contains(&seconds) {
        return Ok(seconds);
    }
    Err(GrantError::Invalid {
        field: "spec.expirationSeconds",
        message: format!("Invalid value: {seconds}: may not be less than 10 minutes"),
    })
}

/// Binds the token to the object that the request names.
fn bind(bound: &mut Bound, reference: &Value, lookup: &dyn Lookup) -> Result<(), GrantError> {
    if reference.is_null() {
        return Ok(());
    }
    let text = |field: &str| reference[field].as_str().unwrap_or_default().to_owned();
    let (kind, name, uid) = (text("kind"), text("name"), text("uid"));
    let (resource, place) = match kind.as_str() {
        "Pod" => ("pods", &mut bound.pod),
        "Secret" => ("secrets", &mut bound.secret),
        _ => {
            return Err(GrantError::Invalid {
                field: "spec.boundObjectRef",
                message: format!(
                    "cannot bind token to object of type {kind}: use a Pod or a Secret"
                ),
            });
        }
    };
    let known = lookup.uid(resource, &bound.namespace, &name);
    let known = known.ok_or_else(|| GrantError::Invalid {
        field: "spec.boundObjectRef.name",
        message: format!("{resource} {name:?} not found"),
    })?;
    if !uid.is_empty() && uid != known {
        return Err(GrantError::Conflict(format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record: {known}"
        )));
    }
    *place = Some(Named { name, uid: known });
    Ok(())
}
