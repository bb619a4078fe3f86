//! A shift in steps: each is written, acknowledged and measured, and the first bad one takes everything back, step by step. One
//! that was interrupted goes on where it was.

use anyhow::Context as _;
use mesh_core::shift::{self, Base, Passed, Verdict, WeightRequest};
use tokio::time::Instant;

use super::lock::{self, Lock, Record};
use super::report::{self, Measurement, Report, StepReport};
use super::session::{Outcome, Planned, Session};
use super::words::Asked;
use super::{Args, refused};
use crate::exit::Exit;
use crate::failure;

/// Why a rollout ended early.
enum End {
    /// The step is bad, for this reason.
    Bad(String),
    /// A limit was passed.
    Passed(Passed),
    /// Somebody pressed Ctrl-C.
    Interrupted,
    /// Somebody else has taken over.
    TakenOver,
    /// Something failed.
    Failed(anyhow::Error),
}

/// What a rollout is about.
struct Rollout<'a> {
    ask: &'a WeightRequest,
    subset: &'a str,
    lock: Option<Lock>,
    record: Record,
}

/// Runs all steps.
pub async fn run(
    session: &mut Session<'_>,
    args: &Args,
    asked: &Asked,
    resume: bool,
) -> anyhow::Result<Exit> {
    let (ask, stops) = asked.weights()?;
    let Some((subset, goal)) = ask.shares().first().cloned() else {
        return Ok(Exit::Success);
    };
    let planned = session.plan(&ask, Base::Now).await?;
    if planned.target.section == shift::Section::Tcp && session.limits.allowed.p99.is_some() {
        return Err(failure::usage(
            "--max-p99 is about requests, and only connections are counted of this service",
        ));
    }
    let left = lock::left(session, &planned.target).await?;
    let left = left.filter(|left| resume || left.goes_on_with(asked, &subset, goal));
    let start = left
        .as_ref()
        .map_or_else(|| planned.plan.weight_before(&subset), |left| left.start);
    let way = shift::steps(start, goal, &stops).map_err(refused)?;
    let ahead = ahead(&way, left.as_ref());
    session.show(&planned.plan);
    tell_way(session, &subset, start, &way, ahead);
    let mut report = Report::begin(&planned.plan, args.dry_run, session.context);
    let ahead = way.get(ahead..).unwrap_or_default();
    if args.dry_run {
        report.steps = ahead
            .iter()
            .map(|weight| StepReport {
                subset: subset.to_string(),
                weight: *weight,
                measurement: None,
            })
            .collect();
        report.print(session.context, session.format)?;
        return Ok(Exit::Success);
    }
    if !session.confirm(args.yes)? {
        return Ok(Exit::Failure);
    }
    let record = Record {
        subset: subset.to_string(),
        start,
        goal,
        steps: way.clone(),
        level: left.as_ref().map_or(planned.plan.level, |left| left.level),
        asked: asked.clone(),
        ..Record::new(&planned.target, &planned.plan)
    };
    let lock = lock::acquire(session, &planned.target, &record).await?;
    let mut rollout = Rollout {
        ask: &ask,
        subset: &subset,
        lock,
        record,
    };
    let went = rollout.go(session, &planned, ahead, &mut report).await;
    let (taken, end) = went;
    let Some(end) = end else {
        rollout.release().await;
        session.context.printer.done(&format!(
            "{subset} has {goal} of 100, after {} steps",
            taken.len()
        ));
        report.print(session.context, session.format)?;
        return Ok(Exit::Success);
    };
    rollout.end(session, &taken, end, report).await
}

/// How many of the steps lie behind a shift that was interrupted. The one that it was at is taken again, as nobody knows how it went.
fn ahead(way: &[u32], left: Option<&Record>) -> usize {
    let at = left.and_then(|left| left.step);
    let at = at.and_then(|step| way.iter().position(|weight| *weight == step));
    at.unwrap_or(0)
}

