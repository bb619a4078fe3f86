//! One run of the command: planning against the cluster as it is, writing, waiting, measuring.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use anyhow::anyhow;
use mesh_core::shift::{
    self, Base, Errors, Expectation, Judgement, Passed, Plan, Tally, Target, WeightRequest,
};
use mesh_core::snapshot::Snapshot;

use super::super::confirm;
use super::measure::Meter;
use super::probe::Address;
use super::words::{Limits, PROBES};
use super::write::{NotWritten, Written};
use super::{diff, notes, refused, report, wait, world, write};
use crate::context::{Cluster, Context, Format};
use crate::failure;
use crate::mesh::{ControlPlane, Refusal, Silent};
use crate::reporter::Reporter;

/// What the whole run needs.
pub struct Session<'a> {
    pub context: &'a Context,
    pub cluster: &'a Cluster,
    pub reporter: Reporter,
    pub service: &'a str,
    pub format: Format,
    pub limits: Limits,
    pub probe: Option<Address>,
    /// Requests to the subsets that were not named, of the whole run: what new errors are compared with.
    pub others: Errors,
    /// Whether anything has been sent to the API server to be written.
    pub wrote: bool,
}

/// A plan with what it was made from.
pub struct Planned {
    pub snapshot: Snapshot,
    pub target: Target,
    pub plan: Plan,
}

/// What was written.
#[derive(Debug, Default)]
pub struct Done {
    pub objects: Vec<Written>,
    /// Proxies that have acknowledged; none if there was nothing to wait for.
    pub acknowledged: Option<usize>,
}

/// A measurement.
pub struct Outcome {
    pub judgement: Judgement,
    /// Whether what was named fails more often than the rest.
    pub fails: bool,
    /// A limit that was passed.
    pub passed: Option<Passed>,
}

/// A plan of the way back with what it was made from.
pub struct PlannedBack {
    pub target: Target,
    pub plan: Plan,
}

/// So many requests are enough to stop measuring because a limit was passed.
const ENOUGH_TO_STOP: u64 = 100;

// === impl Session ===

