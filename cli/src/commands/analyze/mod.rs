//! `meshctl analyze`: what is wrong in files and in the cluster, with the place of each mistake.
//!
//! ```text
//! cluster --list--> objects --+
//!                             +-> Snapshot (files overlay the cluster) -> core's rules -> report
//! files ----parse-> documents-+
//! ```

mod report;

use clap::{ArgAction, ValueEnum};
use mesh_core::analyze::{Options, RULES, Suppression, analyze_with};
use mesh_core::diag::{Diagnostic, Level};
use mesh_core::snapshot::{Snapshot, SnapshotOptions};
use mesh_core::source::UNPARSABLE;
use serde_json::json;

use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::failure::{self, Advice as _};
use crate::gather::{self, Gathered};
use crate::input;
use crate::runtime;

/// Look for mistakes in files and in the cluster
///
/// Objects in files are taken as if they were applied to the cluster already: they take the place of the cluster's objects of
/// the same name. Directories are walked with all below them; `-` is standard input.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl analyze                            # the namespace of the current context
  meshctl analyze -A                         # the whole cluster
  meshctl analyze app.yaml                   # would this be right in the cluster?
  meshctl analyze --use-kube=false bookinfo/ # files alone
  kubectl get vs -o yaml | meshctl analyze -k=false -
  meshctl analyze -S \"IST0118=Service default/*\" app.yaml
  meshctl analyze -o json app.yaml | jq '.[].code'

Output formats: log, json, yaml.
Exit codes: 79 when something is found at or over --failure-threshold,
65 when a document cannot be read.")]
pub struct Args {
    /// Files, directories, or - for standard input
    #[arg(value_name = "FILE|DIR|-")]
    files: Vec<String>,
    /// Look at the cluster too
    #[arg(short = 'k', long = "use-kube", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    use_kube: bool,
    /// Complain about objects of all namespaces of the cluster
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Directories are always walked with all below them; this is accepted for old scripts
    #[arg(short = 'R', long, hide = true)]
    recursive: bool,
    /// The mildest level that makes the command fail
    #[arg(
        long,
        value_name = "LEVEL",
        ignore_case = true,
        default_value = "Error"
    )]
    failure_threshold: Threshold,
    /// The mildest level that is shown
    #[arg(long, value_name = "LEVEL", ignore_case = true, default_value = "Info")]
    output_threshold: Threshold,
    /// Leave out a code for some objects; * matches any text
    #[arg(short = 'S', long, value_name = "CODE=OBJECT")]
    suppress: Vec<String>,
    /// Apply only this analyzer (repeatable)
    #[arg(long, value_name = "NAME")]
    analyzer: Vec<String>,
    /// List the analyzers
    #[arg(short = 'L', long)]
    list_analyzers: bool,
    /// Take the mesh's settings from this file
    #[arg(
        long = "meshConfigFile",
        alias = "mesh-config-file",
        value_name = "FILE"
    )]
    mesh_config_file: Option<String>,
    /// Say nothing about kinds that are not known, and read over broken documents
    #[arg(long)]
    ignore_unknown: bool,
}