fn tell_way(session: &Session<'_>, subset: &str, start: u32, way: &[u32], ahead: usize) {
    let shown: Vec<String> = way.iter().map(u32::to_string).collect();
    let shown = shown.join(", ");
    let printer = &session.context.printer;
    printer.note(&format!("steps of {subset}: {start}, then {shown}"));
    if let Some(step) = way.get(ahead).filter(|_| ahead > 0) {
        printer.note(&format!("going on at {step}"));
    }
}

// === impl Rollout ===

impl Rollout<'_> {
    /// Takes the steps; says which were taken, and why it ended before the last.
    async fn go(
        &mut self,
        session: &mut Session<'_>,
        planned: &Planned,
        ahead: &[u32],
        report: &mut Report,
    ) -> (Vec<u32>, Option<End>) {
        // One for all steps, so that no signal falls between two.
        let mut stop = std::pin::pin!(interrupted());
        let before = shift::shifts_of(&planned.snapshot, &planned.plan.host);
        let mut base = if before.contains(&self.record.level) {
            Base::BeforeThisShift
        } else {
            Base::Now
        };
        let mut taken = Vec::new();
        for (position, weight) in ahead.iter().enumerate() {
            let last = position + 1 == ahead.len();
            taken.push(*weight);
            self.record.step = Some(*weight);
            let lost = self.lock.as_ref().map(Lock::lost);
            let step = self.step(session, *weight, base, last, report);
            let end = tokio::select! {
                biased;
                () = &mut stop => Some(End::Interrupted),
                () = lock::wait_for_loss(lost) => Some(End::TakenOver),
                end = step => end,
            };
            if end.is_some() {
                return (taken, end);
            }
            base = Base::BeforeThisShift;
        }
        (taken, None)
    }

    /// One step; none if it went well.
    async fn step(
        &self,
        session: &mut Session<'_>,
        weight: u32,
        base: Base,
        last: bool,
        report: &mut Report,
    ) -> Option<End> {
        let began = Instant::now();
        let noted = match &self.lock {
            Some(lock) => lock.note(&self.record).await,
            None => Ok(()),
        };
        if let Err(error) = noted {
            return Some(End::Failed(error));
        }
        match self.ask.with_weight(weight).map_err(refused) {
            Ok(ask) => match try_one(session, self.subset, &ask, weight, base, report).await {
                Ok(None) => {}
                Ok(end) => return end,
                Err(error) => return Some(End::Failed(error)),
            },
            Err(error) => return Some(End::Failed(error)),
        }
        if !last {
            tokio::time::sleep_until(began + session.limits.interval).await;
        }
        None
    }

    /// Goes back, or stops where it is.
    async fn end(
        self,
        session: &mut Session<'_>,
        taken: &[u32],
        end: End,
        mut report: Report,
    ) -> anyhow::Result<Exit> {
        let printer = &session.context.printer;
        let (reason, exit, failed) = match end {
            End::Interrupted if session.wrote => {
                let step = self.record.step.unwrap_or_default();
                let (subset, service) = (self.subset, session.service);
                if let Some(lock) = self.lock {
                    lock.pause().await;
                }
                printer.warn(&format!(
                    "stopped: {subset} has {step} of 100, and keeps it"
                ));
                printer.hint(&format!(
                    "go on with `meshctl shift {service} --resume`, or back with `meshctl shift {service} --undo`"
                ));
                report.paused = true;
                report.print(session.context, session.format)?;
                return Ok(Exit::Failure);
            }
            End::TakenOver => {
                let error = anyhow::anyhow!(
                    "another shift of {} has taken over, as this one could not renew its claim in time",
                    session.service
                );
                return Err(failure::advise(error, "see `meshctl shift status`"));
            }
            End::Interrupted => ("interrupted".to_owned(), Exit::Failure, None),
            End::Bad(reason) => (reason, Exit::Failure, None),
            End::Passed(passed) => {
                report.limit_passed = Some(passed.name());
                (passed.to_string(), Exit::LimitPassed, None)
            }
            End::Failed(error) => (failure::sentence(&error), Exit::Failure, Some(error)),
        };
        report.rolled_back = Some(reason.clone());
        let back = if session.wrote {
            printer.warn(&format!("rolling back: {reason}"));
            go_back(session, self.ask, self.subset, taken).await
        } else {
            printer.note("nothing was written");
            Ok(())
        };
        self.release().await;
        back.with_context(|| {
            format!(
                "failed to roll back ({reason}); take it back with `meshctl shift {} --undo`",
                session.service
            )
        })?;
        report.print(session.context, session.format)?;
        match failed {
            Some(error) => Err(error),
            None => Ok(exit),
        }
    }

    async fn release(self) {
        if let Some(lock) = self.lock {
            lock.release().await;
        }
    }
}

