//! `meshctl route test`: requests decided as the proxies decide them, compared with what is expected of them.

use anstyle::{AnsiColor, Style};
use mesh_core::explain::ProxiedWorkload;
use serde::Serialize;

use super::case::{Case, Suite};
use super::junit;
use crate::asked::Asked;
use crate::commands::explain::{Evaluator, unknown_workload};
use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::failure::{self, Advice as _};
use crate::gather::{Sources, World};
use crate::input;
use crate::mesh::Named;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Check that requests are routed and allowed as expected
///
/// Each request in the files is evaluated by the code that the proxies use, with the objects of the cluster or of files. Nothing is sent.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl route test routes-test.yaml
  meshctl route test routes-test.yaml -f mesh/ -o junit > report.xml

A file of tests:
  tests:
  - name: jason sees v2
    from: deployment/productpage-v1     # or gateway/NAME; any workload by default
    method: GET                         # the default
    url: http://reviews:9080/reviews/0
    headers: {end-user: jason}
    expect:                             # what is left out is not checked
      to: {v2: 100}                     # percent by subset, HOST or HOST/SUBSET
      timeout: 3s                       # also: allowed, status, location, path, host, retries

Output formats: log, json, yaml, junit.
Exit code: 1 when a test fails, 65 when a file cannot be read.")]
pub struct Args {
    /// Files with tests; - is standard input
    #[arg(value_name = "FILE", required = true)]
    tests: Vec<String>,
    #[command(flatten)]
    sources: Sources,
}

/// How one test has ended.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub name: String,
    /// What is not as expected.
    pub wrong: Vec<String>,
}

#[derive(Serialize)]
struct Document<'a> {
    file: &'a str,
    tests: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    passed: bool,
    wrong: &'a [String],
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Log, Format::Json, Format::Yaml, Format::Junit])?;
    let files = args
        .tests
        .iter()
        .map(|file| Ok((file.clone(), read(file)?)));
    let files: Vec<(String, Suite)> = files.collect::<anyhow::Result<_>>()?;
    let world = args.sources.read(context)?;
    let evaluator = Evaluator::new(&world.snapshot);
    let mut suites = Vec::new();
    for (file, suite) in &files {
        let outcomes = suite.tests.iter().map(|case| {
            one(case, &evaluator, &world)
                .map_err(|error| error.context(format!("{file}: test {:?}", case.name)))
        });
        let outcomes: Vec<Outcome> = outcomes.collect::<anyhow::Result<_>>()?;
        suites.push((file.clone(), outcomes));
    }
    print(&suites, format, context)?;
    let all = || suites.iter().flat_map(|(_, outcomes)| outcomes);
    let failed = all().filter(|outcome| !outcome.wrong.is_empty()).count();
    context
        .printer
        .note(&format!("{} tests, {failed} failed", all().count()));
    Ok(match failed {
        0 => Exit::Success,
        _ => Exit::Failure,
    })
}

fn read(file: &str) -> anyhow::Result<Suite> {
    let input = input::read(file)?;
    let suite: Suite = serde_yaml::from_str(&input.text)
        .map_err(|error| failure::data(format!("{file} is no file of tests: {error}")))
        .hint("`meshctl route test --help` shows one")?;
    if let Some(case) = suite.tests.iter().find(|case| case.expect.is_empty()) {
        return Err(failure::data(format!(
            "{file}: test {:?} expects nothing",
            case.name
        )));
    }
    Ok(suite)
}

fn one(case: &Case, evaluator: &Evaluator<'_>, world: &World) -> anyhow::Result<Outcome> {
    let headers: Vec<String> = case
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let asked = Asked::parse(&case.method, &case.url, &headers)?;
    let client = match case.from.as_deref().map(Named::parse).transpose()? {
        None => ProxiedWorkload::anybody(&world.snapshot, &world.namespace),
        Some(named) => {
            let namespace = named.namespace.unwrap_or(&world.namespace);
            let snapshot = &world.snapshot;
            let found = ProxiedWorkload::find(snapshot, named.kind, named.name, namespace);
            found.map_err(unknown_workload)?
        }
    };
    let decided = evaluator.decide(&client, &asked);
    Ok(Outcome {
        name: case.name.clone(),
        wrong: case.expect.check(&decided, &asked.request.path),
    })
}

fn print(
    suites: &[(String, Vec<Outcome>)],
    format: Format,
    context: &Context,
) -> anyhow::Result<()> {
    match format {
        Format::Junit => context.printer.data(&junit::render(suites)),
        Format::Json | Format::Yaml => {
            let documents: Vec<Document<'_>> = suites
                .iter()
                .map(|(file, outcomes)| Document {
                    file,
                    tests: outcomes
                        .iter()
                        .map(|outcome| Row {
                            name: &outcome.name,
                            passed: outcome.wrong.is_empty(),
                            wrong: &outcome.wrong,
                        })
                        .collect(),
                })
                .collect();
            context.printer.structured(format, &documents)
        }
        _ => {
            let mut text = String::new();
            for outcome in suites.iter().flat_map(|(_, outcomes)| outcomes) {
                if outcome.wrong.is_empty() {
                    text.push_str(&format!("{GOOD}ok{GOOD:#}      {}\n", outcome.name));
                    continue;
                }
                text.push_str(&format!("{BAD}failed{BAD:#}  {}\n", outcome.name));
                for wrong in &outcome.wrong {
                    text.push_str(&format!("        {wrong}\n"));
                }
            }
            context.printer.data(&text)
        }
    }
}
