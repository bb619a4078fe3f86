//! `meshctl shift`: traffic between versions of a service, written safely and measured.
//!
//! ```text
//! cluster -> Snapshot -> core's plan -> diff -> write (only if unchanged) -> wait for every proxy -> measure -> verdict
//!                            ^                                                                         |
//!                            '------------------------- next step, or step by step back ---------------'
//! ```

mod words;

mod probe;
mod world;

mod diff;
mod measure;
mod report;
mod wait;
mod write;

mod lock;
mod rollout;
mod session;
mod status;

use mesh_core::shift::{Base, Plan, Refusal, RefusalKind};

use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::failure;
use crate::runtime;
use lock::Record;
use report::Report;
use session::{Outcome, Session};
pub use words::Args;
use words::{Action, Task};

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Table, Format::Json, Format::Yaml])?;
    if let Some(Action::Status { service }) = &args.action {
        return runtime::block_on(status::run(service.as_deref(), format, context));
    }
    let task = args.task()?;
    let limits = args.asked.limits()?;
    let probe = args.asked.probe()?;
    let service = args.service.as_deref().unwrap_or_default();
    runtime::block_on(async {
        let cluster = context.cluster().await?;
        let mut session = Session {
            context,
            cluster: &cluster,
            reporter: context.reporter(),
            service,
            format,
            limits,
            probe,
            others: mesh_core::shift::Errors::default(),
            wrote: false,
        };
        match task {
            Task::Undo(shifts) => undo(&mut session, &args, shifts).await,
            Task::Resume => resume(&mut session, &args).await,
            Task::Shift { .. } if args.asked.is_watched() => {
                rollout::run(&mut session, &args, &args.asked, false).await
            }
            Task::Shift { ask } => shift(&mut session, &args, &ask).await,
        }
    })
}

/// Goes on with a shift that was interrupted, as it was asked for.
async fn resume(session: &mut Session<'_>, args: &Args) -> anyhow::Result<Exit> {
    let target = session.target().await?;
    let Some(left) = lock::left(session, &target).await? else {
        let error = anyhow::anyhow!("there is no interrupted shift of {}", target.service.host);
        return Err(failure::advise(error, "see `meshctl shift status`"));
    };
    session.limits = left.asked.limits()?;
    session.probe = left.asked.probe()?;
    rollout::run(session, args, &left.asked, true).await
}

/// One shift.
async fn shift(
    session: &mut Session<'_>,
    args: &Args,
    ask: &mesh_core::shift::WeightRequest,
) -> anyhow::Result<Exit> {
    let planned = session.plan(ask, Base::Now).await?;
    session.show(&planned.plan);
    let mut report = Report::begin(&planned.plan, args.dry_run, session.context);
    if args.dry_run {
        report.print(session.context, session.format)?;
        return Ok(Exit::Success);
    }
    if !planned.plan.is_empty() && !session.confirm(args.yes)? {
        return Ok(Exit::Failure);
    }
    let record = Record::new(&planned.target, &planned.plan);
    let lock = lock::acquire(session, &planned.target, &record).await?;
    let written = session.carry_out(&planned, ask, Base::Now).await;
    if let Some(lock) = lock {
        lock.release().await;
    }
    let written = written?;
    report.wrote(&written.objects);
    report.acknowledged = written.acknowledged;
    let exit = match session.measure(&planned, ask).await? {
        None => Exit::Success,
        Some(Outcome {
            judgement, fails, ..
        }) => {
            report.measured = judgement.requests > 0;
            report.measurement = Some(report::Measurement::new(&judgement));
            session.tell(&judgement)?;
            if fails {
                session.warn_of_errors(&judgement);
            }
            if judgement.verdict == mesh_core::shift::Verdict::Deviates {
                Exit::Failure
            } else {
                Exit::Success
            }
        }
    };
    report.print(session.context, session.format)?;
    Ok(exit)
}

async fn undo(session: &mut Session<'_>, args: &Args, shifts: u32) -> anyhow::Result<Exit> {
    let back = session.plan_undo(shifts).await?;
    session.show(&back.plan);
    let mut report = Report::begin(&back.plan, args.dry_run, session.context);
    if !args.dry_run {
        if !session.confirm(args.yes)? {
            return Ok(Exit::Failure);
        }
        let record = Record::new(&back.target, &back.plan);
        let lock = lock::acquire(session, &back.target, &record).await?;
        let written = session.take_back(&back.plan).await;
        if let Some(lock) = lock {
            lock.release().await;
        }
        let written = written?;
        report.wrote(&written.objects);
        report.acknowledged = written.acknowledged;
    }
    report.print(session.context, session.format)?;
    Ok(Exit::Success)
}

/// What core refuses, as an error of this program.
fn refused(refusal: Refusal) -> anyhow::Error {
    let error = match refusal.kind {
        RefusalKind::Usage => failure::usage(refusal.message),
        RefusalKind::NotFound | RefusalKind::State => anyhow::Error::msg(refusal.message),
    };
    match refusal.hint {
        Some(hint) => failure::advise(error, hint),
        None => error,
    }
}

/// Notes of a plan, each on a line of its own.
fn notes(plan: &Plan) -> impl Iterator<Item = String> {
    plan.notes.iter().map(|note| format!("note: {note}"))
}
