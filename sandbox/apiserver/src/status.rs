//! Failures as Kubernetes tells them: a `Status` object whose code is also that of the HTTP response.
//!
//! Clients decide by `reason` and `details`, people read `message`; each constructor makes one of the known forms.

use std::borrow::Cow;

use http::StatusCode;
use serde_json::{Value, json};

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub code: u16,
    pub reason: Cow<'static, str>,
    pub message: String,
    pub details: Option<Box<Details>>,
}

/// What a failure is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    pub name: String,
    pub group: String,
    pub kind: String,
    pub uid: String,
    pub causes: Vec<Cause>,
    pub retry_after: Option<u32>,
}

/// One of several reasons for a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    pub reason: &'static str,
    pub message: String,
    pub field: String,
}

// === impl Cause ===

impl From<mesh_schema::Cause> for Cause {
    fn from(cause: mesh_schema::Cause) -> Self {
        Self {
            reason: cause.reason.name(),
            message: cause.message,
            field: cause.path.to_string(),
        }
    }
}

impl Cause {
    /// A value that does not do.
    pub fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Self {
        Self {
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {value}: {why}"),
            field: field.into(),
        }
    }

    /// A value of the wrong type.
    pub fn wrong_type(field: impl Into<String>, value: &Value, why: &str) -> Self {
        Self {
            reason: "FieldValueTypeInvalid",
            message: format!("Invalid value: {value}: {why}"),
            field: field.into(),
        }
    }

    /// A field that must be there.
    pub fn required(field: impl Into<String>, why: &str) -> Self {
        let message = if why.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {why}")
        };
        Self {
            reason: "FieldValueRequired",
            message,
            field: field.into(),
        }
    }

    /// A change that is not allowed.
    pub fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self {
            reason: "FieldValueForbidden",
            message: format!("Forbidden: {why}"),
            field: field.into(),
        }
    }

    /// One of two values that must differ.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self {
            reason: "FieldValueDuplicate",
            message: format!("Duplicate value: {value}"),
            field: field.into(),
        }
    }

    /// A value that is none of the possible ones.
    pub fn unsupported(field: impl Into<String>, value: &Value, known: &[String]) -> Self {
        let known: Vec<String> = known.iter().map(|value| format!("{value:?}")).collect();
        Self {
            reason: "FieldValueNotSupported",
            message: format!(
                "Unsupported value: {value}: supported values: {}",
                known.join(", ")
            ),
            field: field.into(),
        }
    }
}

// === impl Status ===

/// `deployments.apps`, as messages name a resource.
pub fn qualified(plural: &str, group: &str) -> String {
    if group.is_empty() {
        plural.to_owned()
    } else {
        format!("{plural}.{group}")
    }
}