/// A level on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Threshold {
    Info,
    Warning,
    Error,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    if args.list_analyzers {
        return list(context);
    }
    let format = context.format(&[Format::Log, Format::Json, Format::Yaml])?;
    let mut options = options(&args, context)?;
    let inputs = input::read_all(&args.files)?;
    let mut gathered = Gathered::default();
    let mut namespace = context.namespace().map(str::to_owned);
    let uses_cluster = uses_cluster(&args, context)?;
    if uses_cluster {
        let cluster = runtime::block_on(gather::cluster(context, &mut gathered));
        let cluster = cluster.hint("--use-kube=false looks at files alone")?;
        namespace.get_or_insert(cluster.namespace);
    }
    let namespace = namespace.unwrap_or_else(|| "default".to_owned());
    if let Some(file) = &args.mesh_config_file {
        gathered.add_mesh_config(file, context.istio_namespace())?;
    }
    for input in inputs {
        gathered.add_text(
            &input,
            &namespace,
            (!args.ignore_unknown).then_some(context),
        );
    }
    if !args.all_namespaces {
        options.namespace = Some(namespace.as_str().into());
    }
    let Gathered {
        resources,
        findings,
        sources,
    } = gathered;
    let unreadable = findings.iter().any(|found| found.code == UNPARSABLE);
    let (snapshot, faults) = Snapshot::build(resources, &SnapshotOptions::default());
    let earlier = findings.into_iter().chain(faults).collect();
    let found = analyze_with(&snapshot, &options, earlier);
    let subject = report::Subject {
        files: &args.files,
        namespace: options.namespace.as_deref(),
        uses_cluster,
    };
    let shown: Vec<&Diagnostic> = found
        .iter()
        .filter(|found| found.level >= args.output_threshold.level())
        .collect();
    report::print(&shown, &sources, &subject, format, &context.printer)?;
    let fails = |found: &Diagnostic| {
        found.code != UNPARSABLE && found.level >= args.failure_threshold.level()
    };
    Ok(if found.iter().any(fails) {
        Exit::Findings
    } else if unreadable && !args.ignore_unknown {
        Exit::Data
    } else {
        Exit::Success
    })
}

/// Whether there is a cluster to look at. No cluster at all is no obstacle to looking at files.
fn uses_cluster(args: &Args, context: &Context) -> anyhow::Result<bool> {
    if args.use_kube && (args.files.is_empty() || context.names_cluster()) {
        return Ok(true);
    }
    if args.files.is_empty() {
        return Err(failure::usage(
            "there is nothing to analyze: no files, and the cluster is left out",
        ))
        .hint("name files or directories, or - for standard input");
    }
    if args.use_kube {
        context
            .printer
            .note("cluster: none is named, so only the files are looked at");
    }
    Ok(false)
}

fn options(args: &Args, context: &Context) -> anyhow::Result<Options> {
    let suppressions = args.suppress.iter().map(|text| text.parse::<Suppression>());
    let suppressions = suppressions
        .collect::<Result<_, _>>()
        .map_err(|error| failure::usage(error.to_string()))?;
    for name in &args.analyzer {
        if !RULES.iter().any(|rule| rule.name == *name) {
            let names = RULES.iter().map(|rule| rule.name);
            let nearest = names.max_by(|a, b| {
                strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name))
            });
            return Err(failure::usage(format!("there is no analyzer {name:?}"))).hint(format!(
                "did you mean {}? `meshctl analyze -L` lists them all",
                nearest.unwrap_or_default()
            ));
        }
    }
    Ok(Options {
        istio_namespace: context.istio_namespace().into(),
        namespace: None,
        suppressions,
        rules: args.analyzer.iter().cloned().collect(),
    })
}

fn list(context: &Context) -> anyhow::Result<Exit> {
    let rows: Vec<[String; 3]> = RULES
        .iter()
        .map(|rule| {
            [
                rule.name.to_owned(),
                rule.codes.join(","),
                rule.summary.to_owned(),
            ]
        })
        .collect();
    match context.format(&[Format::Log, Format::Json, Format::Yaml])? {
        Format::Log => context
            .printer
            .table(["ANALYZER", "CODES", "WHAT IT LOOKS FOR"], &rows)?,
        other => {
            let rules: Vec<_> = RULES
                .iter()
                .map(|rule| json!({ "name": rule.name, "codes": rule.codes, "summary": rule.summary }))
                .collect();
            context.printer.structured(other, &rules)?;
        }
    }
    Ok(Exit::Success)
}

// === impl Threshold ===

impl Threshold {
    fn level(self) -> Level {
        match self {
            Self::Info => Level::Info,
            Self::Warning => Level::Warning,
            Self::Error => Level::Error,
        }
    }
}
