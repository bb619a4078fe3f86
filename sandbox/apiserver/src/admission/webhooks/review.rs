//! `AdmissionReview` of `admission.k8s.io/v1`: the question, and what the answer says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::CallError;
use super::matching::Target;
use crate::admission::Request;
use crate::metadata;
use crate::status::Status;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// What a webhook says.
#[derive(Debug, Default)]
pub struct Answer {
    pub refusal: Option<Refusal>,
    pub patch: Option<Value>,
    pub warnings: Vec<String>,
}

/// Why it refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Refusal {
    code: u16,
    message: String,
    reason: String,
}

/// The question about an object.
pub fn request(request: &Request<'_>, target: &Target, object: Option<&Value>) -> Value {
    let kind = |served: &crate::kinds::Served| json!({"group": served.group, "version": served.version, "kind": served.kind.kind});
    let resource = |served: &crate::kinds::Served| json!({"group": served.group, "version": served.version, "resource": served.kind.plural});
    let encode = |object: Option<&Value>| object.map(|object| target.encode(object));
    let options = match request.operation {
        crate::admission::Operation::Create => "CreateOptions",
        crate::admission::Operation::Update => "UpdateOptions",
        crate::admission::Operation::Delete => "DeleteOptions",
    };
    let mut asked = json!({
        "uid": metadata::uid(),
        "kind": kind(target.served()), "resource": resource(target.served()),
        "requestKind": kind(request.served), "requestResource": resource(request.served),
        "operation": request.operation.name(),
        "userInfo": request.user.describe(),
        "object": encode(object), "oldObject": encode(request.old.as_deref()),
        "dryRun": request.dry_run,
        "options": {"apiVersion": "meta.k8s.io/v1", "kind": options},
    });
    for (field, text) in [
        ("name", request.name),
        ("namespace", request.namespace),
        ("subResource", request.subresource),
        ("requestSubResource", request.subresource),
    ] {
        if !text.is_empty() {
            asked[field] = json!(text);
        }
    }
    json!({"apiVersion": API_VERSION, "kind": KIND, "request": asked})
}

/// Reads the answer to the question of this number.
pub fn read(answer: &[u8], uid: &str, mutates: bool) -> Result<Answer, CallError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Review {
        api_version: String,
        kind: String,
        response: Option<Response>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Response {
        uid: String,
        allowed: bool,
        status: Option<Refusal>,
        patch: Option<String>,
        patch_type: Option<String>,
        #[serde(default)]
        warnings: Vec<String>,
    }
    let invalid = |why: String| CallError::Answer(why);
    let review: Review = serde_json::from_slice(answer)
        .map_err(|error| invalid(format!("it is no AdmissionReview: {error}")))?;
    if (review.api_version.as_str(), review.kind.as_str()) != (API_VERSION, KIND) {
        return Err(invalid(format!(
            "expected an {KIND} of {API_VERSION}, got a {} of {}",
            review.kind, review.api_version
        )));
    }
    let response = review.response;
    let response = response.ok_or_else(|| invalid("it has no response".to_owned()))?;
    if response.uid != uid {
        return Err(invalid(format!(
            "expected response.uid {uid:?}, got {:?}",
            response.uid
        )));
    }
    if !response.allowed {
        return Ok(Answer {
            refusal: Some(response.status.unwrap_or_default()),
            warnings: response.warnings,
            patch: None,
        });
    }
    let patch = match (response.patch, response.patch_type.as_deref()) {
        (None, None) => None,
        (Some(_), _) if !mutates => {
            return Err(invalid(
                "a validating webhook may not change objects".to_owned(),
            ));
        }
        (Some(patch), Some("JSONPatch")) => {
            let patch = STANDARD.decode(patch).map_err(|error| error.to_string());
            let patch = patch.and_then(|patch| {
                serde_json::from_slice(&patch).map_err(|error| error.to_string())
            });
            Some(patch.map_err(|error| invalid(format!("its patch cannot be read: {error}")))?)
        }
        (patch, kind) => {
            return Err(invalid(format!(
                "response.patch and response.patchType do not fit together: {} patch of type {kind:?}",
                if patch.is_some() { "a" } else { "no" }
            )));
        }
    };
    Ok(Answer {
        refusal: None,
        patch,
        warnings: response.warnings,
    })
}

// === impl Refusal ===

impl Refusal {
    /// What the client is told.
    pub fn status(self, webhook: &str) -> Status {
        let Self {
            code,
            message,
            reason,
        } = self;
        let denied = format!("admission webhook {webhook:?} denied the request");
        let message = match (message.as_str(), reason.as_str()) {
            ("", "") => format!("{denied} without explanation"),
            ("", reason) => format!("{denied}: {reason}"),
            (message, _) => format!("{denied}: {message}"),
        };
        Status::denied(code, &reason, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(response: Value) -> Result<Answer, String> {
        let review = json!({"apiVersion": API_VERSION, "kind": KIND, "response": response});
        read(review.to_string().as_bytes(), "1", true).map_err(|error| error.to_string())
    }

    #[test]
    fn answers_that_make_no_sense_are_errors() {
        let patch = STANDARD.encode("[]");
        for (response, expected) in [
            (json!(null), "no response"),
            (json!({"uid": "2", "allowed": true}), "response.uid"),
            (json!({"uid": "1"}), "allowed"),
            (
                json!({"uid": "1", "allowed": true, "patch": patch}),
                "patchType",
            ),
            (
                json!({"uid": "1", "allowed": true, "patch": "?", "patchType": "JSONPatch"}),
                "cannot be read",
            ),
        ] {
            let error = answer(response).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let good = answer(
            json!({"uid": "1", "allowed": true, "patch": patch, "patchType": "JSONPatch", "warnings": ["w"]}),
        );
        let good = good.unwrap();
        assert_eq!(
            (good.patch, good.warnings),
            (Some(json!([])), vec!["w".to_owned()])
        );
    }

    #[test]
    fn a_refusal_names_the_webhook_and_is_never_a_success() {
        let told = |status: Value| {
            let answer = answer(json!({"uid": "1", "allowed": false, "status": status})).unwrap();
            let status = answer.refusal.unwrap().status("a.b.c");
            (status.code, status.reason.into_owned(), status.message)
        };
        let denied = "admission webhook \"a.b.c\" denied the request";
        assert_eq!(
            told(json!({"code": 422, "reason": "Invalid", "message": "no"})),
            (422, "Invalid".to_owned(), format!("{denied}: no"))
        );
        assert_eq!(
            told(json!({"code": 200})),
            (400, String::new(), format!("{denied} without explanation"))
        );
    }
}
