//! Objects for tests from YAML text.

use std::sync::Arc;

use super::{Snapshot, SnapshotOptions};
use crate::diag::Diagnostic;
use crate::resource::{Resource, decode};
use crate::source::parse;

/// The snapshot of the documents in a text.
#[track_caller]
pub(crate) fn snapshot(text: &str) -> (Snapshot, Vec<Diagnostic>) {
    Snapshot::build(resources(text), &SnapshotOptions::default())
}

/// The objects of the documents in a text, which must all be in order.
#[track_caller]
pub(crate) fn resources(text: &str) -> Vec<Arc<Resource>> {
    let (documents, mut findings) = parse("input.yaml", text);
    let mut resources = Vec::new();
    for document in &documents {
        let (resource, more) = decode(document, None);
        resources.extend(resource.map(Arc::new));
        findings.extend(more);
    }
    assert_eq!(findings, []);
    resources
}