impl Session<'_> {
    /// Plans a shift of the cluster as it is now.
    pub async fn plan(&self, ask: &WeightRequest, base: Base) -> anyhow::Result<Planned> {
        let snapshot = world::load(self.context, self.cluster).await?;
        let target =
            Target::find(&snapshot, self.service, &self.cluster.namespace).map_err(refused)?;
        let plan = shift::plan(&snapshot, &target, ask, base).map_err(refused)?;
        Ok(Planned {
            snapshot,
            target,
            plan,
        })
    }

    /// What is shifted.
    pub async fn target(&self) -> anyhow::Result<Target> {
        let snapshot = world::load(self.context, self.cluster).await?;
        Target::find(&snapshot, self.service, &self.cluster.namespace).map_err(refused)
    }

    /// Plans the way back over some shifts.
    pub async fn plan_undo(&self, shifts: u32) -> anyhow::Result<PlannedBack> {
        let snapshot = world::load(self.context, self.cluster).await?;
        let target =
            Target::find(&snapshot, self.service, &self.cluster.namespace).map_err(refused)?;
        let plan = shift::undo(&snapshot, &target, shifts).map_err(refused)?;
        Ok(PlannedBack { target, plan })
    }

    /// Shows what a plan changes.
    pub fn show(&self, plan: &Plan) {
        let printer = &self.context.printer;
        for change in &plan.changes {
            printer.talk(&diff::render(change));
        }
        for rule in &plan.rules {
            printer.note(&report::shares(rule));
        }
        notes(plan).for_each(|note| printer.note(&note));
        if plan.is_empty() {
            printer.note("nothing to change: the objects say this already");
        }
    }

    /// Asks whether to go on, where somebody can answer. A shift can be taken back, so scripts need not say `-y`.
    pub fn confirm(&self, yes: bool) -> anyhow::Result<bool> {
        if yes || !io::stdin().is_terminal() || !self.context.printer.has_terminal() {
            return Ok(true);
        }
        confirm::confirm(self.context, "The objects above will be written.")
    }

    /// Writes a plan and waits until the proxies have it. If an object was changed in between, the plan is made anew once, and
    /// written if it still means the same.
    pub async fn carry_out(
        &mut self,
        planned: &Planned,
        ask: &WeightRequest,
        base: Base,
    ) -> anyhow::Result<Done> {
        if planned.plan.is_empty() {
            return Ok(Done::default());
        }
        let control_plane = ControlPlane::find(self.cluster, self.context).await?;
        let already = wait::refused_already(&control_plane).await?;
        self.wrote = true;
        let (mut written, mut outcome) = write::write(self.cluster, &planned.plan).await;
        if let Err(NotWritten::Conflict(key)) = &outcome {
            let again = self.plan(ask, base).await?;
            if again.plan.rules != planned.plan.rules && written.is_empty() {
                return Err(conflict(&key.to_string()));
            }
            let (more, second) = write::write(self.cluster, &again.plan).await;
            written.extend(more);
            outcome = second;
        }
        self.settled(outcome, &written)?;
        self.acknowledged(&control_plane, written, &already).await
    }

    /// Writes the way back and waits until the proxies have it.
    pub async fn take_back(&mut self, plan: &Plan) -> anyhow::Result<Done> {
        let control_plane = ControlPlane::find(self.cluster, self.context).await?;
        let already = wait::refused_already(&control_plane).await?;
        self.wrote = true;
        let (written, outcome) = write::write(self.cluster, plan).await;
        self.settled(outcome, &written)?;
        self.acknowledged(&control_plane, written, &already).await
    }

    fn settled(&self, outcome: Result<(), NotWritten>, written: &[Written]) -> anyhow::Result<()> {
        let error = match outcome {
            Ok(()) => return Ok(()),
            Err(NotWritten::Conflict(key)) => conflict(&key.to_string()),
            Err(NotWritten::Failed(error)) => error,
        };
        if written.is_empty() {
            return Err(error);
        }
        let names: Vec<String> = written
            .iter()
            .map(|written| written.key.to_string())
            .collect();
        Err(failure::advise(
            error,
            format!(
                "{} was written before that; --undo takes it back",
                names.join(", ")
            ),
        ))
    }

    async fn acknowledged(
        &self,
        control_plane: &ControlPlane<'_>,
        written: Vec<Written>,
        already: &std::collections::BTreeSet<Refusal>,
    ) -> anyhow::Result<Done> {
        let step = self
            .reporter
            .step("waiting for the control plane to publish the change");
        match wait::wait(control_plane, &written, already, self.limits.timeout, &step).await {
            Ok(proxies) => {
                step.done(&format!(
                    "written, and acknowledged by all {proxies} proxies"
                ));
                Ok(Done {
                    objects: written,
                    acknowledged: Some(proxies),
                })
            }
            Err(error) => {
                step.failed("written, but not acknowledged by all proxies");
                Err(error)
            }
        }
    }

    /// Measures; none if nobody wants it or it cannot be done.
    pub async fn measure(
        &mut self,
        planned: &Planned,
        ask: &WeightRequest,
    ) -> anyhow::Result<Option<Outcome>> {
        if self.limits.window == Duration::ZERO {
            return Ok(None);
        }
        let expectation = Expectation::new(&planned.target, ask, &planned.plan);
        for (a, b) in expectation.alike() {
            self.reporter.warn(&format!(
                "{a} and {b} have pods in common, so the counters do not tell them apart"
            ));
        }
        let mut meter = Meter::new(
            self.cluster,
            &planned.snapshot,
            planned.target.hosts.clone(),
            planned.target.section,
        );
        if meter.proxies() == 0 {
            self.reporter.warn(
                "not measured: no running pod has a proxy; inject some with `meshctl kube-inject`",
            );
            return Ok(None);
        }
        let step = self.reporter.step(&format!(
            "measuring with the counters of {} proxies",
            meter.proxies()
        ));
        meter.begin().await;
        let probes = self.limits.enough.unwrap_or(PROBES);
        let probe = self.probe.as_ref().map(|address| address.send(probes));
        // Each word would be a line of its own where nothing changes in place.
        let live = self.reporter.is_live().then_some(&step);
        let allowed = self.limits.allowed;
        let judge = |tally: &Tally| shift::judge(&expectation, &expectation.measure(tally));
        let is_bad = |tally: &Tally| {
            if allowed.is_empty() {
                return false;
            }
            let judgement = judge(tally);
            let enough = judgement.errors_of_named().requests >= ENOUGH_TO_STOP;
            enough && allowed.passed(&judgement).is_some()
        };
        let (trouble, probe) = meter
            .watch(self.limits.window, self.limits.enough, probe, live, is_bad)
            .await;
        drop(step);
        self.complain(&trouble);
        if let Some(probe) = probe {
            self.reporter.note(&format!(
                "probe: {} requests sent, {} of them failed",
                probe.answered(),
                probe.failed()
            ));
            if probe.answered() > 0 && probe.failed() == probe.answered() {
                self.reporter
                    .warn("no request of the probe was answered well: is its address right?");
            }
        }
        let judgement = judge(&meter.tally());
        let others = judgement.errors_of_others();
        self.others.requests += others.requests;
        self.others.errors += others.errors;
        let fails = shift::compare_errors(judgement.errors_of_named(), self.others);
        let passed = allowed.passed(&judgement);
        Ok(Some(Outcome {
            judgement,
            fails,
            passed,
        }))
    }

    /// Tells a person what was measured.
    pub fn tell(&self, judgement: &Judgement) -> anyhow::Result<()> {
        let (verdict, hint) = report::verdict(judgement);
        let structured = matches!(self.format, Format::Json | Format::Yaml);
        if structured {
            self.context.printer.note(&verdict);
        } else {
            if judgement.requests > 0 {
                report::table(judgement, self.context)?;
            }
            self.context.printer.data(&format!("{verdict}\n"))?;
        }
        if judgement.unreached > 0 {
            self.context.printer.warn(&format!(
                "{} requests reached no pod (no route, no endpoint, or no connection)",
                judgement.unreached
            ));
        }
        if judgement.elsewhere > 0 {
            self.context.printer.warn(&format!("{} requests went to pods of other subsets than those that are routed by the changed rules", judgement.elsewhere));
        }
        if let Some(hint) = hint {
            self.context.printer.hint(&hint);
        }
        Ok(())
    }

    /// Says that what was named fails more often than the rest.
    pub fn warn_of_errors(&self, judgement: &Judgement) {
        let Errors { requests, errors } = judgement.errors_of_named();
        let printer = &self.context.printer;
        printer.warn(&format!(
            "{errors} of {requests} requests to the subsets that you named failed, more than chance or the others explain"
        ));
        printer.hint(&format!(
            "take it back with `meshctl shift {} --undo`; with --steps that happens by itself",
            self.service
        ));
    }

    fn complain(&self, silent: &Silent) {
        for warning in silent.warnings() {
            self.reporter.warn(&warning);
        }
    }
}

fn conflict(key: &str) -> anyhow::Error {
    failure::advise(
        anyhow!("{key} was changed by somebody else at the same time, so it was not written"),
        "look at what changed and shift again",
    )
}
