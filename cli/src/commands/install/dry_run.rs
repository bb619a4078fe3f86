//! `--dry-run`: the server says what it would do, and nothing is changed.

use kube::Client;
use mesh_core::install::Plan;
use mesh_core::yaml::to_yaml;
use similar::TextDiff;

use super::run::superfluous;
use crate::apply::{Outcome, Writer};
use crate::context::Context;
use crate::exit::Exit;

/// Writes what would change: a line for each object, and the difference where there is one.
pub(super) async fn show(client: &Client, plan: &Plan, context: &Context) -> anyhow::Result<Exit> {
    let writer = Writer {
        client: client.clone(),
        dry_run: true,
    };
    let mut unchanged = 0;
    let mut changes = 0;
    for object in &plan.objects {
        let identity = object.identity();
        let text = match writer.write(object).await? {
            Outcome::Unchanged => {
                unchanged += 1;
                continue;
            }
            Outcome::Created => format!("create {identity}\n"),
            Outcome::Kept => {
                context
                    .printer
                    .warn(&format!("{identity} is not ours: it stays as it is"));
                continue;
            }
            Outcome::Changed { before, after } => {
                let (before, after) = (to_yaml(&before), to_yaml(&after));
                let diff = TextDiff::from_lines(&before, &after);
                let diff = diff.unified_diff().header("now", "then").to_string();
                format!("change {identity}\n{diff}")
            }
        };
        changes += 1;
        context.printer.data(&text)?;
    }
    for found in superfluous(client, plan).await? {
        changes += 1;
        context
            .printer
            .data(&format!("remove {}\n", found.identity()))?;
    }
    context.printer.note(&format!(
        "dry run: {changes} objects would change, {unchanged} are as they should be; nothing was changed"
    ));
    Ok(Exit::Success)
}
