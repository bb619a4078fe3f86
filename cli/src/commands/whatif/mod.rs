//! `meshctl whatif`: what a change of objects would do, before it is applied: which proxies get another configuration, which requests go
//! elsewhere, what breaks, and who is shut out. Requests are decided by the very evaluation that `explain request` and the proxies use.
//!
//! ```text
//! objects now --Snapshot--> decisions on requests --+
//!    + change --Snapshot--> decisions on requests --+--compare--> effects
//! ```

mod effects;
mod proxies;
mod requests;

use std::collections::BTreeSet;
use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use mesh_core::analyze::{Options, analyze};
use mesh_core::diag::{Diagnostic, Level};
use mesh_core::explain::ProxiedWorkload;
use mesh_core::resource::{Resource, ResourceKey};
use mesh_core::snapshot::{Snapshot, SnapshotOptions};
use mesh_core::source::UNPARSABLE;
use serde::Serialize;

use super::explain::{Evaluator, knows_endpoints};
use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::gather::{self, Gathered};
use crate::{failure, input, runtime};
use effects::{Effect, Kind, Tried};
use proxies::ProxyChange;

const BAD: Style = AnsiColor::Red.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const TITLE: Style = Style::new().bold();

/// Show what a change would do: which proxies change, which requests are routed elsewhere, fail or are denied
///
/// The objects in the files replace those that are there. Requests are evaluated before and after the change by the code that the proxies
/// use: one from each workload and gateway to each HTTP service and host, and one for each condition of a route (path, method, headers).
/// Nothing is written or sent.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl whatif -f new-routes.yaml
  meshctl whatif -f policy.yaml --delete             # if these objects were deleted
  meshctl whatif -f change/ --base mesh/             # files against files, no cluster
  meshctl whatif -f change.yaml -o json

Output formats: log, json, yaml.
Exit code: 1 when requests that succeeded would fail or be denied.")]
pub struct Args {
    /// The change: files or directories with objects; - is standard input (repeatable)
    #[arg(short, long = "filename", value_name = "FILE|DIR|-", required = true)]
    files: Vec<String>,
    /// The state before the change, instead of the cluster's objects (repeatable)
    #[arg(long, value_name = "FILE|DIR")]
    base: Vec<String>,
    /// Delete the objects of the change instead of applying them
    #[arg(long)]
    delete: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    /// Objects that are new, other or gone.
    objects: Vec<ObjectChange>,
    /// Proxies that get another configuration.
    proxies: Vec<ProxyChange>,
    /// Proxies that there are.
    all_proxies: usize,
    requests: Vec<Effect>,
    /// Decisions that were compared.
    tried: usize,
    /// Whether there were more requests than are tried.
    cut: bool,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ObjectChange {
    change: &'static str,
    kind: &'static str,
    namespace: String,
    name: String,
}

/// A finding of the analysis that comes with the change.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    level: String,
    code: &'static str,
    object: Option<String>,
    message: String,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Log, Format::Json, Format::Yaml])?;
    let mut base = Gathered::default();
    let mut namespace = context.namespace().map(str::to_owned);
    if args.base.is_empty() {
        let cluster = runtime::block_on(gather::cluster(context, &mut base))?;
        namespace.get_or_insert(cluster.namespace);
    }
    let namespace = namespace.unwrap_or_else(|| "default".to_owned());
    for text in input::read_all(&args.base)? {
        base.add_text(&text, &namespace, Some(context));
    }
    let mut change = Gathered::default();
    for text in input::read_all(&args.files)? {
        change.add_text(&text, &namespace, Some(context));
    }
    for gathered in [&base, &change] {
        readable(gathered)?;
    }
    if change.resources.is_empty() {
        return Err(failure::data("the change has no object that is known"));
    }
    let changed: BTreeSet<ResourceKey> = change
        .resources
        .iter()
        .map(|resource| resource.key.clone())
        .collect();
    let kept = base
        .resources
        .iter()
        .filter(|resource| !changed.contains(&resource.key))
        .cloned();
    let mut after: Vec<Arc<Resource>> = kept.collect();
    if !args.delete {
        after.extend(change.resources.iter().cloned());
    }
    let objects = object_changes(&base.resources, &change.resources, args.delete);
    let build = |resources| Snapshot::build(resources, &SnapshotOptions::default()).0;
    let (before, after) = (build(base.resources), build(after));
    let answer = compare(&before, &after, objects);
    match format {
        Format::Log => context.printer.data(&answer.text())?,
        format => context.printer.structured(format, &answer)?,
    }
    let bad = answer.requests.iter().any(|effect| effect.kind.is_bad());
    Ok(if bad { Exit::Failure } else { Exit::Success })
}

