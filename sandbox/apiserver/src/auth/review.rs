//! Reviews: questions about users, asked by posting an object and answered in its status. Nothing is stored.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Authenticator, Lookup, User};

/// `TokenReview`: whose token is this, and is it good?
pub fn token_review(
    authenticator: &Authenticator,
    lookup: &dyn Lookup,
    review: Value,
    now: Timestamp,
) -> Value {
    let token = review["spec"]["token"].as_str().unwrap_or_default();
    let audiences: Vec<String> = review["spec"]["audiences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|audience| audience.as_str().map(str::to_owned))
        .collect();
    let status = match authenticator.user_of_token(token, &audiences, lookup, now) {
        Ok((user, audiences)) => {
            json!({"authenticated": true, "user": user.describe(), "audiences": audiences})
        }
        Err(error) => json!({"authenticated": false, "user": {}, "error": error.to_string()}),
    };
    answered(review, "authentication.k8s.io/v1", "TokenReview", status)
}

/// `SelfSubjectReview`: who am I?
pub fn self_subject_review(user: &User, review: Value) -> Value {
    let status = json!({"userInfo": user.describe()});
    answered(
        review,
        "authentication.k8s.io/v1",
        "SelfSubjectReview",
        status,
    )
}

/// A review with its answer.
pub fn answered(mut review: Value, version: &str, kind: &str, status: Value) -> Value {
    if !review.is_object() {
        review = json!({});
    }
    review["apiVersion"] = json!(version);
    review["kind"] = json!(kind);
    if review["metadata"].is_null() {
        review["metadata"] = json!({});
    }
    review["status"] = status;
    review
}
