//! `meshctl proxy-config diff`: what two configurations have otherwise: of two proxies, of a proxy then and now, or of two files.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::dump::Dump;
use super::source::fetch;
use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::failure;
use crate::runtime;

/// Lines around a difference.
const AROUND: usize = 3;

/// Show how two configurations differ
///
/// Compares two proxies, a saved config_dump with a proxy (what has changed since), or two saved ones; files come first. Resources are
/// matched by type and name. Secrets are left out.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl proxy-config diff deployment/reviews-v1 deployment/reviews-v2
  meshctl proxy-config diff deployment/reviews-v1 -f before.json
  meshctl proxy-config diff -f before.json -f after.json -o json

Output formats: log, json, yaml.
Exit code: 1 when they differ.")]
pub struct Args {
    /// Pods of the proxies
    #[arg(value_name = "[TYPE/]NAME[.NAMESPACE]")]
    pods: Vec<String>,
    /// A saved config_dump (repeatable)
    #[arg(short, long, value_name = "FILE|-")]
    file: Vec<String>,
    /// Admin port of the proxies
    #[arg(long, value_name = "PORT", default_value_t = mesh_ir::ports::PROXY_ADMIN)]
    proxy_admin_port: u16,
}

/// A resource that is not the same.
#[derive(Debug, Serialize)]
struct Difference {
    kind: &'static str,
    name: String,
    /// `added`, `removed` or `changed`.
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Value>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Log, Format::Json, Format::Yaml])?;
    if args.pods.len() + args.file.len() != 2 {
        return Err(failure::usage(
            "two configurations are compared: name two proxies, a proxy and -f FILE, or -f twice",
        ));
    }
    let mut dumps = Vec::new();
    for file in &args.file {
        dumps.push(Dump::read(file)?);
    }
    if !args.pods.is_empty() {
        let fetched = runtime::block_on(async {
            let cluster = context.cluster().await?;
            let mut fetched = Vec::new();
            for pod in &args.pods {
                fetched.push(fetch(&cluster, pod, args.proxy_admin_port).await?);
            }
            anyhow::Ok(fetched)
        })?;
        dumps.extend(fetched);
    }
    let [before, after] = dumps.as_slice() else {
        return Err(failure::usage("two configurations are compared"));
    };
    let differences = differences(before, after)?;
    match format {
        Format::Log => {
            let text: String = differences.iter().map(Difference::text).collect();
            context.printer.data(&text)?;
            if differences.is_empty() {
                context.printer.done("both configurations are the same");
            }
        }
        format => context.printer.structured(format, &differences)?,
    }
    Ok(match differences.is_empty() {
        true => Exit::Success,
        false => Exit::Failure,
    })
}

fn differences(before: &Dump, after: &Dump) -> anyhow::Result<Vec<Difference>> {
    let none = |_| Vec::new();
    let sections = [
        ("listener", before.listeners()?, after.listeners()?),
        ("route", before.routes()?, after.routes()?),
        ("cluster", before.clusters()?, after.clusters()?),
        // Only in dumps that were asked for them.
        (
            "endpoints",
            before.endpoints().unwrap_or_else(none),
            after.endpoints().unwrap_or_else(none),
        ),
    ];
    let mut found = Vec::new();
    for (kind, old, new) in sections {
        let (old, new) = (by_name(old), by_name(new));
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let (before, after) = (old.get(name), new.get(name));
            if before == after {
                continue;
            }
            found.push(Difference {
                kind,
                name: name.clone(),
                change: match (before, after) {
                    (None, _) => "added",
                    (_, None) => "removed",
                    _ => "changed",
                },
                before: before.map(|value| (*value).clone()),
                after: after.map(|value| (*value).clone()),
            });
        }
    }
    Ok(found)
}

fn by_name(resources: Vec<&Value>) -> BTreeMap<String, &Value> {
    let name = |resource: &Value| {
        let fields = ["name", "cluster_name", "clusterName"];
        let name = fields
            .iter()
            .find_map(|field| resource.get(field)?.as_str());
        name.unwrap_or_default().to_owned()
    };
    let named = resources
        .into_iter()
        .map(|resource| (name(resource), resource));
    named.collect()
}

// === impl Difference ===

impl Difference {
    fn text(&self) -> String {
        let yaml = |value: &Option<Value>| {
            let value = value.as_ref();
            value.map(mesh_core::yaml::to_yaml).unwrap_or_default()
        };
        let (before, after) = (yaml(&self.before), yaml(&self.after));
        let mut text = format!("{} {} ({})\n", self.kind, self.name, self.change);
        if self.change != "changed" {
            return text;
        }
        let diff = TextDiff::from_lines(&before, &after);
        for hunk in diff.unified_diff().context_radius(AROUND).iter_hunks() {
            text.push_str(&format!("{}\n", hunk.header()));
            for line in hunk.iter_changes() {
                let sign = match line.tag() {
                    ChangeTag::Delete => '-',
                    ChangeTag::Insert => '+',
                    ChangeTag::Equal => ' ',
                };
                text.push_str(&format!("{sign}{}\n", line.value().trim_end_matches('\n')));
            }
        }
        text
    }
}
