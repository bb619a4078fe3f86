//! The words of the command, checked before any cluster is asked.

use std::time::Duration;

use clap::Subcommand;
use mesh_core::model::DurationText;
use mesh_core::shift::{self, WeightRequest};
use serde::{Deserialize, Serialize};

use super::probe::Address;
use super::refused;
use crate::failure::{self, Advice as _};

/// Shift traffic between versions of a service, and measure the result
///
/// Subsets that are not named keep their proportions and share the rest. Where no VirtualService routes to the service, one is created;
/// missing subsets are added to the DestinationRule, by the pods' version labels. The command shows what changes, writes it, waits until all
/// proxies have acknowledged it, and compares what the proxies count with what was asked.
#[derive(Debug, clap::Args)]
#[command(
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "Examples:
  meshctl shift reviews v3=50                            # the rest stays in proportion
  meshctl shift reviews v1=90 v3=10 --dry-run            # only show it
  meshctl shift reviews v3=100 --match end-user=jason    # requests with this header first
  meshctl shift reviews v3 --steps 10,25,50,100 --interval 30s --max-5xx 1% --max-p99 300ms
  meshctl shift reviews v3=50 --probe http://localhost:8080/productpage --requests 200
  meshctl shift reviews --resume                         # continue an interrupted shift
  meshctl shift reviews --undo=2                         # undo the last two shifts
  meshctl shift status                                   # what is under way or can be undone

With --steps each step is measured. When a step exceeds a limit, its shares deviate, or the new
version fails more often than the others, all steps are rolled back. Ctrl-C stops at the current
step: --resume continues, --undo goes back.
A service called status needs its namespace: status.NAMESPACE.

Output formats: table, json, yaml.
Exit codes: 1 when the observed shares deviate from those asked, when a proxy rejects the change,
after a rollback, or when stopped; 80 after a rollback because --max-5xx or --max-p99 was exceeded."
)]
pub struct Args {
    /// What else there is to do.
    #[command(subcommand)]
    pub action: Option<Action>,
    /// The service: NAME, NAME.NAMESPACE or a whole host
    #[arg(value_name = "SERVICE", required = true)]
    pub service: Option<String>,
    #[command(flatten)]
    pub asked: Asked,
    /// Show what would change, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Undo the last N shifts of the service (one without N)
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "1",
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub undo: Option<u32>,
    /// Continue an interrupted shift
    #[arg(long)]
    pub resume: bool,
    /// Do not ask before writing
    #[arg(short, long)]
    pub yes: bool,
}

/// What else there is to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Show shifts: their state, the current shares, and how many can be undone
    #[command(after_help = "Examples:
  meshctl shift status
  meshctl shift status reviews -o json

Output formats: table, json, yaml.")]
    Status {
        /// The service: NAME, NAME.NAMESPACE or a whole host; all by default
        #[arg(value_name = "SERVICE")]
        service: Option<String>,
    },
}

/// What is asked of a shift. It is kept as long as the shift is under way, so that it can be gone on with.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Asked {
    /// Shares of subsets in percent; with --steps a weight may be left out
    #[arg(value_name = "SUBSET=WEIGHT")]
    pub shares: Vec<String>,
    /// Intermediate weights; needs exactly one SUBSET or SUBSET=WEIGHT
    #[arg(long, value_name = "WEIGHT,...", value_delimiter = ',')]
    pub steps: Vec<String>,
    /// How long to measure each step, at least (default: 30s)
    #[arg(long, value_name = "DURATION")]
    pub interval: Option<String>,
    /// Roll back when a larger share of the subset's requests fails (5xx, or no pod reached)
    #[arg(long = "max-5xx", value_name = "SHARE")]
    pub max_5xx: Option<String>,
    /// Roll back when the 99th percentile of the subset's request durations is longer
    #[arg(long, value_name = "DURATION")]
    pub max_p99: Option<String>,
    /// Shift only requests that have this header
    #[arg(long = "match", value_name = "HEADER=VALUE")]
    pub header: Option<String>,
    /// How long to wait for the proxies to acknowledge (default: 60s)
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// How long to measure; 0 for not at all (default: 10s)
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
    },
    /// To take the last shifts back.
    Undo(u32),
    /// To go on with a shift that was interrupted.
    Resume,
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
    /// What the new version may not exceed.
    pub allowed: shift::Limits,
}

/// Requests that a probe sends when nobody says how many.
pub const PROBES: u64 = 100;

// === impl Args ===

