//! `meshctl tag set` makes a tag or moves it, and `meshctl tag generate` prints what `set` would write.

use anyhow::anyhow;
use mesh_core::install::{DEFAULT_REVISION, Tag};
use mesh_core::yaml::to_yaml;

use super::{Known, known};
use crate::apply::Writer;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{self, Advice as _};
use crate::runtime::block_on;

/// Create a tag, or move it to another revision
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the tag; `default` stands for namespaces with istio-injection=enabled and pods that name no revision
    #[arg(value_name = "TAG")]
    tag: String,
    /// The revision that it stands for
    #[arg(short, long, value_name = "NAME")]
    revision: String,
    /// Move the tag if it stands for another revision
    #[arg(long)]
    overwrite: bool,
    /// Accepted for scripts; nothing is asked
    #[arg(short = 'y', long, alias = "skip-confirmation", hide = true)]
    yes: bool,
}

/// Print the objects of a tag, without a cluster
#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    /// Name of the tag
    #[arg(value_name = "TAG")]
    tag: String,
    /// The revision that it stands for
    #[arg(short, long, value_name = "NAME")]
    revision: String,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let tag = tag(&args.tag, &args.revision, context)?;
    block_on(async {
        let cluster = context.cluster().await?;
        let known = known(&cluster.client, context.istio_namespace()).await?;
        let target = target(&args.revision, &known)?;
        let before = check(args, &known)?;
        let writer = Writer {
            client: cluster.client.clone(),
            dry_run: false,
        };
        for object in tag.objects(target.ca_bundle.as_deref()) {
            writer.write(&object).await?;
        }
        context.printer.done(&told(args, before));
        Ok(Exit::Success)
    })
}

pub(super) fn generate(args: &GenerateArgs, context: &Context) -> anyhow::Result<Exit> {
    let tag = tag(&args.tag, &args.revision, context)?;
    // The control plane writes its CA into them once they are there.
    let documents = tag.objects(None);
    let documents = documents
        .iter()
        .map(|object| format!("---\n{}", to_yaml(&object.value)));
    context.printer.data(&documents.collect::<String>())?;
    Ok(Exit::Success)
}

fn tag(name: &str, revision: &str, context: &Context) -> anyhow::Result<Tag> {
    Tag::new(name, revision, context.istio_namespace()).map_err(failure::usage)
}

/// The control plane that the tag is to stand for.
fn target<'a>(revision: &str, known: &'a [Known]) -> anyhow::Result<&'a Known> {
    let mut revisions = known.iter().filter(|it| !it.is_tag);
    if let Some(found) = revisions.clone().find(|it| it.revision == revision) {
        return Ok(found);
    }
    let names: Vec<&str> = revisions.by_ref().map(|it| it.name.as_str()).collect();
    let hint = match names.is_empty() {
        true => "no control plane is installed; `meshctl install --revision NAME` installs one"
            .to_owned(),
        false => format!("there are: {}", names.join(", ")),
    };
    Err(anyhow!("there is no control plane of revision {revision}")).hint(hint)
}

/// The revision that the tag stood for until now, if the tag may be written.
fn check<'a>(args: &Args, known: &'a [Known]) -> anyhow::Result<Option<&'a str>> {
    let Some(there) = known.iter().find(|it| it.name == args.tag) else {
        return Ok(None);
    };
    if !there.is_tag {
        let advice = match args.tag == DEFAULT_REVISION {
            true => {
                "it serves namespaces that name no revision; move them to a tag of another name, or remove it with `meshctl uninstall --revision default`"
            }
            false => "choose another name",
        };
        return Err(anyhow!(
            "{} is the name of a control plane's revision; both would inject the same pods",
            args.tag
        ))
        .hint(advice);
    }
    if there.revision != args.revision && !args.overwrite {
        return Err(anyhow!(
            "the tag {} stands for revision {}",
            args.tag,
            there.revision
        ))
        .hint("--overwrite moves it");
    }
    Ok(Some(&there.revision))
}

fn told(args: &Args, before: Option<&str>) -> String {
    let Args { tag, revision, .. } = args;
    match before {
        Some(before) if before == revision => {
            format!("The tag {tag} stands for revision {revision}, as before")
        }
        Some(before) => format!(
            "The tag {tag} stands for revision {revision} now, and no longer for {before}; pods move when they are restarted"
        ),
        None if tag == DEFAULT_REVISION => format!(
            "The tag {tag} stands for revision {revision}; namespaces with istio-injection=enabled use it"
        ),
        None => format!(
            "The tag {tag} stands for revision {revision}; `kubectl label namespace NAME istio.io/rev={tag}` makes a namespace use it"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(tag: &str, overwrite: bool) -> Args {
        Args {
            tag: tag.into(),
            revision: "canary".into(),
            overwrite,
            yes: false,
        }
    }

    fn known(name: &str, revision: &str) -> Known {
        Known {
            name: name.into(),
            revision: revision.into(),
            is_tag: name != revision,
            ca_bundle: None,
        }
    }

    #[test]
    fn a_tag_is_moved_only_when_that_is_asked_for() {
        let all = [known("prod", "stable"), known("canary", "canary")];
        let refused = check(&args("prod", false), &all).unwrap_err();
        assert!(refused.to_string().contains("stable"), "{refused}");
        assert_eq!(check(&args("prod", true), &all).unwrap(), Some("stable"));
        assert_eq!(check(&args("new", false), &all).unwrap(), None);
    }

    #[test]
    fn the_names_of_revisions_are_taken() {
        let all = [known("default", "default"), known("canary", "canary")];
        assert!(check(&args("default", true), &all).is_err());
        assert!(target("other", &all).is_err());
        assert_eq!(target("canary", &all).unwrap().name, "canary");
    }
}
