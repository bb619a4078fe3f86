//! `meshctl explain error`: what a flag, a detail or a whole line of an access log means.

use mesh_core::access_log::{Detail, Entry, Flag, detail, flag};
use serde_json::{Value, json};

use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::failure::{self, Advice as _};

/// Explain a response flag, a response code detail, or a line of a proxy's access log
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl explain error UF
  meshctl explain error UF,URX
  meshctl explain error rbac_access_denied_matched_policy[none]
  meshctl explain error '[2026-11-28T12:00:00.000Z] \"GET / HTTP/1.1\" 503 UH no_healthy_upstream - ...'
  kubectl logs POD -c istio-proxy | tail -1 | meshctl explain error -

Output formats: log, json, yaml.")]
pub struct Args {
    /// Response flags, a response code detail, or a line of an access log; - reads a line from standard input
    #[arg(value_name = "FLAG|DETAIL|LINE", required = true, num_args = 1.., allow_hyphen_values = false)]
    what: Vec<String>,
}

/// What was found.
#[derive(Default)]
struct Found {
    entry: Option<Entry>,
    flags: Vec<&'static Flag>,
    details: Vec<(String, &'static Detail)>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Log, Format::Json, Format::Yaml])?;
    let text = match args.what.as_slice() {
        [dash] if dash == "-" => std::io::read_to_string(std::io::stdin().lock())
            .hint("give one line of an access log")?,
        words => words.join(" "),
    };
    let found = find(text.trim())?;
    match format {
        Format::Log => context.printer.data(&found.text())?,
        format => context.printer.structured(format, &found.document())?,
    }
    Ok(Exit::Success)
}

fn find(text: &str) -> anyhow::Result<Found> {
    if let Some(entry) = Entry::parse(text) {
        let known = entry.details.clone().and_then(|text| {
            let meaning = detail(&text)?;
            Some((text, meaning))
        });
        return Ok(Found {
            flags: entry.flags.iter().filter_map(|name| flag(name)).collect(),
            details: known.into_iter().collect(),
            entry: Some(entry),
        });
    }
    if text.starts_with('[') || text.starts_with('{') {
        return Err(failure::data(
            "the line is not of Istio's default format of access logs, as text or as JSON",
        ))
        .hint("give the flags (%RESPONSE_FLAGS%) or the details (%RESPONSE_CODE_DETAILS%) by themselves");
    }
    let mut found = Found::default();
    let words = text
        .split([',', ' '])
        .map(str::trim)
        .filter(|word| !word.is_empty());
    for word in words {
        if let Some(flag) = flag(word) {
            found.flags.push(flag);
        } else if let Some(meaning) = detail(word) {
            found.details.push((word.to_owned(), meaning));
        } else {
            let error = failure::usage(format!(
                "{word:?} is neither a flag nor a detail that is known"
            ));
            return Err(failure::advise(
                error,
                "flags are short names such as UF, UH or NR; a whole line is put in quotes",
            ));
        }
    }
    Ok(found)
}

// === impl Found ===

impl Found {
    fn text(&self) -> String {
        let mut text = String::new();
        if let Some(entry) = &self.entry {
            text.push_str(&summary(entry));
        }
        for flag in &self.flags {
            text.push_str(&format!(
                "{} ({}): {}\n",
                flag.short, flag.long, flag.meaning
            ));
            for cause in flag.causes {
                text.push_str(&format!("  often: {cause}\n"));
            }
            for next in flag.next {
                text.push_str(&format!("  next:  {next}\n"));
            }
        }
        for (name, detail) in &self.details {
            text.push_str(&format!("{name}: {}\n", detail.meaning));
            if !detail.next.is_empty() {
                text.push_str(&format!("  next:  {}\n", detail.next));
            }
        }
        if self.flags.is_empty() && self.details.is_empty() {
            text.push_str(
                "the line tells nothing of a failure: no flag, and no detail that is known\n",
            );
        }
        text
    }

    fn document(&self) -> Value {
        let flags: Vec<Value> = self
            .flags
            .iter()
            .map(|flag| {
                json!({
                    "flag": flag.short,
                    "name": flag.long,
                    "meaning": flag.meaning,
                    "causes": flag.causes,
                    "next": flag.next,
                })
            })
            .collect();
        let details: Vec<Value> = self
            .details
            .iter()
            .map(|(name, detail)| json!({"detail": name, "meaning": detail.meaning, "next": detail.next}))
            .collect();
        json!({"entry": self.entry, "flags": flags, "details": details})
    }
}

/// What the line says of the request.
fn summary(entry: &Entry) -> String {
    let text = |field: &Option<String>| field.clone().unwrap_or_else(|| "-".to_owned());
    let mut lines = Vec::new();
    lines.push(match entry.is_connection() {
        true => format!("a connection of {}", text(&entry.downstream_remote)),
        false => format!(
            "{} {}{} was answered with {}",
            text(&entry.method),
            text(&entry.authority),
            text(&entry.path),
            entry
                .code
                .map_or_else(|| "nothing".to_owned(), |code| code.to_string())
        ),
    });
    if let Some(cluster) = &entry.upstream_cluster {
        let host = match &entry.upstream_host {
            Some(host) => format!(", endpoint {host}"),
            None => ", no endpoint".to_owned(),
        };
        lines.push(format!("cluster {cluster}{host}"));
    }
    if let Some(reason) = &entry.transport_failure {
        lines.push(format!("the connection to the endpoint failed: {reason}"));
    }
    if let Some(reason) = &entry.termination {
        lines.push(format!("the connection was ended: {reason}"));
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}
