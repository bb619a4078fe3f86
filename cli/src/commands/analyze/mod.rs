//! `meshctl analyze`: what is wrong in files and in the cluster, with the place of each mistake.
//!
//! ```text
//! cluster --list--> objects --+
//!                             +-> Snapshot (files overlay the cluster) -> core's rules -> report
//! files ----parse-> documents-+
//! ```

mod fix;
pub mod report;

use clap::{ArgAction, ValueEnum};
use mesh_core::analyze::{Options, RULES, Suppression, analyze_with, line};
use mesh_core::diag::{Diagnostic, Level};
use mesh_core::snapshot::{Snapshot, SnapshotOptions};
use mesh_core::source::{SourceMap, UNPARSABLE};
use serde_json::json;

use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::failure::{self, Advice as _};
use crate::gather::{self, Gathered};
use crate::input::{self, Input};
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
  meshctl analyze --fix --diff -k=false app.yaml  # what could be mended
  meshctl explain IST0101                    # what a finding means

Output formats: log, json, yaml, sarif, github (workflow commands), junit.
Exit codes: 79 when something is found at or over --failure-threshold,
65 when a document cannot be read.")]
pub struct Args {
    /// Files, directories, or - for standard input
    #[arg(value_name = "FILE|DIR|-")]
    files: Vec<String>,
    /// Look at the cluster too
    #[arg(short = 'k', long = "use-kube", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    use_kube: bool,
    /// Report findings from all namespaces of the cluster
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
    /// Say nothing about kinds that are not known, and skip documents that cannot be read
    #[arg(long)]
    ignore_unknown: bool,
    /// Mend in the files what can be mended for certain, then look again
    #[arg(long)]
    fix: bool,
    /// With --fix: show what would be written instead of writing it; exit code 1 if anything would be
    #[arg(long, requires = "fix")]
    diff: bool,
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
    let format = context.format(&[
        Format::Log,
        Format::Json,
        Format::Yaml,
        Format::Sarif,
        Format::Github,
        Format::Junit,
    ])?;
    let mut options = options(&args, context)?;
    let mut inputs = read(&args, context)?;
    let mut base = Gathered::default();
    let mut namespace = context.namespace().map(str::to_owned);
    let uses_cluster = uses_cluster(&args, context)?;
    if uses_cluster {
        let cluster = runtime::block_on(gather::cluster(context, &mut base));
        let cluster = cluster.hint("--use-kube=false looks at files alone")?;
        namespace.get_or_insert(cluster.namespace);
    }
    let namespace = namespace.unwrap_or_else(|| "default".to_owned());
    if let Some(file) = &args.mesh_config_file {
        base.add_mesh_config(file, context.istio_namespace())?;
    }
    if !args.all_namespaces {
        options.namespace = Some(namespace.as_str().into());
    }
    options.unseen = std::mem::take(&mut base.unseen);
    // A cluster shows whether it has a gateway; for files by themselves one is assumed.
    options.assume_ingress = !uses_cluster;
    let inspection = Inspection {
        base: &base,
        namespace: &namespace,
        options: &options,
        ignore_unknown: args.ignore_unknown,
        context,
    };
    let (mut found, mut sources) = inspection.of(&inputs);
    if args.fix {
        let mended = fix::run(&found, &sources, &mut inputs, args.diff, context)?;
        match mended {
            fix::Outcome::Shown { differs } => {
                return Ok(if differs {
                    Exit::Failure
                } else {
                    Exit::Success
                });
            }
            fix::Outcome::Written => (found, sources) = inspection.of(&inputs),
            fix::Outcome::Nothing => {}
        }
    }
    let unreadable = found.iter().any(|found| found.code == UNPARSABLE);
    let subject = report::Subject {
        files: &args.files,
        namespace: options.namespace.as_deref(),
        uses_cluster,
        fails: args.failure_threshold.level(),
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
    } else if unreadable {
        Exit::Data
    } else {
        Exit::Success
    })
}

/// What texts are looked at with.
struct Inspection<'a> {
    /// The cluster's objects.
    base: &'a Gathered,
    namespace: &'a str,
    options: &'a Options,
    ignore_unknown: bool,
    context: &'a Context,
}

impl Inspection<'_> {
    /// All findings about texts and the cluster.
    fn of(&self, inputs: &[Input]) -> (Vec<Diagnostic>, SourceMap) {
        let mut gathered = Gathered {
            resources: self.base.resources.clone(),
            findings: self.base.findings.clone(),
            ..Gathered::default()
        };
        let tell = (!self.ignore_unknown).then_some(self.context);
        for input in inputs {
            gathered.add_text(input, self.namespace, tell);
        }
        let Gathered {
            resources,
            mut findings,
            sources,
            unseen: _,
        } = gathered;
        if self.ignore_unknown {
            findings.retain(|found| {
                let is_read = found.code != UNPARSABLE;
                if !is_read {
                    let span = sources.locate_finding(found);
                    self.context.printer.detail(1, &line(found, span.as_ref()));
                }
                is_read
            });
        }
        let (snapshot, faults) = Snapshot::build(resources, &SnapshotOptions::default());
        let earlier = findings.into_iter().chain(faults).collect();
        (analyze_with(&snapshot, self.options, earlier), sources)
    }
}

/// The texts. Files that are no texts are left out where they are to be ignored.
fn read(args: &Args, context: &Context) -> anyhow::Result<Vec<Input>> {
    if !args.ignore_unknown {
        return input::read_all(&args.files);
    }
    let mut inputs = Vec::new();
    for name in input::names(&args.files)? {
        match input::read(&name) {
            Ok(input) => inputs.push(input),
            Err(error) if failure::exit(&error) == Exit::Data => {
                context.printer.detail(1, &failure::sentence(&error));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(inputs)
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
        ..Options::default()
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
