//! Progress of long work. Work says what happens, step by step; this room alone decides how it looks.
//!
//! ```text
//! reporter.step("istiod") -> say("waiting for Deployment istiod") ... -> done("istiod is ready") | failed("...")
//! ```
//!
//! On a terminal each step is a line that changes in place; elsewhere (pipes, logs of CI) each change is a line of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::printer::Printer;

/// How often the wheel of a running step turns.
const TICK: Duration = Duration::from_millis(100);

/// Shows the steps of one piece of work. Clones show into the same place.
#[derive(Clone)]
pub struct Reporter {
    printer: Printer,
    bars: Option<MultiProgress>,
}

/// One step. Dropping it without an end removes its line.
pub struct Step {
    reporter: Reporter,
    bar: Option<ProgressBar>,
    latest: Arc<Mutex<String>>,
}

// === impl Reporter ===

impl Reporter {
    /// A reporter for the terminal when there is one.
    pub fn new(printer: Printer) -> Self {
        let bars = printer
            .has_terminal()
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        Self { printer, bars }
    }

    /// Whether steps change in place, so that many small changes disturb nobody.
    pub fn is_live(&self) -> bool {
        self.bars.is_some()
    }

    /// Begins a step, and says what happens in it first.
    pub fn step(&self, text: &str) -> Step {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "));
            }
            bar.enable_steady_tick(TICK);
            bar
        });
        let step = Step {
            reporter: self.clone(),
            bar,
            latest: Arc::default(),
        };
        step.say(text);
        step
    }

    /// Shows a sentence between steps.
    pub fn note(&self, text: &str) {
        self.apart(|printer| printer.note(text));
    }

    /// Shows that something was done that had no step of its own.
    pub fn done(&self, text: &str) {
        self.apart(|printer| printer.done(text));
    }

    /// Shows a warning between steps.
    pub fn warn(&self, text: &str) {
        self.apart(|printer| printer.warn(text));
    }

    /// Writes while the lines in progress are out of the way.
    pub fn apart<T>(&self, write: impl FnOnce(&Printer) -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(|| write(&self.printer)),
            None => write(&self.printer),
        }
    }
}

// === impl Step ===

impl Step {
    /// Says what happens now.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => {
                let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
                if *latest != text {
                    text.clone_into(&mut latest);
                    self.reporter.printer.note(&format!("- {text}"));
                }
            }
        }
    }

    /// Ends the step well.
    pub fn done(self, text: &str) {
        self.clear();
        self.reporter.done(text);
    }

    /// Ends the step badly.
    pub fn failed(self, text: &str) {
        self.clear();
        self.reporter
            .apart(|printer| printer.note(&format!("✘ {text}")));
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.clear();
    }
}
