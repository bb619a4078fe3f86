//! `meshctl sandbox list`.

use crate::context::{Context, Format};
use crate::exit::Exit;

/// List the running sandboxes
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Table, Format::Json, Format::Yaml, Format::Name])?;
    let records = mesh_sandbox::list(&mesh_sandbox::root()?);
    let printer = &context.printer;
    match format {
        Format::Json | Format::Yaml => printer.structured(format, &records)?,
        Format::Name => {
            let names: String = records
                .iter()
                .map(|one| format!("{}\n", one.name))
                .collect();
            printer.data(&names)?;
        }
        _ if records.is_empty() => {
            printer.note("no sandbox is running: start one with `meshctl sandbox up`");
        }
        _ => {
            let row = |record: &mesh_sandbox::Record| {
                [
                    record.name.clone(),
                    if record.ready { "yes" } else { "no" }.to_owned(),
                    record.ingress.url.clone(),
                    record.kubeconfig.display().to_string(),
                ]
            };
            let rows: Vec<_> = records.iter().map(row).collect();
            printer.table(["NAME", "READY", "INGRESS", "KUBECONFIG"], &rows)?;
        }
    }
    Ok(Exit::Success)
}
