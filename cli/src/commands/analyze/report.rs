//! How findings look: istioctl's line with the place in its text below it, JSON and YAML with istioctl's keys, or what code hosts and
//! test reporters read.

use anstyle::{AnsiColor, Style};
use mesh_core::analyze::{Code, Located, Rendered, github, junit, line, sarif};
use mesh_core::diag::{Diagnostic, Level};
use mesh_core::source::SourceMap;

use crate::context::Format;
use crate::printer::Printer;
use crate::snippet;

/// What was analyzed.
pub struct Subject<'a> {
    pub files: &'a [String],
    pub namespace: Option<&'a str>,
    pub uses_cluster: bool,
    /// The mildest level that makes the command fail.
    pub fails: Level,
}

/// Prints findings, and on standard error how many there are.
pub fn print(
    found: &[&Diagnostic],
    sources: &SourceMap,
    subject: &Subject<'_>,
    format: Format,
    printer: &Printer,
) -> anyhow::Result<()> {
    let located = || -> Vec<Located<'_>> {
        let found = found.iter();
        found
            .map(|found| (*found, sources.locate_finding(found)))
            .collect()
    };
    match format {
        Format::Log => {
            let texts: Vec<String> = found.iter().map(|found| text(found, sources)).collect();
            if !texts.is_empty() {
                printer.data(&texts.join("\n"))?;
            }
        }
        Format::Sarif => printer.json(&sarif(&located()))?,
        Format::Github => printer.data(&github(&located()))?,
        Format::Junit => printer.data(&junit(&located(), subject.fails))?,
        format => {
            let rendered: Vec<Rendered> = located()
                .iter()
                .map(|(found, span)| Rendered::new(found, span.as_ref()))
                .collect();
            printer.structured(format, &rendered)?;
        }
    }
    if found.is_empty() {
        printer.done(&format!(
            "No validation issues found when analyzing {}.",
            subject.describe()
        ));
    } else {
        printer.note(&format!(
            "found {} when analyzing {}",
            count(found),
            subject.describe()
        ));
    }
    Ok(())
}

fn text(found: &Diagnostic, sources: &SourceMap) -> String {
    let span = sources.locate_finding(found);
    let level = found.level.to_string();
    let style = style(found.level);
    let line = line(found, span.as_ref());
    let rest = line.strip_prefix(level.as_str()).unwrap_or(&line);
    let place = span
        .as_ref()
        .and_then(|span| Some((sources.text(&span.file)?, span)));
    let page = Code::documentation_url(found.code);
    let below = snippet::render(found, place, Some(&page));
    format!("{style}{level}{style:#}{rest}\n{below}")
}

fn style(level: Level) -> Style {
    match level {
        Level::Error => AnsiColor::Red.on_default().bold(),
        Level::Warning => AnsiColor::Yellow.on_default(),
        Level::Info => AnsiColor::Cyan.on_default(),
    }
}

fn count(found: &[&Diagnostic]) -> String {
    let levels = [
        (Level::Error, "error"),
        (Level::Warning, "warning"),
        (Level::Info, "info"),
    ];
    let counted = levels.map(|(level, name)| {
        (
            found.iter().filter(|found| found.level == level).count(),
            name,
        )
    });
    let parts: Vec<String> = counted
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| {
            format!(
                "{count} {name}{}",
                if count == 1 || name == "info" {
                    ""
                } else {
                    "s"
                }
            )
        })
        .collect();
    parts.join(", ")
}

// === impl Subject ===

impl Subject<'_> {
    fn describe(&self) -> String {
        let cluster = self.uses_cluster.then(|| match self.namespace {
            Some(namespace) => format!("namespace: {namespace}"),
            None => "all namespaces".to_owned(),
        });
        let files = (!self.files.is_empty()).then(|| match self.files {
            [] => String::new(),
            [file] if file == "-" => "standard input".to_owned(),
            [file] => file.clone(),
            files if files.len() <= 3 => files.join(", "),
            [first, rest @ ..] => format!("{first} and {} more files", rest.len()),
        });
        let parts: Vec<String> = files.into_iter().chain(cluster).collect();
        parts.join(" with ")
    }
}
