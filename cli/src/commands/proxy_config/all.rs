//! `proxy-config all`.

use serde_json::json;

use super::dump::{Dump, EndpointSource};
use super::section::Section;
use super::source::Source;
use super::{clusters, endpoints, listeners, routes};
use crate::context::{Context, Format};
use crate::runtime;

/// Clusters, listeners, routes and endpoints of a proxy together
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl proxy-config all deployment/productpage-v1
  meshctl proxy-config all -f config_dump.json
  meshctl proxy-config all deployment/productpage-v1 -o json > config_dump.json")]
pub struct Args {
    #[command(flatten)]
    source: Source,
}

/// Prints all sections as tables with a blank line between, or the whole dump.
pub fn print(args: &Args, format: Format, context: &Context) -> anyhow::Result<()> {
    let (dump, endpoints) = match args.source.file() {
        Some(file) => (Dump::read(file)?, None),
        None => {
            let (dump, endpoints) = runtime::block_on(args.source.fetch_all(context))?;
            (dump, Some(endpoints))
        }
    };
    if matches!(format, Format::Json | Format::Yaml) {
        return context
            .printer
            .structured(format, &json!({ "configs": dump.configs() }));
    }
    let sections = [
        part(
            clusters::section(&dump, &clusters::Filter::default()),
            context,
        ),
        part(
            listeners::section(&dump, &listeners::Filter::default()),
            context,
        ),
        part(routes::section(&dump, &routes::Filter::default()), context),
        part(
            endpoints::section(
                &endpoints.unwrap_or(EndpointSource::Dump(dump)),
                &endpoints::Filter::default(),
            ),
            context,
        ),
    ];
    let tables: Vec<String> = sections
        .into_iter()
        .flatten()
        .map(|section| section.table())
        .collect();
    context.printer.data(&tables.join("\n"))
}

/// A section that is there; a dump without one still shows the others.
fn part(section: anyhow::Result<Section>, context: &Context) -> Option<Section> {
    section
        .map_err(|error| context.printer.warn(&crate::failure::sentence(&error)))
        .ok()
}
