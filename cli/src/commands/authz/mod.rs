//! `meshctl authz`: who may do what, and why. Nothing is sent: the policies are decided by the functions of the proxy.
//!
//! ```text
//! files, cluster --> Snapshot --> the filters in front of the port --evaluate with a trace--> verdict, each rule that was tried
//! ```

mod can_i;
mod list;
mod question;

use std::sync::Arc;

use clap::{CommandFactory, Subcommand};
use mesh_core::diag::{Diagnostic, FieldPath, Level};
use mesh_core::resource::Resource;
use mesh_core::snapshot::{Snapshot, SnapshotOptions};
use mesh_core::source::SourceMap;

use crate::context::{Cluster, Context};
use crate::exit::Exit;
use crate::gather::{self, Gathered};
use crate::{input, runtime};

/// Tell who may do what, by which policy
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl authz can-i --from shop/front GET http://reviews.shop:9080/reviews/0
  meshctl authz can-i -f policies.yaml -f app.yaml --from shop/front DELETE http://reviews:9080/
  meshctl authz can-i GET http://web:8080/ --as-token token.jwt
  meshctl authz list deployment/reviews-v1

Output formats: table, json, yaml.")]
pub struct Args {
    #[command(subcommand)]
    part: Option<Part>,
}

/// Which question.
#[derive(Debug, Subcommand)]
enum Part {
    CanI(can_i::Args),
    List(list::Args),
}

/// Where the objects come from.
#[derive(Debug, clap::Args)]
struct Sources {
    /// Take objects from files or directories instead of the cluster; - is standard input (repeatable)
    #[arg(short, long = "filename", value_name = "FILE|DIR|-")]
    files: Vec<String>,
}

/// All objects, with the texts that they come from.
struct World {
    snapshot: Snapshot,
    sources: SourceMap,
    namespace: String,
    /// None with files.
    cluster: Option<Cluster>,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    match args.part {
        Some(Part::CanI(args)) => can_i::run(&args, context),
        Some(Part::List(args)) => list::run(&args, context),
        None => {
            let mut program = crate::args::Cli::command();
            program.build();
            let help = program
                .find_subcommand_mut("authz")
                .map(|command| command.render_help().ansi().to_string());
            context.printer.data(&help.unwrap_or_default())?;
            Ok(Exit::Success)
        }
    }
}

// === impl Sources ===

impl Sources {
    fn read(&self, context: &Context) -> anyhow::Result<World> {
        let mut gathered = Gathered::default();
        let mut cluster = None;
        let mut namespace = context.namespace().map(str::to_owned);
        if self.files.is_empty() {
            let found = runtime::block_on(gather::cluster(context, &mut gathered))?;
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
    fn place(&self, resource: &Arc<Resource>, field: &str) -> String {
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
