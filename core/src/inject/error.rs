//! Why a pod cannot be injected.

use crate::diag::FieldPath;

/// Why a pod cannot be injected. The path is relative to the pod or pod template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct InjectError {
    /// Code for findings: `IST0125` for annotations, `IST0106` for anything else.
    pub code: &'static str,
    /// The field that is to blame.
    pub path: FieldPath,
    /// What is wrong, and what would be right.
    pub message: String,
}

// === impl InjectError ===

impl InjectError {
    /// An annotation of the pod has an invalid value.
    pub(super) fn annotation(name: &str, message: impl Into<String>) -> Self {
        Self {
            code: "IST0125",
            path: FieldPath::parse("metadata.annotations").key(name),
            message: message.into(),
        }
    }

    /// A field has the wrong shape.
    pub(super) fn field(path: FieldPath, message: impl Into<String>) -> Self {
        Self {
            code: "IST0106",
            path,
            message: message.into(),
        }
    }
}
