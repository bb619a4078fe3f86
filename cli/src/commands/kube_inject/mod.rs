//! `meshctl kube-inject`: YAML in, the same YAML with sidecars out.
//!
//! ```text
//! files or ConfigMaps of the cluster -> InjectConfig --+
//!                                                      +-> core's inject_text -> stdout or a file, at once or not at all
//! -f FILE|- -------------------------> text -----------+
//! ```

mod config;

use std::path::PathBuf;

use clap::ArgAction;
use mesh_core::diag::Diagnostic;
use mesh_core::inject::{Injected, inject_text};
use mesh_core::source::SourceMap;

use crate::context::Context;
use crate::exit::Exit;
use crate::input::{self, Input};
use crate::printer::Printer;
use crate::{failure, output_file, runtime, snippet};

/// Add the sidecar to the workloads in YAML or JSON
///
/// Pods, Deployments, StatefulSets, DaemonSets, ReplicaSets, ReplicationControllers, Jobs, CronJobs and Lists of them get the
/// proxy's containers. Everything else leaves as it came, byte for byte. A second injection changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl kube-inject -f app.yaml | kubectl apply -f -
  kubectl get deploy web -o yaml | meshctl kube-inject -f - | kubectl apply -f -
  meshctl kube-inject -f app.yaml -o app-with-sidecars.yaml
  meshctl kube-inject -f app.yaml --use-kube=false   # built-in defaults, offline

The injector's settings come from --injectConfigFile and --meshConfigFile, else
from the cluster's ConfigMaps, else from built-in defaults. Workloads that get
no sidecar are named on stderr with the reason.")]
pub struct Args {
    /// The YAML or JSON file, or - for standard input
    #[arg(short, long, value_name = "FILE|-")]
    filename: String,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
    /// Read the settings that no file gives from the cluster
    #[arg(short = 'k', long = "use-kube", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    use_kube: bool,
    #[command(flatten)]
    config: config::ConfigArgs,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let input = input::read(&args.filename)?;
    let settings = if args.use_kube && args.config.wants_cluster() {
        runtime::block_on(args.config.read_with_cluster(context))?
    } else {
        args.config.read_files(context)?
    };
    let namespace = context
        .namespace()
        .map(str::to_owned)
        .or(settings.namespace);
    let namespace = namespace.as_deref().unwrap_or("default");
    match inject_text(&input.name, &input.text, namespace, &settings.inject) {
        Ok(injected) => {
            tell(&injected, &context.printer);
            match &args.output {
                Some(file) => output_file::write(&PathBuf::from(file), injected.text.as_bytes())?,
                None => context.printer.raw(injected.text.as_bytes())?,
            }
            Ok(Exit::Success)
        }
        Err(findings) => {
            complain(&input, &findings, &context.printer);
            let name = if input.name == "-" {
                "standard input"
            } else {
                &input.name
            };
            let count = match findings.len() {
                1 => "one mistake".to_owned(),
                count => format!("{count} mistakes"),
            };
            Err(failure::data(format!(
                "{name} has {count}, so nothing was injected"
            )))
        }
    }
}

fn tell(injected: &Injected, printer: &Printer) {
    for skipped in &injected.skipped {
        printer.note(&format!("===> Skipping injection because {skipped}"));
    }
    for warning in &injected.warnings {
        printer.warn(warning);
    }
    for title in &injected.injected {
        printer.detail(1, &format!("injected {title}"));
    }
    if injected.injected.is_empty() && injected.skipped.is_empty() {
        printer.note("nothing to inject: there is no workload in the input");
    }
}

/// Says what is wrong with the input, with the place in it.
fn complain(input: &Input, findings: &[Diagnostic], printer: &Printer) {
    let mut sources = SourceMap::default();
    sources.parse_whole(&input.name, &input.text);
    for found in findings {
        let span = sources.locate_finding(found);
        let place = span
            .as_ref()
            .and_then(|span| Some((sources.text(&span.file)?, span)));
        let file = &input.name;
        let at = span.as_ref().map_or_else(
            || file.clone(),
            |span| format!("{file}:{}:{}", span.line, span.column),
        );
        let path = found.path.to_string();
        let path = if path.is_empty() {
            path
        } else {
            format!("{path}: ")
        };
        printer.error(&format!("{at}: {path}{} [{}]", found.message, found.code));
        printer.talk(&snippet::render(found, place, None));
    }
}
