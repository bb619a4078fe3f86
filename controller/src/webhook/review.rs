//! `AdmissionReview` of `admission.k8s.io/v1`, as far as webhooks of a mesh need it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

/// The version that is spoken.
const API_VERSION: &str = "admission.k8s.io/v1";

/// What the API server asks.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Number of the question, which the answer repeats.
    pub uid: String,
    /// Namespace of the object; empty for objects of the cluster.
    #[serde(default)]
    pub namespace: String,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    #[serde(default)]
    pub operation: String,
    /// The object as it is to be; null for deletions.
    #[serde(default)]
    pub object: Value,
}

/// What the webhook answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Why the request is refused, with an HTTP status; none if it is allowed.
    pub refused: Option<(u16, String)>,
    /// What the user is told beside that.
    pub warnings: Vec<String>,
    /// How the object is changed.
    pub patch: Option<json_patch::Patch>,
}

// === impl Request ===

impl Request {
    /// Reads a review.
    ///
    /// # Errors
    /// When it is none, or of another version.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Review {
            api_version: String,
            kind: String,
            request: Option<Request>,
        }
        let Review {
            api_version,
            kind,
            request,
        } = serde_json::from_slice(body)
            .map_err(|error| format!("the body is no AdmissionReview: {error}"))?;
        if (api_version.as_str(), kind.as_str()) != (API_VERSION, "AdmissionReview") {
            return Err(format!(
                "the body is a {kind} of {api_version:?}; expected an AdmissionReview of {API_VERSION}"
            ));
        }
        request.ok_or_else(|| "the AdmissionReview has no request".to_owned())
    }
}

// === impl Answer ===

impl Answer {
    /// The request is allowed as it is.
    pub fn allowed() -> Self {
        Self::default()
    }

    /// The request is refused.
    pub fn refused(code: u16, message: impl Into<String>) -> Self {
        Self {
            refused: Some((code, message.into())),
            ..Self::default()
        }
    }

    /// The review with the answer to the request of this number.
    pub fn write(&self, uid: &str) -> Value {
        let Self {
            refused,
            warnings,
            patch,
        } = self;
        let mut response = json!({ "uid": uid, "allowed": refused.is_none() });
        if let Some((code, message)) = refused {
            let reason = if *code < 500 {
                "Invalid"
            } else {
                "InternalError"
            };
            response["status"] = json!({"metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code});
        }
        if !warnings.is_empty() {
            response["warnings"] = json!(warnings);
        }
        if let Some(patch) = patch.as_ref().filter(|patch| !patch.0.is_empty()) {
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(STANDARD.encode(json!(patch).to_string()));
        }
        json!({ "apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reviews_of_the_known_version_are_read() {
        let review = json!({"apiVersion": API_VERSION, "kind": "AdmissionReview",
            "request": {"uid": "1", "operation": "DELETE", "object": null, "dryRun": true}});
        let request = Request::read(review.to_string().as_bytes()).unwrap();
        assert_eq!((request.uid.as_str(), &request.object), ("1", &Value::Null));
        for (body, expected) in [
            ("", "no AdmissionReview"),
            ("[]", "no AdmissionReview"),
            (
                r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}"#,
                "v1beta1",
            ),
            (
                r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#,
                "no request",
            ),
        ] {
            let error = Request::read(body.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_refusal_repeats_the_number_and_says_why() {
        let review = Answer::refused(422, "spec.hosts: at least one is needed").write("7");
        let response = &review["response"];
        assert_eq!(response["uid"], "7");
        assert_eq!(response["allowed"], false);
        assert_eq!(response["status"]["code"], 422);
        assert!(response.get("patch").is_none());
    }
}
