//! `meshctl proxy-config`: what a proxy was told, from its admin port or from a saved dump. Our proxy and Envoy alike.
//!
//! ```text
//! POD --port-forward--> /config_dump, /clusters --+
//!                                                 +-> Dump -> section (filters, sorts) -> table, JSON or YAML
//! -f FILE|- --------------------------------------+
//! ```

mod all;
mod clusters;
mod describe;
mod diff;
mod dump;
mod endpoints;
mod listeners;
mod routes;
mod schema;
mod secrets;
mod section;
mod source;

use std::time::SystemTime;

use clap::{CommandFactory, Subcommand};

use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::runtime;
use section::Section;
use source::Source;

/// Show the configuration of a proxy
///
/// The proxy is a pod (POD, POD.NAMESPACE, deployment/NAME, svc/NAME.NAMESPACE) or a file that holds its config_dump.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl proxy-config clusters deployment/productpage-v1
  meshctl proxy-config routes deployment/productpage-v1 --name 9080 -o json
  meshctl proxy-config endpoints productpage-v1-7c9f-x2b.default --port 9080
  meshctl proxy-config listeners svc/istio-ingressgateway.istio-system
  meshctl proxy-config all -f config_dump.json
  meshctl proxy-config diff deployment/reviews-v1 -f before.json

Output formats: table (or short), json, yaml.")]
pub struct Args {
    #[command(subcommand)]
    part: Option<Part>,
}

/// Which part.
#[derive(Debug, Subcommand)]
enum Part {
    #[command(visible_aliases = ["cluster", "c"])]
    Clusters(clusters::Args),
    #[command(visible_aliases = ["listener", "l"])]
    Listeners(listeners::Args),
    #[command(visible_aliases = ["route", "r"])]
    Routes(routes::Args),
    #[command(visible_aliases = ["endpoint", "ep"])]
    Endpoints(endpoints::Args),
    #[command(visible_aliases = ["secrets", "s"])]
    Secret(secrets::Args),
    #[command(visible_alias = "a")]
    All(all::Args),
    Diff(diff::Args),
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let Some(part) = args.part else {
        let mut program = crate::args::Cli::command();
        program.build();
        let help = program
            .find_subcommand_mut("proxy-config")
            .map(|command| command.render_help());
        context
            .printer
            .data(&help.map(|help| help.ansi().to_string()).unwrap_or_default())?;
        return Ok(Exit::Success);
    };
    if let Part::Diff(args) = &part {
        return diff::run(args, context);
    }
    let format = context.format(&[Format::Table, Format::Short, Format::Json, Format::Yaml])?;
    match part {
        Part::Diff(_) => {}
        Part::All(args) => all::print(&args, format, context)?,
        Part::Clusters(args) => {
            let dump = args.source.dump(context)?;
            show(&clusters::section(&dump, &args.filter)?, format, context)?;
        }
        Part::Listeners(args) => {
            let dump = args.source.dump(context)?;
            show(&listeners::section(&dump, &args.filter)?, format, context)?;
        }
        Part::Routes(args) => {
            let dump = args.source.dump(context)?;
            show(&routes::section(&dump, &args.filter)?, format, context)?;
        }
        Part::Secret(args) => {
            let dump = args.source.dump(context)?;
            let section = secrets::section(&dump, SystemTime::now())?;
            show(&section, format, context)?;
        }
        Part::Endpoints(args) => {
            let endpoints = args.source.endpoints(context)?;
            show(
                &endpoints::section(&endpoints, &args.filter)?,
                format,
                context,
            )?;
        }
    }
    Ok(Exit::Success)
}

fn show(section: &Section, format: Format, context: &Context) -> anyhow::Result<()> {
    match format {
        Format::Json | Format::Yaml => context.printer.structured(format, &section.resources),
        _ => context.printer.data(&section.table()),
    }
}

impl Source {
    fn dump(&self, context: &Context) -> anyhow::Result<dump::Dump> {
        if let Some(file) = self.file() {
            return dump::Dump::read(file);
        }
        runtime::block_on(self.fetch_dump(context))
    }

    fn endpoints(&self, context: &Context) -> anyhow::Result<dump::EndpointSource> {
        if let Some(file) = self.file() {
            return dump::EndpointSource::read(file);
        }
        runtime::block_on(self.fetch_endpoints(context))
    }
}
