//! Where a command's objects come from, and the snapshot that they make.

use std::sync::Arc;

use mesh_core::diag::{Diagnostic, FieldPath, Level};
use mesh_core::resource::{Kind, Resource, ResourceKey};
use mesh_core::snapshot::{Snapshot, SnapshotOptions};
use mesh_core::source::{SourceMap, UNPARSABLE};
use mesh_ir::ConfigRef;
use mesh_ir::evaluate as rule;

use super::Gathered;
use crate::context::{Cluster, Context};
use crate::{failure, input, runtime};

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
            unseen: _,
        } = gathered;
        // An answer from half of a file would be an answer to another question.
        if let Some(broken) = findings.iter().find(|found| found.code == UNPARSABLE) {
            let span = sources.locate_finding(broken);
            let place = span.map_or_else(String::new, |span| format!("{}: ", span.file));
            let error = failure::data(format!("{place}{}", broken.message));
            return Err(match &broken.hint {
                Some(hint) => failure::advise(error, hint.clone()),
                None => error,
            });
        }
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
    /// Where a rule that decides is written: file and line, or else the object. None if no object of the world holds it.
    pub fn place_of(&self, rule: &rule::Origin) -> Option<String> {
        let resource = self.snapshot.get(&key_of(&rule.object)?)?;
        Some(self.place(resource, &rule.field))
    }

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

/// The kind that a rule is of, which Istio's metadata writes in kebab case.
pub fn kind_of(object: &ConfigRef) -> Option<Kind> {
    let plain = object.kind.replace('-', "");
    Kind::all().find(|kind| kind.name().eq_ignore_ascii_case(&plain))
}

fn key_of(object: &ConfigRef) -> Option<ResourceKey> {
    Some(ResourceKey {
        kind: kind_of(object)?,
        namespace: object.namespace.clone(),
        name: object.name.clone(),
    })
}
