//! `meshctl validate`: whether the objects in files are right by themselves. Each is compiled as the control plane, its webhook and the
//! API server compile it; nothing else is looked at, and no cluster is asked.

use mesh_core::diag::{Diagnostic, Level};
use mesh_core::source::UNPARSABLE;

use crate::commands::analyze::report;
use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::failure::{self, Advice as _};
use crate::gather::Gathered;
use crate::input;

/// Check objects in files by themselves, without a cluster
///
/// Types, fields, values, and the rules that CRDs state in CEL: what the control plane's webhook would refuse or warn of. `analyze` looks
/// at how objects fit together as well.
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "v",
    after_help = "Examples:
  meshctl validate -f app.yaml
  meshctl validate bundle/ -o github
  kubectl get vs -o yaml | meshctl validate -f -

Output formats: log, json, yaml, sarif, github (workflow commands), junit.
Exit code: 65 when an object would be refused or a document cannot be read."
)]
pub struct Args {
    /// Files, directories, or - for standard input
    #[arg(value_name = "FILE|DIR|-")]
    paths: Vec<String>,
    /// The same, as kubectl and istioctl spell it (repeatable)
    #[arg(short, long = "filename", value_name = "FILE|DIR|-")]
    files: Vec<String>,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[
        Format::Log,
        Format::Json,
        Format::Yaml,
        Format::Sarif,
        Format::Github,
        Format::Junit,
    ])?;
    let files: Vec<String> = args.files.into_iter().chain(args.paths).collect();
    if files.is_empty() {
        return Err(failure::usage("there is nothing to validate"))
            .hint("name files or directories by -f, or - for standard input");
    }
    let namespace = context.namespace().unwrap_or("default");
    let mut gathered = Gathered::default();
    for input in input::read_all(&files)? {
        gathered.add_text(&input, namespace, Some(context));
    }
    let own = gathered
        .resources
        .iter()
        .flat_map(|resource| &resource.findings);
    let mut found: Vec<&Diagnostic> = gathered
        .findings
        .iter()
        .chain(own)
        .filter(|found| found.is_of_schema() || found.code == UNPARSABLE)
        .collect();
    found.sort_by_key(|found| (&found.origin, &found.path));
    let subject = report::Subject {
        files: &files,
        namespace: None,
        uses_cluster: false,
        fails: Level::Error,
    };
    report::print(
        &found,
        &gathered.sources,
        &subject,
        format,
        &context.printer,
    )?;
    let is_refused = found.iter().any(|found| found.level == Level::Error);
    Ok(if is_refused {
        Exit::Data
    } else {
        Exit::Success
    })
}