impl Status {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code: code.as_u16(),
            reason: reason.into(),
            message: message.into(),
            details: None,
        }
    }

    fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        self.details = Some(Box::new(Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            ..Details::default()
        }));
        self
    }

    /// The object is not there.
    pub fn not_found(group: &str, plural: &str, name: &str) -> Self {
        let message = format!("{} {name:?} not found", qualified(plural, group));
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).about(group, plural, name)
    }

    /// No such path.
    pub fn no_resource() -> Self {
        let message = "the server could not find the requested resource";
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    /// The name is taken.
    pub fn already_exists(group: &str, plural: &str, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", qualified(plural, group));
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).about(group, plural, name)
    }

    /// The object is another one than the client thinks.
    pub fn conflict(group: &str, plural: &str, name: &str, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: {why}",
            qualified(plural, group)
        );
        Self::new(StatusCode::CONFLICT, "Conflict", message).about(group, plural, name)
    }

    /// The object has changed since the client read it.
    pub fn modified(group: &str, plural: &str, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(group, plural, name, why)
    }

    /// Fields that others own would change.
    pub fn apply_conflict(message: String, causes: Vec<Cause>) -> Self {
        let mut status = Self::new(StatusCode::CONFLICT, "Conflict", message);
        status.details = Some(Box::new(Details {
            causes,
            ..Details::default()
        }));
        status
    }

    /// The object breaks the rules of its kind.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        let texts: Vec<String> = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        let listed = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} {name:?} is invalid: {listed}", qualified(kind, group));
        let mut status = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        status.details = Some(Box::new(Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            causes,
            ..Details::default()
        }));
        status
    }

    /// The request as a whole breaks a rule.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// Nobody known asks.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", message)
    }

    /// It is not allowed.
    pub fn forbidden(group: &str, plural: &str, name: &str, why: &str) -> Self {
        let name_part = match name {
            "" => String::new(),
            name => format!(" {name:?}"),
        };
        let message = format!(
            "{}{name_part} is forbidden: {why}",
            qualified(plural, group)
        );
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about(group, plural, name)
    }

    /// A page is not for the user.
    pub fn forbidden_path(why: &str) -> Self {
        let message = format!("forbidden: {why}");
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message)
    }

    /// A webhook refuses, by the status in its answer. A refusal is never a success, whatever it says.
    pub fn denied(code: u16, reason: &str, message: String) -> Self {
        let code = StatusCode::from_u16(code).ok();
        let code = code.filter(|code| code.is_client_error() || code.is_server_error());
        let mut status = Self::new(code.unwrap_or(StatusCode::BAD_REQUEST), "", message);
        status.reason = reason.to_owned().into();
        status
    }

    /// It cannot be done now; the client may try again after some seconds.
    pub fn unavailable(message: impl Into<String>, seconds: u32) -> Self {
        let mut status = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailable",
            message,
        );
        status.details.get_or_insert_default().retry_after = Some(seconds);
        status
    }

    /// The path does not know the verb.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    /// The body has a form that is not understood.
    pub fn unsupported_media(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            message,
        )
    }

    /// The body is larger than any object may be.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            message,
        )
    }

    /// The asked for version is no longer known.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// The asked for version is not there yet.
    pub fn too_new(wanted: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {wanted}, current: {current}");
        let mut status = Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message);
        status.details = Some(Box::new(Details {
            retry_after: Some(1),
            causes: vec![Cause {
                reason: "ResourceVersionTooLarge",
                message: "Too large resource version".to_owned(),
                field: String::new(),
            }],
            ..Details::default()
        }));
        status
    }

    /// Something that should not happen.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// Adds a cause.
    #[must_use]
    pub fn with_cause(mut self, cause: Cause) -> Self {
        self.details.get_or_insert_default().causes.push(cause);
        self
    }

    /// The object that goes over the wire.
    pub fn to_value(&self) -> Value {
        let Self {
            code,
            reason,
            message,
            details,
        } = self;
        let mut value = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason,
        });
        if let Some(details) = details {
            value["details"] = details.to_value();
        }
        value["code"] = json!(code);
        value
    }
}

// === impl Details ===

impl Details {
    fn to_value(&self) -> Value {
        let Self {
            name,
            group,
            kind,
            uid,
            causes,
            retry_after,
        } = self;
        let mut value = json!({});
        for (key, text) in [
            ("name", name),
            ("group", group),
            ("kind", kind),
            ("uid", uid),
        ] {
            if !text.is_empty() {
                value[key] = json!(text);
            }
        }
        if !causes.is_empty() {
            value["causes"] = causes.iter().map(Cause::to_value).collect();
        }
        if let Some(seconds) = retry_after {
            value["retryAfterSeconds"] = json!(seconds);
        }
        value
    }
}

impl Cause {
    fn to_value(&self) -> Value {
        let Self {
            reason,
            message,
            field,
        } = self;
        let mut value = json!({"reason": reason, "message": message});
        if !field.is_empty() {
            value["field"] = json!(field);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_read_as_clients_expect_them() {
        let missing = Status::not_found("apps", "deployments", "x").to_value();
        assert_eq!(missing["message"], "deployments.apps \"x\" not found");
        assert_eq!(missing["details"]["kind"], "deployments");
        let causes = vec![
            Cause::invalid("f1", &json!(0), "why"),
            Cause::required("f2", ""),
        ];
        let invalid = Status::invalid("apps", "Deployment", "x", causes).to_value();
        assert_eq!(
            invalid["message"],
            "Deployment.apps \"x\" is invalid: [f1: Invalid value: 0: why, f2: Required value]"
        );
        assert_eq!(invalid["code"], 422);
    }
}
