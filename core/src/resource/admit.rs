//! Whether an object may be stored: what the validating webhook and the API server of the sandbox ask.

use serde_json::Value;

use super::decode_value;
use crate::diag::{Diagnostic, Level};
use crate::source::Origin;

/// The answer about one object.
#[derive(Debug, Default)]
pub struct Admission {
    /// Why it is refused; it is accepted when there are none.
    pub errors: Vec<Diagnostic>,
    /// What its author should know although it is accepted.
    pub warnings: Vec<Diagnostic>,
}

/// Looks at an object as it is about to be stored. Kinds that a mesh does not need are accepted.
pub fn admit(object: &Value) -> Admission {
    let (resource, mut findings) = decode_value(object.clone(), Origin::Builtin, None);
    findings.extend(resource.into_iter().flat_map(|resource| resource.findings));
    let (errors, others) = findings
        .into_iter()
        .partition(|finding| finding.level == Level::Error);
    let mut warnings: Vec<Diagnostic> = others;
    warnings.retain(|finding| finding.level == Level::Warning);
    Admission { errors, warnings }
}
