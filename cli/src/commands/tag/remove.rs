//! `meshctl tag remove`: takes a tag away. Who still uses it gets no sidecars any more, which is said before.

use std::time::Duration;

use anyhow::anyhow;
use mesh_core::install::TAG_LABEL;

use super::{known, namespaces};
use crate::apply;
use crate::commands::confirm::{check_terminal, confirm};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Advice as _;
use crate::runtime::block_on;

/// How long its objects may take to go.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Remove a tag; running pods keep their sidecars
#[derive(Debug, clap::Args)]
#[command(visible_alias = "rm")]
pub struct Args {
    /// Name of the tag
    #[arg(value_name = "TAG")]
    tag: String,
    /// Do not ask for confirmation, even if namespaces use it
    #[arg(short = 'y', long, alias = "skip-confirmation")]
    yes: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    block_on(async {
        let cluster = context.cluster().await?;
        let control_plane = context.istio_namespace();
        let known = known(&cluster.client, control_plane).await?;
        let tags = || known.iter().filter(|it| it.is_tag);
        let Some(tag) = tags().find(|it| it.name == args.tag) else {
            let names: Vec<&str> = tags().map(|it| it.name.as_str()).collect();
            let hint = match names.is_empty() {
                true => "there are no tags".to_owned(),
                false => format!("there are: {}", names.join(", ")),
            };
            return Err(anyhow!("there is no tag {}", args.tag)).hint(hint);
        };
        let users = namespaces(&cluster.client, &tag.name).await?;
        if !users.is_empty() && !args.yes {
            check_terminal()?;
            let question = format!(
                "New pods of {} would get no sidecars: they use the tag {}.",
                users.join(", "),
                tag.name
            );
            if !confirm(context, &question)? {
                return Ok(Exit::Failure);
            }
        }
        let mut found = apply::owned(&cluster.client, control_plane, Some(&tag.revision)).await?;
        found.retain(|one| {
            let labels = one.object.metadata.labels.as_ref();
            labels.and_then(|labels| labels.get(TAG_LABEL)) == Some(&tag.name)
        });
        let step = context.reporter().step("removing the tag");
        // The webhooks first: whoever calls them must be known to them until the end.
        for one in found.iter().rev() {
            apply::delete(&cluster.client, one).await?;
        }
        apply::wait_gone(&cluster.client, &found, TIMEOUT, &step).await?;
        step.done(&format!("The tag {} is removed", tag.name));
        Ok(Exit::Success)
    })
}
