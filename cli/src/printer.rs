//! The only place that writes: data to standard output, talk to standard error.
//!
//! Data that nobody reads any more (a closed pipe) is an error that ends the command with success; talk that nobody reads is
//! dropped. Meaning never depends on colour, and colour is only used on terminals.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::args::Color;
use crate::context::Format;
use crate::failure::ClosedOutput;

/// Writes for one process. Clones write to the same streams.
#[derive(Clone)]
pub struct Printer {
    streams: Arc<Mutex<Streams>>,
    verbosity: u8,
}

struct Streams {
    stdout: AutoStream<io::Stdout>,
    stderr: AutoStream<io::Stderr>,
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default().bold();

// === impl Printer ===

impl Printer {
    /// A printer by flags.
    pub fn new(color: Color, verbosity: u8) -> Self {
        let choose = |automatic| match color {
            Color::Auto => automatic,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let streams = Streams {
            stdout: AutoStream::new(stdout, choose(AutoStream::choice(&io::stdout()))),
            stderr: AutoStream::new(stderr, choose(AutoStream::choice(&io::stderr()))),
        };
        Self {
            streams: Arc::new(Mutex::new(streams)),
            verbosity,
        }
    }

    /// Writes data as it is; styles in it are removed where they are not wanted.
    pub fn data(&self, text: &str) -> anyhow::Result<()> {
        self.with(|streams| {
            streams.stdout.write_all(text.as_bytes())?;
            streams.stdout.flush()
        })
        .map_err(failed)
    }

    /// Writes data without looking at it: bytes that must arrive as they are.
    pub fn raw(&self, bytes: &[u8]) -> anyhow::Result<()> {
        self.with(|_| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes)?;
            stdout.flush()
        })
        .map_err(failed)
    }

    /// Writes a value as indented JSON.
    pub fn json(&self, value: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(value).context("failed to write JSON")?;
        text.push('\n');
        self.data(&text)
    }

    /// Writes a value as YAML.
    pub fn yaml(&self, value: &impl Serialize) -> anyhow::Result<()> {
        let value = serde_json::to_value(value).context("failed to write YAML")?;
        self.data(&mesh_core::yaml::to_yaml(&value))
    }

    /// Writes a value in a format for programs: YAML for it, else JSON.
    pub fn structured(&self, format: Format, value: &impl Serialize) -> anyhow::Result<()> {
        match format {
            Format::Yaml => self.yaml(value),
            _ => self.json(value),
        }
    }

    /// Writes a table as kubectl does: no borders, upper-case titles, cells of the last column not padded.
    pub fn table<const N: usize>(
        &self,
        titles: [&str; N],
        rows: &[[String; N]],
    ) -> anyhow::Result<()> {
        self.data(&render_table(
            &titles,
            rows.iter().map(<[String; N]>::as_slice),
        ))
    }

    /// Writes a sentence to standard error.
    pub fn note(&self, text: &str) {
        self.talk(&format!("{text}\n"));
    }

    /// Writes a sentence to standard error when `-v` was given as many times.
    pub fn detail(&self, level: u8, text: &str) {
        if self.verbosity >= level {
            self.note(text);
        }
    }

    /// Writes that something was done: `✔ text`.
    pub fn done(&self, text: &str) {
        self.note(&format!("{GOOD}✔{GOOD:#} {text}"));
    }

    /// Writes a warning.
    pub fn warn(&self, text: &str) {
        self.note(&format!("{WARNING}warning:{WARNING:#} {text}"));
    }

    /// Writes an error.
    pub fn error(&self, text: &str) {
        self.note(&format!("{ERROR}error:{ERROR:#} {text}"));
    }

    /// Writes what to do next.
    pub fn hint(&self, text: &str) {
        self.note(&format!("{HINT}hint:{HINT:#} {text}"));
    }

    /// Whether data goes to a terminal.
    pub fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether people see standard error at once, so that progress may be drawn there.
    pub fn has_terminal(&self) -> bool {
        io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// Writes to standard error as it is; nobody to tell when that fails.
    pub fn talk(&self, text: &str) {
        self.with(|streams| {
            let _ = streams.stderr.write_all(text.as_bytes());
            let _ = streams.stderr.flush();
        });
    }

    fn with<T>(&self, write: impl FnOnce(&mut Streams) -> T) -> T {
        write(&mut self.streams.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Why data could not be written.
fn failed(error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return ClosedOutput.into();
    }
    anyhow::Error::from(error).context("failed to write to standard output")
}

/// A table as kubectl writes it, with three blanks between columns.
pub fn render_table<'a>(titles: &[&str], rows: impl Iterator<Item = &'a [String]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(titles);
    for row in rows {
        table.add_row(row);
    }
    let last = titles.len().saturating_sub(1);
    for (position, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if position == last { 0 } else { 3 }));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::render_table;

    #[test]
    fn tables_look_like_kubectl() {
        let rows = [
            ["a".to_owned(), "long value".to_owned(), "x".to_owned()],
            ["bb".to_owned(), String::new(), "y".to_owned()],
        ];
        let text = render_table(&["NAME", "B", "C"], rows.iter().map(|row| row.as_slice()));
        assert_eq!(
            text,
            "NAME   B            C\na      long value   x\nbb                  y\n"
        );
        assert_eq!(render_table(&["NAME", "B"], [].into_iter()), "NAME   B\n");
    }
}
