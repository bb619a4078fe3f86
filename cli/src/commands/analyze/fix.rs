//! Mending files: what is certain is written, and nothing else is touched.

use std::path::Path;

use anstyle::{AnsiColor, Style};
use mesh_core::analyze::{Repair, repaired, repairs};
use mesh_core::diag::Diagnostic;
use mesh_core::source::SourceMap;
use similar::TextDiff;

use crate::context::Context;
use crate::failure::{self, Advice as _};
use crate::input::Input;
use crate::output_file;

const REMOVED: Style = AnsiColor::Red.on_default();
const ADDED: Style = AnsiColor::Green.on_default();
const PLACE: Style = AnsiColor::Cyan.on_default();

/// What was done.
pub enum Outcome {
    /// There was nothing to mend.
    Nothing,
    /// Files were written, and the inputs are what they hold now.
    Written,
    /// It was only shown what would be written.
    Shown {
        /// Whether anything would be.
        differs: bool,
    },
}

/// Mends the texts that findings are about. With `diff` it is only shown how.
pub fn run(
    findings: &[Diagnostic],
    sources: &SourceMap,
    inputs: &mut [Input],
    diff: bool,
    context: &Context,
) -> anyhow::Result<Outcome> {
    let repairs = repairs(findings, sources);
    let printer = &context.printer;
    let mut done = false;
    for input in inputs {
        let Some(of_text) = repairs.get(input.name.as_str()) else {
            continue;
        };
        let Some(text) = repaired(&input.text, of_text) else {
            printer.warn(&format!(
                "{} is left as it is: it could not be read any more once it is mended",
                input.name
            ));
            continue;
        };
        done = true;
        if diff {
            printer.data(&difference(&input.name, &input.text, &text))?;
            continue;
        }
        if input.name == "-" {
            return Err(failure::usage("standard input cannot be mended"))
                .hint("--diff shows what would be written");
        }
        output_file::write(Path::new(&input.name), text.as_bytes())?;
        for repair in of_text {
            printer.note(&told(&input.name, repair));
        }
        input.text = text;
    }
    Ok(match (diff, done) {
        (true, differs) => Outcome::Shown { differs },
        (false, true) => Outcome::Written,
        (false, false) => {
            printer.note("there is nothing that could be mended for certain");
            Outcome::Nothing
        }
    })
}

/// `a.yaml:12: mended IST0133: write shop/front instead of front.shop`.
fn told(name: &str, repair: &Repair) -> String {
    format!(
        "{name}:{}: mended {}: {}",
        repair.line, repair.code, repair.what
    )
}

/// A unified difference that `patch` takes.
fn difference(name: &str, before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let mut unified = diff.unified_diff();
    let text = unified.context_radius(3).header(name, name).to_string();
    let styled = text.split_inclusive('\n').map(|line| {
        let style = match line.as_bytes().first() {
            Some(b'-') => REMOVED,
            Some(b'+') => ADDED,
            Some(b'@') => PLACE,
            _ => return line.to_owned(),
        };
        let bare = line.strip_suffix('\n').unwrap_or(line);
        format!("{style}{bare}{style:#}\n")
    });
    styled.collect()
}
