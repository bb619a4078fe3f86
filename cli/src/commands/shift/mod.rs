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

mod rollout;
mod session;

use mesh_core::shift::{Base, Plan, Refusal, RefusalKind};

use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::failure;
use crate::runtime;
use report::Report;
use session::{Outcome, Session};
pub use words::Args;
use words::Task;

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Table, Format::Json, Format::Yaml])?;
    let task = args.task()?;
    let limits = args.limits()?;
    let probe = args
        .probe
        .as_deref()
        .map(probe::Address::parse)
        .transpose()?;
    runtime::block_on(async {
        let cluster = context.cluster().await?;
        let mut session = Session {
            context,
            cluster: &cluster,
            reporter: context.reporter(),
            service: &args.service,
            format,
            limits,
            probe,
            others: mesh_core::shift::Errors::default(),
            wrote: false,
        };
        match task {
            Task::Undo => undo(&mut session, &args).await,
            Task::Shift { ask, steps } if steps.is_empty() => {
                shift(&mut session, &args, &ask).await
            }
            Task::Shift { ask, steps } => rollout::run(&mut session, &args, &ask, &steps).await,
        }
    })
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
    let written = session.carry_out(&planned, ask, Base::Now).await?;
    report.wrote(&written.objects);
    report.acknowledged = written.acknowledged;
    let exit = match session.measure(&planned, ask).await? {
        None => Exit::Success,
        Some(Outcome { judgement, fails }) => {
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

async fn undo(session: &mut Session<'_>, args: &Args) -> anyhow::Result<Exit> {
    let plan = session.plan_undo().await?;
    session.show(&plan);
    let mut report = Report::begin(&plan, args.dry_run, session.context);
    if !args.dry_run {
        if !session.confirm(args.yes)? {
            return Ok(Exit::Failure);
        }
        let written = session.take_back(&plan).await?;
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