/// An answer from half of a file would be an answer to another question.
fn readable(gathered: &Gathered) -> anyhow::Result<()> {
    let Some(broken) = gathered
        .findings
        .iter()
        .find(|found| found.code == UNPARSABLE)
    else {
        return Ok(());
    };
    let span = gathered.sources.locate_finding(broken);
    let place = span.map_or_else(String::new, |span| format!("{}: ", span.file));
    Err(failure::data(format!("{place}{}", broken.message)))
}

fn object_changes(
    base: &[Arc<Resource>],
    change: &[Arc<Resource>],
    delete: bool,
) -> Vec<ObjectChange> {
    let rows = change.iter().map(|resource| {
        let known = base.iter().any(|other| other.key == resource.key);
        ObjectChange {
            change: match (known, delete) {
                (true, true) => "deleted",
                (false, true) => "not there",
                (true, false) => "changed",
                (false, false) => "new",
            },
            kind: resource.key.kind.name(),
            namespace: resource.key.namespace.to_string(),
            name: resource.key.name.to_string(),
        }
    });
    rows.collect()
}

fn compare(before: &Snapshot, after: &Snapshot, objects: Vec<ObjectChange>) -> Answer {
    let (old, new) = (Evaluator::new(before), Evaluator::new(after));
    let clients = ProxiedWorkload::all(after);
    let proxies = clients
        .iter()
        .filter_map(|client| {
            let (then, now) = (old.config(&client.scope), new.config(&client.scope));
            ProxyChange::between(&client.name, &then, &now)
        })
        .collect();
    let asked = requests::requests(before, after, &clients);
    let (knew, knows) = (knows_endpoints(before), knows_endpoints(after));
    let mut tried = Tried::default();
    for (client, request) in &asked.pairs {
        let (then, now) = (
            old.decide(client, &request.asked),
            new.decide(client, &request.asked),
        );
        tried.compare(client, request, (&then, knew), (&now, knows));
    }
    Answer {
        objects,
        proxies,
        all_proxies: clients.len(),
        tried: asked.pairs.len(),
        cut: asked.cut,
        requests: tried.effects(),
        findings: findings(before, after),
    }
}

/// Warnings and errors of the analysis that were not there before.
fn findings(before: &Snapshot, after: &Snapshot) -> Vec<Finding> {
    let options = Options::default();
    let key = |found: &Diagnostic| {
        let object = found.resource.as_ref().map(ToString::to_string);
        (found.code, object, found.message.clone())
    };
    let known: BTreeSet<_> = analyze(before, &options).iter().map(key).collect();
    let new = analyze(after, &options).into_iter();
    let new = new.filter(|found| found.level != Level::Info && !known.contains(&key(found)));
    new.map(|found| Finding {
        level: found.level.to_string(),
        code: found.code,
        object: found.resource.as_ref().map(ToString::to_string),
        message: found.message,
    })
    .collect()
}

// === impl Answer ===

impl Answer {
    fn text(&self) -> String {
        let mut text = String::new();
        for object in &self.objects {
            text.push_str(&format!(
                "{} {}/{} ({})\n",
                object.kind, object.namespace, object.name, object.change
            ));
        }
        text.push_str(&format!(
            "\n{TITLE}proxies{TITLE:#}: {} of {} get another configuration\n",
            self.proxies.len(),
            self.all_proxies
        ));
        for proxy in &self.proxies {
            text.push_str(&format!("  {proxy}\n"));
        }
        let more = if self.cut {
            " (there are more, which are not tried)"
        } else {
            ""
        };
        text.push_str(&format!(
            "\n{TITLE}requests{TITLE:#}: {} tried{more}, {} end otherwise\n",
            self.tried,
            self.requests
                .iter()
                .map(|effect| effect.from.len())
                .sum::<usize>()
        ));
        for effect in &self.requests {
            let style = match effect.kind {
                kind if kind.is_bad() => BAD,
                Kind::Mended | Kind::LetIn => GOOD,
                _ => Style::new(),
            };
            text.push_str(&format!(
                "  {style}{}{style:#} {effect}\n",
                effect.kind.name()
            ));
        }
        if !self.findings.is_empty() {
            text.push_str(&format!(
                "\n{TITLE}findings{TITLE:#} that were not there before\n"
            ));
        }
        for finding in &self.findings {
            let object = finding.object.as_deref().unwrap_or("-");
            let (level, code) = (&finding.level, finding.code);
            text.push_str(&format!(
                "  {level} [{code}] ({object}) {}\n",
                finding.message
            ));
        }
        text
    }
}
