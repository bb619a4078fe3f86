//! Changes to headers.

use std::sync::Arc;

use mesh_ir::substitution::to_format;
use mesh_ir::{HeaderAppend, HeaderOps, HeaderValue};

use super::Compiler;
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
    ) -> Changes {
        let mut changes = Changes::default();
        let Some(operations) = operations else {
            return changes;
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
                if !self.may_change(name, &path) {
                    continue;
                }
                changes.ops.set.push(HeaderValue {
                    name: name.as_str().into(),
                    value: to_format(value).into(),
                    append,
                });
            }
        }
        for (index, name) in operations.remove.iter().enumerate() {
            if self.may_change(name, &path.key("remove").index(index)) && !is_host(name) {
                changes.ops.remove.push(name.to_ascii_lowercase().into());
            }
        }
        changes
    }

    /// Whether a header may be changed; pseudo-headers are left alone.
    fn may_change(&mut self, name: &str, path: &FieldPath) -> bool {
        let pseudo = name.starts_with(':');
        if pseudo {
            self.no_effect(path.clone());
        }
        !pseudo
    }
}

fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name == ":authority"
}
