//! The words of the command, checked before any cluster is asked.

use std::time::Duration;

use mesh_core::model::DurationText;
use mesh_core::shift::WeightRequest;

use super::refused;
use crate::failure::{self, Advice as _};

/// Shift traffic between versions of a service, measured
///
/// Subsets that are not named share the rest in the proportions that they have now. The VirtualService is made where none routes
/// to the service, and so are subsets of the DestinationRule, from the pods' version labels. The command shows what changes, writes
/// it, waits until all proxies have acknowledged it, and compares what the proxies count with what was asked.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl shift reviews v3=50                            # the rest stays in proportion
  meshctl shift reviews v1=90 v3=10 --dry-run            # only show it
  meshctl shift reviews v3=100 --steps 10,25,50 --interval 1m
  meshctl shift reviews v3=50 --probe http://localhost:8080/productpage --requests 200
  meshctl shift reviews --undo

With --steps each step is measured; a step that deviates or whose new version fails more often than the others is taken back, step
by step, and so is everything on Ctrl-C.

Output formats: table, json, yaml.
Exit codes: 1 when the observed shares deviate from those asked, when a proxy refuses the change, or after a rollback.")]
pub struct Args {
    /// The service: NAME, NAME.NAMESPACE or a whole host
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// Shares of subsets in percent
    #[arg(value_name = "SUBSET=WEIGHT")]
    pub shares: Vec<String>,
    /// Show what would change, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Weights to stop at on the way; needs exactly one SUBSET=WEIGHT
    #[arg(long, value_name = "WEIGHT,...", value_delimiter = ',')]
    pub steps: Vec<String>,
    /// How long each step is measured at least (default: 30s)
    #[arg(long, value_name = "DURATION")]
    pub interval: Option<String>,
    /// Take the last shift of the service back
    #[arg(long)]
    pub undo: bool,
    /// How long the proxies may take to acknowledge
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub timeout: String,
    /// Do not ask before writing
    #[arg(short, long)]
    pub yes: bool,
    /// How long to measure; 0 not at all (default: 10s)
    #[arg(long, value_name = "DURATION")]
    pub measure: Option<String>,
    /// Stop measuring after this many requests
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub requests: Option<u64>,
    /// Send requests to this address, so that there is something to measure
    #[arg(long, value_name = "URL")]
    pub probe: Option<String>,
}

/// What to do.
#[derive(Debug)]
pub enum Task {
    /// To shift.
    Shift {
        /// To what.
        ask: WeightRequest,
        /// Stops on the way.
        steps: Vec<u32>,
    },
    /// To take the last shift back.
    Undo,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until the proxies have acknowledged.
    pub timeout: Duration,
    /// Between the beginnings of steps, at least.
    pub interval: Duration,
    /// Of one measurement.
    pub window: Duration,
    /// A measurement with this many requests is complete.
    pub enough: Option<u64>,
}

/// Requests that a probe sends when nobody says how many.
pub const PROBES: u64 = 100;

// === impl Args ===

impl Args {
    /// What the words ask for.
    pub fn task(&self) -> anyhow::Result<Task> {
        if self.undo {
            if !self.shares.is_empty() || !self.steps.is_empty() {
                return Err(failure::usage(
                    "--undo takes the last shift back and takes no SUBSET=WEIGHT and no --steps",
                ));
            }
            return Ok(Task::Undo);
        }
        let ask = WeightRequest::parse(&self.shares).map_err(refused)?;
        if !self.steps.is_empty() && ask.shares().len() != 1 {
            return Err(failure::usage("--steps needs exactly one SUBSET=WEIGHT")).hint(
                "the other subsets share the rest at every step; give more than one only without --steps",
            );
        }
        if self.steps.is_empty() && self.interval.is_some() {
            return Err(failure::usage(
                "--interval is about --steps, which are not given",
            ));
        }
        let step = |text: &String| {
            text.trim().parse::<u32>().map_err(|_| {
                failure::usage(format!("step {text:?} is not a whole number from 0 to 100"))
            })
        };
        let steps = self.steps.iter().map(step).collect::<anyhow::Result<_>>()?;
        Ok(Task::Shift { ask, steps })
    }

    /// The limits that the words set.
    pub fn limits(&self) -> anyhow::Result<Limits> {
        let duration = |name: &str, text: &str| {
            text.parse::<DurationText>()
                .map(|duration| duration.0)
                .map_err(|error| failure::usage(format!("--{name}: {error}")))
        };
        let interval = match &self.interval {
            Some(text) => duration("interval", text)?,
            None => Duration::from_secs(30),
        };
        let window = match &self.measure {
            Some(text) => duration("measure", text)?,
            None if !self.steps.is_empty() => interval,
            None if self.requests.is_some() || self.probe.is_some() => Duration::from_secs(60),
            None => Duration::from_secs(10),
        };
        Ok(Limits {
            timeout: duration("timeout", &self.timeout)?,
            interval,
            window,
            enough: self.requests,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::exit::Exit;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        args: Args,
    }

    fn args(words: &[&str]) -> Args {
        Words::try_parse_from([&["shift", "reviews"], words].concat())
            .map(|words| words.args)
            .unwrap()
    }

    #[test]
    fn words_that_make_no_sense_are_refused() {
        for (words, message) in [
            (
                &["v3=50", "--undo"][..],
                "--undo takes the last shift back and takes no SUBSET=WEIGHT and no --steps",
            ),
            (&[], "no SUBSET=WEIGHT is given"),
            (
                &["v3=50", "v2=10", "--steps", "10,20"],
                "--steps needs exactly one SUBSET=WEIGHT",
            ),
            (
                &["v3=50", "--steps", "ten"],
                "step \"ten\" is not a whole number from 0 to 100",
            ),
            (
                &["v3=50", "--interval", "1m"],
                "--interval is about --steps, which are not given",
            ),
            (
                &["v3=60", "v1=50"],
                "the weights add up to 110, which is more than 100",
            ),
        ] {
            let error = args(words).task().unwrap_err();
            assert_eq!(error.to_string(), message);
            assert_eq!(failure::exit(&error), Exit::Usage);
        }
        let error = args(&["v3=50", "--measure", "soon"]).limits().unwrap_err();
        assert_eq!(
            error.to_string(),
            "--measure: \"soon\" is not a duration such as 10s, 250ms or 1h30m"
        );
    }

    #[test]
    fn measurements_last_as_long_as_they_must() {
        for (words, seconds) in [
            (&["v3=50"][..], 10),
            (&["v3=50", "--requests", "100"], 60),
            (&["v3=50", "--probe", "http://localhost/"], 60),
            (&["v3=50", "--steps", "10"], 30),
            (&["v3=50", "--steps", "10", "--interval", "1m"], 60),
            (&["v3=50", "--measure", "0"], 0),
        ] {
            let window = args(words).limits().unwrap().window;
            assert_eq!(window, Duration::from_secs(seconds), "{words:?}");
        }
    }
}
