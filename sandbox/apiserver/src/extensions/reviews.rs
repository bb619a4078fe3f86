//! Tokens, and questions about users.

use futures::FutureExt;
use futures::future::BoxFuture;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;

use crate::auth::{self, GrantError};
use crate::authorization;
use crate::call::{Call, Extension};
use crate::response::{Answer, json};
use crate::status::{Cause, Status};

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

pub const ROWS: &[Extension] = &[
    Extension {
        group: "",
        resource: "serviceaccounts",
        subresource: "token",
        methods: &["POST"],
        handle: token,
    },
    review(AUTHENTICATION, "tokenreviews"),
    review(AUTHENTICATION, "selfsubjectreviews"),
    review(AUTHORIZATION, "selfsubjectaccessreviews"),
    review(AUTHORIZATION, "subjectaccessreviews"),
    review(AUTHORIZATION, "localsubjectaccessreviews"),
    review(AUTHORIZATION, "selfsubjectrulesreviews"),
];

const fn review(group: &'static str, resource: &'static str) -> Extension {
    Extension {
        group,
        resource,
        subresource: "",
        methods: &["POST"],
        handle: answer_review,
    }
}

fn token(call: Call) -> BoxFuture<'static, Answer> {
    async move {
        let request = call.optional_object()?;
        let account = (call.path.namespace(), call.path.name());
        let id: u128 = rand::random();
        let granted = auth::grant(
            &call.api.authenticator,
            &*call.api,
            account,
            request,
            format!("{id:032x}"),
            Timestamp::now(),
        );
        match granted {
            Ok(answer) => Ok(json(StatusCode::CREATED, &answer)),
            Err(GrantError::NoAccount(name)) => {
                Err(Status::not_found("", "serviceaccounts", &name))
            }
            Err(GrantError::Conflict(why)) => {
                Err(Status::conflict("", "serviceaccounts", account.1, &why))
            }
            Err(GrantError::Invalid { field, message }) => {
                let cause = Cause {
                    reason: "FieldValueInvalid",
                    message,
                    field: field.to_owned(),
                };
                Err(Status::invalid(
                    AUTHENTICATION,
                    "TokenRequest",
                    account.1,
                    vec![cause],
                ))
            }
        }
    }
    .boxed()
}

fn answer_review(call: Call) -> BoxFuture<'static, Answer> {
    async move {
        let asked = call.optional_object()?;
        let answer: Value = match call.path.resource.as_str() {
            "tokenreviews" => {
                auth::token_review(&call.api.authenticator, &*call.api, asked, Timestamp::now())
            }
            "selfsubjectreviews" => auth::self_subject_review(&call.user, asked),
            "selfsubjectrulesreviews" => {
                let status =
                    authorization::rules_review(&call.api.store.lock(), &call.user, &asked);
                answered(asked, "SelfSubjectRulesReview", status)
            }
            "subjectaccessreviews" => access(&call, "SubjectAccessReview", asked)?,
            "localsubjectaccessreviews" => access(&call, "LocalSubjectAccessReview", asked)?,
            _ => access(&call, "SelfSubjectAccessReview", asked)?,
        };
        Ok(json(StatusCode::CREATED, &answer))
    }
    .boxed()
}

fn access(call: &Call, kind: &str, asked: Value) -> Result<Value, Status> {
    let status = authorization::access_review(&call.api.store.lock(), kind, &call.user, &asked)?;
    Ok(answered(asked, kind, status))
}

fn answered(asked: Value, kind: &str, status: Value) -> Value {
    auth::answered(asked, "authorization.k8s.io/v1", kind, status)
}
