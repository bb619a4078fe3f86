//! A shift in steps: each is written, acknowledged and measured, and the first bad one takes everything back, step by step.

use anyhow::Context as _;
use mesh_core::shift::{self, Base, Verdict, WeightRequest};
use tokio::time::Instant;

use super::report::{self, Measurement, Report, StepReport};
use super::session::{Outcome, Session};
use super::{Args, refused};
use crate::exit::Exit;

/// Why a rollout ended early.
enum End {
    /// The step is bad, for this reason.
    Bad(String),
    /// Somebody pressed Ctrl-C.
    Interrupted,
    /// Something failed.
    Failed(anyhow::Error),
}

/// Runs all steps.
pub async fn run(
    session: &mut Session<'_>,
    args: &Args,
    ask: &WeightRequest,
    stops: &[u32],
) -> anyhow::Result<Exit> {
    let Some((subset, goal)) = ask.shares().first().cloned() else {
        return Ok(Exit::Success);
    };
    let planned = session.plan(ask, Base::Now).await?;
    let start = planned.plan.weight_before(&subset);
    let way = shift::steps(start, goal, stops).map_err(refused)?;
    session.show(&planned.plan);
    let shown: Vec<String> = way.iter().map(u32::to_string).collect();
    session.context.printer.note(&format!(
        "steps of {subset}: {start}, then {}",
        shown.join(", ")
    ));
    let mut report = Report::begin(&planned.plan, args.dry_run, session.context);
    if args.dry_run {
        report.steps = way
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
    let mut taken = Vec::new();
    // One for all steps, so that no signal falls between two.
    let mut stop = std::pin::pin!(interrupted());
    for (position, weight) in way.iter().enumerate() {
        let last = position + 1 == way.len();
        let base = if position == 0 {
            Base::Now
        } else {
            Base::BeforeThisShift
        };
        taken.push(*weight);
        let step = one(session, &subset, *weight, base, last, &mut report);
        let end = tokio::select! {
            biased;
            () = &mut stop => Some(End::Interrupted),
            end = step => end,
        };
        if let Some(end) = end {
            return roll_back(session, &subset, &taken, end, report).await;
        }
    }
    session.context.printer.done(&format!(
        "{subset} has {goal} of 100, after {} steps",
        way.len()
    ));
    report.print(session.context, session.format)?;
    Ok(Exit::Success)
}

/// One step; none if it went well.
async fn one(
    session: &mut Session<'_>,
    subset: &str,
    weight: u32,
    base: Base,
    last: bool,
    report: &mut Report,
) -> Option<End> {
    let began = Instant::now();
    match try_one(session, subset, weight, base, report).await {
        Ok(Some(reason)) => return Some(End::Bad(reason)),
        Ok(None) => {}
        Err(error) => return Some(End::Failed(error)),
    }
    if !last {
        tokio::time::sleep_until(began + session.limits.interval).await;
    }
    None
}

async fn try_one(
    session: &mut Session<'_>,
    subset: &str,
    weight: u32,
    base: Base,
    report: &mut Report,
) -> anyhow::Result<Option<String>> {
    session.reporter.note(&format!("step: {subset} {weight}"));
    let ask = WeightRequest::one(subset, weight).map_err(refused)?;
    let planned = session.plan(&ask, base).await?;
    let done = session.carry_out(&planned, &ask, base).await?;
    report.wrote(&done.objects);
    report.acknowledged = done.acknowledged.or(report.acknowledged);
    let outcome = session.measure(&planned, &ask).await?;
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
    let Some(Outcome { judgement, fails }) = outcome else {
        return Ok(None);
    };
    session.tell(&judgement)?;
    let errors = judgement.errors_of_named();
    Ok(if fails {
        Some(format!(
            "{} of {} requests to {subset} failed",
            errors.errors, errors.requests
        ))
    } else if judgement.verdict == Verdict::Deviates {
        Some(report::verdict(&judgement).0)
    } else {
        None
    })
}

/// Goes back over the steps that were taken, and then to what was there before the first.
async fn roll_back(
    session: &mut Session<'_>,
    subset: &str,
    taken: &[u32],
    end: End,
    mut report: Report,
) -> anyhow::Result<Exit> {
    let (reason, failed) = match end {
        End::Bad(reason) => (reason, None),
        End::Interrupted => ("interrupted".to_owned(), None),
        End::Failed(error) => (crate::failure::sentence(&error), Some(error)),
    };
    report.rolled_back = Some(reason.clone());
    if session.wrote {
        session
            .context
            .printer
            .warn(&format!("rolling back: {reason}"));
        go_back(session, subset, taken).await.with_context(|| {
            format!(
                "failed to roll back ({reason}); take it back with `meshctl shift {} --undo`",
                session.service
            )
        })?;
    } else {
        session.context.printer.note("nothing was written");
    }
    report.print(session.context, session.format)?;
    match failed {
        Some(error) => Err(error),
        None => Ok(Exit::Failure),
    }
}

async fn go_back(session: &mut Session<'_>, subset: &str, taken: &[u32]) -> anyhow::Result<()> {
    // The last step is where the way back begins.
    for weight in taken.iter().rev().skip(1) {
        let ask = WeightRequest::one(subset, *weight).map_err(refused)?;
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
                let reason = crate::failure::sentence(&error);
                session.reporter.warn(&format!(
                    "step {weight} is skipped on the way back: {reason}"
                ));
            }
        }
    }
    let plan = session.plan_undo().await?;
    let mut done = session.take_back(&plan).await;
    if done.is_err()
        && let Ok(again) = session.plan_undo().await
    {
        // An interrupted step may have been written only now.
        done = session.take_back(&again).await;
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
