//! Asked against observed. What is called a deviation must be one: chance alone leads to that verdict less than once in a
//! million runs.

use std::sync::Arc;

use crate::metrics::Histogram;

use super::{Expectation, Interval, binomial_two_sided, clopper_pearson, fisher_greater};

/// Intervals hold the true share with this probability.
const CONFIDENCE: f64 = 0.95;
/// What is less probable than this is no chance.
const CHANCE: f64 = 1e-6;
/// Error rates that differ with less probability than this differ.
const ERROR_CHANCE: f64 = 1e-4;
/// The rate of errors that is let pass where there is nothing to compare with.
const TOLERATED_ERRORS: f64 = 0.01;
/// A few requests are under way while routes change, so that 0 and 100 are never seen exactly.
const STRAGGLERS: f64 = 0.005;
/// Below this many requests nothing is said.
const FEWEST: u64 = 30;

/// What was counted, in the order of the expectation's subsets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Requests and 5xx among them.
    pub subsets: Vec<(u64, u64)>,
    /// How long requests took, in milliseconds.
    pub durations: Vec<Histogram>,
    /// Requests that reached no pod.
    pub unreached: u64,
    /// Requests whose subset the counters do not tell.
    pub elsewhere: u64,
}

/// The result of a measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Each subset.
    pub subsets: Vec<SubsetResult>,
    /// Requests that reached a subset.
    pub requests: u64,
    /// Requests that reached no pod.
    pub unreached: u64,
    /// Requests whose subset the counters do not tell.
    pub elsewhere: u64,
    /// How probable it is that each interval holds the true share.
    pub confidence: f64,
    /// What follows.
    pub verdict: Verdict,
}

/// One subset, asked against observed.
#[derive(Clone, Debug, PartialEq)]
pub struct SubsetResult {
    /// Its name.
    pub subset: Arc<str>,
    /// Its weight, if all changed rules agree on it.
    pub weight: Option<u32>,
    /// The share that it should have, from 0 to 1.
    pub asked: Option<f64>,
    /// Its requests.
    pub requests: u64,
    /// 5xx among them.
    pub errors: u64,
    /// The share that it had; none without requests.
    pub observed: Option<f64>,
    /// The shares that are compatible with that.
    pub interval: Interval,
    /// How long its requests took, in milliseconds.
    pub durations: Histogram,
    /// Whether it was named by the user.
    pub named: bool,
}

/// What follows from a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The asked shares lie in the intervals.
    Consistent,
    /// They do not, and it is no chance.
    Deviates,
    /// There were too few requests to tell chance from a deviation.
    TooFew,
    /// There were no requests.
    NotMeasured,
}

/// Requests and how many of them failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// All.
    pub requests: u64,
    /// Failed ones.
    pub errors: u64,
}

/// Judges what was counted.
pub fn judge(expectation: &Expectation, measured: &Measured) -> Judgement {
    let requests: u64 = measured.subsets.iter().map(|(requests, _)| requests).sum();
    let comparisons = match expectation.subsets.len() {
        // Of two, one is what the other is not.
        0..=2 => 1.0,
        several => several as f64,
    };
    let alpha = (1.0 - CONFIDENCE) / comparisons;
    let subsets: Vec<SubsetResult> = expectation
        .subsets
        .iter()
        .zip(&measured.subsets)
        .zip(&measured.durations)
        .map(|((expected, (hits, errors)), durations)| SubsetResult {
            durations: durations.clone(),
            subset: expected.subset.clone(),
            weight: expected.weight,
            asked: expected.share,
            requests: *hits,
            errors: *errors,
            observed: (requests > 0).then(|| *hits as f64 / requests as f64),
            interval: clopper_pearson(*hits, requests, alpha),
            named: expected.named,
        })
        .collect();
    Judgement {
        verdict: verdict(&subsets, requests, CHANCE / comparisons),
        requests,
        unreached: measured.unreached,
        confidence: 1.0 - alpha,
        elsewhere: measured.elsewhere,
        subsets,
    }
}

fn verdict(subsets: &[SubsetResult], requests: u64, chance: f64) -> Verdict {
    if requests == 0 {
        return Verdict::NotMeasured;
    }
    let mut verdict = Verdict::Consistent;
    for subset in subsets {
        let Some(asked) = subset.asked else {
            continue;
        };
        let tolerant = asked.clamp(STRAGGLERS, 1.0 - STRAGGLERS);
        let improbable = binomial_two_sided(subset.requests, requests, tolerant) < chance;
        // Where all or nothing is asked, only too much of the other is a deviation.
        let exact = subset.observed == Some(asked);
        if improbable && !exact {
            return Verdict::Deviates;
        }
        let inside = subset.interval.contains(asked) || subset.interval.contains(tolerant);
        if !inside && !exact {
            verdict = Verdict::TooFew;
        }
    }
    if requests < FEWEST {
        Verdict::TooFew
    } else {
        verdict
    }
}

/// Whether the requests to what is new fail more often than the others, beyond chance. Without others to compare with, more than
/// one in a hundred is too often.
pub fn compare_errors(new: Errors, others: Errors) -> bool {
    if new.errors == 0 {
        return false;
    }
    if others.requests == 0 {
        let rate = clopper_pearson(new.errors, new.requests, ERROR_CHANCE);
        return rate.low > TOLERATED_ERRORS;
    }
    fisher_greater(new.errors, new.requests, others.errors, others.requests) < ERROR_CHANCE
}

/// How many requests are needed before anything is said.
pub fn minimum_requests() -> u64 {
    FEWEST
}

// === impl Judgement ===

impl Judgement {
    /// Failures of the subsets that were named, and of requests that reached nothing.
    pub fn errors_of_named(&self) -> Errors {
        let mut errors = self.errors(true);
        errors.requests += self.unreached;
        errors.errors += self.unreached;
        errors
    }

    /// How long requests to the subsets that were named took, in milliseconds.
    pub fn durations_of_named(&self) -> Histogram {
        let mut all = Histogram::default();
        for subset in self.subsets.iter().filter(|subset| subset.named) {
            all.merge(&subset.durations);
        }
        all
    }

    /// Failures of the other subsets.
    pub fn errors_of_others(&self) -> Errors {
        self.errors(false)
    }

    fn errors(&self, named: bool) -> Errors {
        let of = self.subsets.iter().filter(|subset| subset.named == named);
        of.fold(Errors::default(), |sum, subset| Errors {
            requests: sum.requests + subset.requests,
            errors: sum.errors + subset.errors,
        })
    }
}