async fn try_one(
    session: &mut Session<'_>,
    subset: &str,
    ask: &WeightRequest,
    weight: u32,
    base: Base,
    report: &mut Report,
) -> anyhow::Result<Option<End>> {
    session.reporter.note(&format!("step: {subset} {weight}"));
    let planned = session.plan(ask, base).await?;
    let done = session.carry_out(&planned, ask, base).await?;
    report.wrote(&done.objects);
    report.acknowledged = done.acknowledged.or(report.acknowledged);
    let outcome = session.measure(&planned, ask).await?;
    let measurement = outcome
        .as_ref()
        .map(|outcome| Measurement::new(&outcome.judgement));
    report.measured |= outcome
        .as_ref()
        .is_some_and(|outcome| outcome.judgement.requests > 0);
    report.measurement.clone_from(&measurement);
    report.steps.push(StepReport {
        subset: subset.to_owned(),
        weight,
        measurement,
    });
    let Some(outcome) = outcome else {
        return Ok(None);
    };
    let Outcome {
        judgement,
        fails,
        passed,
    } = outcome;
    session.tell(&judgement)?;
    let errors = judgement.errors_of_named();
    Ok(if let Some(passed) = passed {
        Some(End::Passed(passed))
    } else if fails {
        Some(End::Bad(format!(
            "{} of {} requests to {subset} failed",
            errors.errors, errors.requests
        )))
    } else if judgement.verdict == Verdict::Deviates {
        Some(End::Bad(report::verdict(&judgement).0))
    } else {
        None
    })
}

/// Goes back over the steps that were taken, and then to what was there before the first.
async fn go_back(
    session: &mut Session<'_>,
    ask: &WeightRequest,
    subset: &str,
    taken: &[u32],
) -> anyhow::Result<()> {
    // The last step is where the way back begins.
    for weight in taken.iter().rev().skip(1) {
        let ask = ask.with_weight(*weight).map_err(refused)?;
        // A step that cannot be taken back is skipped: the state before the first is what counts.
        let back = async {
            let planned = session.plan(&ask, Base::BeforeThisShift).await?;
            session
                .carry_out(&planned, &ask, Base::BeforeThisShift)
                .await
        };
        match back.await {
            Ok(_) => session.reporter.note(&format!("back to {subset} {weight}")),
            Err(error) => {
                let reason = failure::sentence(&error);
                session.reporter.warn(&format!(
                    "step {weight} is skipped on the way back: {reason}"
                ));
            }
        }
    }
    let back = session.plan_undo(1).await?;
    let mut done = session.take_back(&back.plan).await;
    if done.is_err()
        && let Ok(again) = session.plan_undo(1).await
    {
        // An interrupted step may have been written only now.
        done = session.take_back(&again.plan).await;
    }
    done?;
    session
        .context
        .printer
        .note("rolled back: the routes are as they were before the shift");
    Ok(())
}

/// Ends on Ctrl-C or a polite request to end.
async fn interrupted() {
    let ctrl_c = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending::<()>().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = ctrl_c => {}
        () = terminate => {}
    }
}
