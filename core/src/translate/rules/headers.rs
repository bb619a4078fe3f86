//! Changes to headers.

use std::sync::Arc;

use mesh_ir::substitution::to_format;
use mesh_ir::{HeaderAppend, HeaderOps, HeaderValue};

use super::{Compiler, Refused};
use crate::diag::FieldPath;
use crate::model::HeaderOperations;

/// The changes of one direction, and the new `Host` if they set it.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) ops: HeaderOps,
    pub(super) host: Option<Arc<str>>,
}

// === impl Compiler ===

impl Compiler<'_> {
    pub(super) fn header_changes(
        &mut self,
        operations: Option<&HeaderOperations>,
        path: &FieldPath,
    ) -> Result<Changes, Refused> {
        let mut changes = Changes::default();
        let Some(operations) = operations else {
            return Ok(changes);
        };
        for (field, values, append) in [
            ("set", &operations.set, HeaderAppend::Overwrite),
            ("add", &operations.add, HeaderAppend::Append),
        ] {
            for (name, value) in values {
                let path = path.key(field).key(name.as_str());
                if is_host(name) {
                    changes.host = Some(value.as_str().into());
                    continue;
                }
                if !self.may_change(name, &path)? {
                    continue;
                }
                if value.contains(['\r', '\n', '\0']) {
                    let message = format!("the value of header {name} contains a line break");
                    return Err(self.invalid(path, message));
                }
                changes.ops.set.push(HeaderValue {
                    name: name.as_str().into(),
                    value: to_format(value).into(),
                    append,
                });
            }
        }
        for (index, name) in operations.remove.iter().enumerate() {
            if self.may_change(name, &path.key("remove").index(index))? && !is_host(name) {
                changes.ops.remove.push(name.to_ascii_lowercase().into());
            }
        }
        Ok(changes)
    }

    /// Whether a header may be changed; names that are no tokens are refused, pseudo-headers are left alone.
    fn may_change(&mut self, name: &str, path: &FieldPath) -> Result<bool, Refused> {
        if name.starts_with(':') {
            self.no_effect(path.clone());
            return Ok(false);
        }
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            let message = format!("{name:?} is not a header name");
            return Err(self.invalid(path.clone(), message));
        }
        Ok(true)
    }
}

fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name == ":authority"
}
