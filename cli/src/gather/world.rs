//! Where a command's objects come from, and the snapshot that they make.

use std::sync::Arc;

use mesh_core::diag::{Diagnostic, FieldPath, Level};
use mesh_core::resource::Resource;
use mesh_core::snapshot::{Snapshot, SnapshotOptions};
use mesh_core::source::SourceMap;

use super::Gathered;
use crate::context::{Cluster, Context};
use crate::{input, runtime};

/// Where the objects come from.
#[derive(Debug, clap::Args)]
pub struct Sources {
    /// Take objects from files or directories instead of the cluster; - is standard input (repeatable)
    #[arg(short, long = "filename", value_name = "FILE|DIR|-")]
    files: Vec<String>,
}

/// All objects, with the texts that they come from.
pub struct World {
    pub snapshot: Snapshot,
    sources: SourceMap,
    pub namespace: String,
    /// None with files.
    pub cluster: Option<Cluster>,
}

// === impl Sources ===

impl Sources {
    /// Reads them.
    pub fn read(&self, context: &Context) -> anyhow::Result<World> {
        let mut gathered = Gathered::default();
        let mut cluster = None;
        let mut namespace = context.namespace().map(str::to_owned);
        if self.files.is_empty() {
            let found = runtime::block_on(super::cluster(context, &mut gathered))?;
            namespace.get_or_insert_with(|| found.namespace.clone());
            cluster = Some(found);
        }
        let namespace = namespace.unwrap_or_else(|| "default".to_owned());
        for input in input::read_all(&self.files)? {
            gathered.add_text(&input, &namespace, Some(context));
        }
        let Gathered {
            resources,
            findings,
            sources,
        } = gathered;
        for finding in findings.iter().filter(|found| found.level == Level::Error) {
            context.printer.warn(&finding.message);
        }
        let (snapshot, _) = Snapshot::build(resources, &SnapshotOptions::default());
        Ok(World {
            snapshot,
            sources,
            namespace,
            cluster,
        })
    }
}

// === impl World ===

impl World {
    /// Where a field of an object is written: file and line, or else the object.
    pub fn place(&self, resource: &Arc<Resource>, field: &str) -> String {
        let finding = Diagnostic {
            code: "",
            level: Level::Info,
            resource: Some(resource.key.clone()),
            origin: resource.origin.clone(),
            path: FieldPath::parse(field),
            message: String::new(),
            hint: None,
        };
        match self.sources.locate_finding(&finding) {
            Some(span) => format!("{}:{}", span.file, span.line),
            None => {
                let key = &resource.key;
                let kind = key.kind.name();
                let (namespace, name) = (&key.namespace, &key.name);
                format!("{kind} {namespace}/{name} {field}")
                    .trim_end()
                    .to_owned()
            }
        }
    }
}