impl Args {
    /// What the words ask for.
    pub fn task(&self) -> anyhow::Result<Task> {
        let asks = Asked {
            timeout: None,
            ..self.asked.clone()
        } != Asked::default();
        if let Some(shifts) = self.undo {
            if asks || self.resume {
                return Err(failure::usage(
                    "--undo takes the last shift back and takes no SUBSET=WEIGHT and no --steps",
                ));
            }
            return Ok(Task::Undo(shifts));
        }
        if self.resume {
            if asks || self.dry_run {
                return Err(failure::usage(
                    "--resume goes on with what was asked before and takes no SUBSET=WEIGHT and no other flags",
                ));
            }
            return Ok(Task::Resume);
        }
        let (ask, _) = self.asked.weights()?;
        Ok(Task::Shift { ask })
    }
}

// === impl Asked ===

impl Asked {
    /// The weights that are asked for, and those on the way.
    pub fn weights(&self) -> anyhow::Result<(WeightRequest, Vec<u32>)> {
        let step = |text: &String| {
            text.trim().parse::<u32>().map_err(|_| {
                failure::usage(format!("step {text:?} is not a whole number from 0 to 100"))
            })
        };
        let mut shares = self.shares.clone();
        if let ([subset], Some(last)) = (shares.as_mut_slice(), self.steps.last())
            && !subset.contains('=')
        {
            *subset = format!("{subset}={}", last.trim());
        }
        let mut ask = WeightRequest::parse(&shares).map_err(refused)?;
        if let Some(header) = &self.header {
            ask = ask.only_for(header).map_err(refused)?;
        }
        let one = ask.shares().len() == 1;
        if !self.steps.is_empty() && !one {
            return Err(failure::usage("--steps needs exactly one SUBSET=WEIGHT")).hint(
                "the other subsets share the rest at every step; give more than one only without --steps",
            );
        }
        if (self.max_5xx.is_some() || self.max_p99.is_some()) && !one {
            return Err(failure::usage(
                "--max-5xx and --max-p99 need exactly one SUBSET=WEIGHT, which they are about",
            ));
        }
        if self.steps.is_empty() && self.interval.is_some() {
            return Err(failure::usage(
                "--interval is about --steps, which are not given",
            ));
        }
        let steps = self.steps.iter().map(step).collect::<anyhow::Result<_>>()?;
        Ok((ask, steps))
    }

    /// Whether it goes step by step, and is taken back when a step is bad.
    pub fn is_watched(&self) -> bool {
        !self.steps.is_empty() || self.max_5xx.is_some() || self.max_p99.is_some()
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
        let errors = self.max_5xx.as_deref().map(shift::Limits::parse_share);
        let p99 = self
            .max_p99
            .as_deref()
            .map(|text| duration("max-p99", text));
        let allowed = shift::Limits {
            errors: errors.transpose().map_err(refused)?,
            p99: p99.transpose()?,
        };
        if !allowed.is_empty() && window == Duration::ZERO {
            return Err(failure::usage(
                "--max-5xx and --max-p99 are measured, so --measure cannot be 0",
            ));
        }
        Ok(Limits {
            timeout: duration("timeout", self.timeout.as_deref().unwrap_or("60s"))?,
            interval,
            window,
            enough: self.requests,
            allowed,
        })
    }

    /// Where requests are sent meanwhile.
    pub fn probe(&self) -> anyhow::Result<Option<Address>> {
        self.probe.as_deref().map(Address::parse).transpose()
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
                &["v3=50", "--undo=2", "--resume"],
                "--undo takes the last shift back and takes no SUBSET=WEIGHT and no --steps",
            ),
            (
                &["v3=50", "--resume"],
                "--resume goes on with what was asked before and takes no SUBSET=WEIGHT and no other flags",
            ),
            (
                &["v3=50", "v2=1", "--max-5xx", "1%"],
                "--max-5xx and --max-p99 need exactly one SUBSET=WEIGHT, which they are about",
            ),
            (
                &["v3=50", "--match", "jason"],
                "\"jason\" is not of the form HEADER=VALUE",
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
        for (words, message) in [
            (
                &["v3=50", "--max-5xx", "lots"][..],
                "\"lots\" is not a share from 0% to 100%",
            ),
            (
                &["v3=50", "--max-5xx", "1%", "--measure", "0"],
                "--max-5xx and --max-p99 are measured, so --measure cannot be 0",
            ),
        ] {
            let error = args(words).asked.limits().unwrap_err();
            assert_eq!(error.to_string(), message);
            assert_eq!(failure::exit(&error), Exit::Usage);
        }
        let error = args(&["v3=50", "--measure", "soon"])
            .asked
            .limits()
            .unwrap_err();
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
            let window = args(words).asked.limits().unwrap().window;
            assert_eq!(window, Duration::from_secs(seconds), "{words:?}");
        }
    }
}
