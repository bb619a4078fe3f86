//! The objects that a question is about: of the cluster, with those of files in the place of those that are there.

mod cluster;
mod unknown;
mod world;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context as _;
use mesh_core::diag::{Diagnostic, Level};
use mesh_core::resource::{Kind, Resource, decode, decode_value};
use mesh_core::source::{Origin, SourceMap};
use serde_json::json;

use crate::context::Context;
use crate::{failure, input};
pub use cluster::gather as cluster;
pub use world::{Sources, World, kind_of};

/// Objects, what was found on the way, and the texts that they come from.
#[derive(Default)]
pub struct Gathered {
    pub resources: Vec<Arc<Resource>>,
    pub findings: Vec<Diagnostic>,
    pub sources: SourceMap,
    /// Kinds that could not be listed, as a whole or in part.
    pub unseen: BTreeSet<Kind>,
}

// === impl Gathered ===

impl Gathered {
    /// Adds the objects of a text. Kinds that nobody knows are told where they look like a slip of the pen.
    pub fn add_text(&mut self, input: &input::Input, namespace: &str, tell: Option<&Context>) {
        let (documents, findings) = self.sources.parse(&input.name, &input.text);
        self.findings.extend(findings);
        let mut unknown = unknown::Unknown::default();
        for document in &documents {
            let (resource, faults) = decode(document, Some(namespace));
            if resource.is_none() && faults.is_empty() {
                unknown.add(document);
            }
            self.findings.extend(faults);
            self.resources.extend(resource.map(Arc::new));
        }
        if let Some(context) = tell {
            unknown.tell(&context.printer);
        }
    }

    /// Takes the mesh's settings from a file, as if it were the ConfigMap `istio`.
    pub fn add_mesh_config(&mut self, file: &str, istio_namespace: &str) -> anyhow::Result<()> {
        let input = input::read(file)?;
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "istio", "namespace": istio_namespace },
            "data": { "mesh": input.text },
        });
        let (resource, mut faults) = decode_value(map, Origin::Builtin, None);
        let own = resource.iter().flat_map(|resource| &resource.findings);
        faults.extend(own.filter(|found| found.level == Level::Error).cloned());
        if let Some(fault) = faults.into_iter().next() {
            return Err(failure::data(fault.message))
                .with_context(|| format!("failed to read {file}"));
        }
        self.resources.extend(resource.map(Arc::new));
        Ok(())
    }
}
