//! The labels of clients that rules look at.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_ir::PersistentMap;

use super::ChangeSet;
use crate::model::VirtualServiceSpec;
use crate::resource::{Object, Resource};

/// How many objects look at a label.
#[derive(Clone, Debug, Default)]
pub(super) struct RelevantLabels(PersistentMap<(String, String), usize>);

// === impl RelevantLabels ===

impl RelevantLabels {
    /// The labels after a change.
    pub(super) fn next(&self, changes: &ChangeSet) -> Self {
        let mut next = self.clone();
        for (_, change) in changes.iter() {
            for label in change.before.iter().flat_map(looked_at) {
                match next.0.get_mut(&label) {
                    Some(count) if *count > 1 => *count -= 1,
                    _ => {
                        next.0.remove(&label);
                    }
                }
            }
            for label in change.after.iter().flat_map(looked_at) {
                match next.0.get_mut(&label) {
                    Some(count) => *count += 1,
                    None => {
                        next.0.insert(label, 1);
                    }
                }
            }
        }
        next
    }

    pub(super) fn has(&self, key: &str, value: &str) -> bool {
        self.0
            .get_by(|(a, b)| (a.as_str(), b.as_str()).cmp(&(key, value)))
            .is_some()
    }
}

/// The labels of clients that an object looks at (`sourceLabels`, `workloadSelector`).
fn looked_at(resource: &Arc<Resource>) -> Vec<(String, String)> {
    let pairs = |labels: &BTreeMap<String, String>| -> Vec<(String, String)> {
        let pairs = labels.iter();
        pairs
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    match &resource.object {
        Object::VirtualService(spec) => source_labels(spec).flat_map(pairs).collect(),
        Object::DestinationRule(spec) => {
            let selector = spec.workload_selector.iter();
            selector
                .flat_map(|selector| pairs(&selector.match_labels))
                .collect()
        }
        Object::Telemetry(spec) => {
            let selector = spec.selector.iter();
            selector
                .flat_map(|selector| pairs(&selector.match_labels))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// The conditions of a VirtualService on the labels of clients.
pub(super) fn source_labels(
    spec: &VirtualServiceSpec,
) -> impl Iterator<Item = &BTreeMap<String, String>> {
    let http = spec.http.iter().flat_map(|rule| &rule.matches);
    let tls = spec.tls.iter().flat_map(|rule| &rule.matches);
    let tcp = spec.tcp.iter().flat_map(|rule| &rule.matches);
    http.map(|condition| &condition.source_labels)
        .chain(tls.map(|condition| &condition.source_labels))
        .chain(tcp.map(|condition| &condition.source_labels))
}
