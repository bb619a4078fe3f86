//! `meshctl profile`: the sets of values that an installation can start from.

use clap::{CommandFactory, Subcommand};
use mesh_core::diag::{FieldPath, Segment};
use mesh_core::install::Profile;
use serde_json::{Value, json};
use similar::TextDiff;

use super::install::Values;
use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::failure::{self, Advice as _};

/// Show the profiles: sets of values that an installation starts from
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl profile list
  meshctl profile dump demo > values.yaml        # edit it, then: meshctl install -f values.yaml
  meshctl profile dump -p components.egressGateways demo
  meshctl profile diff default demo

Output formats of list: table, json, yaml; of dump: yaml, json.")]
pub struct Args {
    #[command(subcommand)]
    part: Option<Part>,
}

/// What to show.
#[derive(Debug, Subcommand)]
enum Part {
    /// List the names of the profiles
    #[command(visible_alias = "ls")]
    List,
    /// Print the values of a profile, overridden by files and --set, as an IstioOperator
    Dump {
        /// Name of the profile (default: what the files name, or else `default`)
        #[arg(value_name = "PROFILE", conflicts_with = "profile")]
        name: Option<String>,
        #[command(flatten)]
        values: Values,
        /// Print only the value at this path, such as components.pilot
        #[arg(short = 'p', long, value_name = "PATH")]
        config_path: Option<String>,
    },
    /// Print how the values of two profiles differ; exit code 1 when they do
    Diff {
        /// Name of the first profile
        #[arg(value_name = "FROM")]
        before: String,
        /// Name of the second profile
        #[arg(value_name = "TO")]
        after: String,
    },
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    match args.part {
        Some(Part::List) => list(context),
        Some(Part::Dump {
            name,
            mut values,
            config_path,
        }) => {
            values.profile = name.or(values.profile);
            dump(&values, config_path.as_deref(), context)
        }
        Some(Part::Diff { before, after }) => diff([before, after], context),
        None => {
            let mut program = crate::args::Cli::command();
            program.build();
            let help = program
                .find_subcommand_mut("profile")
                .map(|command| command.render_help().ansi().to_string());
            context.printer.data(&help.unwrap_or_default())?;
            Ok(Exit::Success)
        }
    }
}

fn list(context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Table, Format::Json, Format::Yaml])?;
    let about = |profile: Profile| profile.about().to_owned();
    if format == Format::Table {
        let rows = Profile::ALL.map(|profile| [profile.name().to_owned(), about(profile)]);
        context.printer.table(["NAME", "DESCRIPTION"], &rows)?;
    } else {
        let rows = Profile::ALL
            .map(|profile| json!({"name": profile.name(), "description": about(profile)}));
        context.printer.structured(format, &rows)?;
    }
    Ok(Exit::Success)
}

fn dump(values: &Values, path: Option<&str>, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Yaml, Format::Json])?;
    let merged = values.merged(context)?;
    let shown = match path {
        None => merged,
        Some(path) => at(&merged["spec"], path)?.clone(),
    };
    context.printer.structured(format, &shown)?;
    Ok(Exit::Success)
}

fn at<'v>(spec: &'v Value, path: &str) -> anyhow::Result<&'v Value> {
    let mut value = spec;
    for segment in FieldPath::parse(path).0 {
        let next = match &segment {
            Segment::Key(key) => value.get(&**key),
            Segment::Index(index) => value.get(*index),
        };
        let missing = || failure::usage(format!("the values say nothing at {path}"));
        let next = next.ok_or_else(missing);
        value = next.hint("without --config-path all of them are printed")?;
    }
    Ok(value)
}

fn diff(names: [String; 2], context: &Context) -> anyhow::Result<Exit> {
    let mut texts = Vec::new();
    for name in &names {
        let values = Values {
            profile: Some(name.clone()),
            ..Values::default()
        };
        texts.push(mesh_core::yaml::to_yaml(&values.merged(context)?));
    }
    if texts[0] == texts[1] {
        return Ok(Exit::Success);
    }
    let diff = TextDiff::from_lines(&texts[0], &texts[1]);
    let diff = diff.unified_diff().header(&names[0], &names[1]).to_string();
    context.printer.data(&diff)?;
    Ok(Exit::Failure)
}
