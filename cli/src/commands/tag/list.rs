//! `meshctl tag list`: what each tag stands for, and who uses it.

use serde::Serialize;

use super::{known, namespaces};
use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::runtime::block_on;

/// List the tags, their revisions, and the namespaces that use them
#[derive(Debug, clap::Args)]
#[command(visible_alias = "ls")]
pub struct Args {}

/// A tag.
#[derive(Debug, Serialize)]
struct Row {
    tag: String,
    revision: String,
    namespaces: Vec<String>,
}

pub(super) fn run(_: &Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Table, Format::Json, Format::Yaml])?;
    let rows = block_on(async {
        let cluster = context.cluster().await?;
        let known = known(&cluster.client, context.istio_namespace()).await?;
        let mut rows = Vec::new();
        for tag in known.into_iter().filter(|it| it.is_tag) {
            rows.push(Row {
                namespaces: namespaces(&cluster.client, &tag.name).await?,
                tag: tag.name,
                revision: tag.revision,
            });
        }
        anyhow::Ok(rows)
    })?;
    if format != Format::Table {
        context.printer.structured(format, &rows)?;
        return Ok(Exit::Success);
    }
    if rows.is_empty() {
        context
            .printer
            .done("There are no tags; `meshctl tag set NAME --revision REVISION` makes one.");
        return Ok(Exit::Success);
    }
    let table: Vec<[String; 3]> = rows
        .into_iter()
        .map(|row| [row.tag, row.revision, row.namespaces.join(",")])
        .collect();
    context
        .printer
        .table(["TAG", "REVISION", "NAMESPACES"], &table)?;
    Ok(Exit::Success)
}
