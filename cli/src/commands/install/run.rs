//! Doing it: phase by phase, each waited for before the next relies on it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::Client;
use mesh_core::install::{Component, Identity, Object, Phase, Plan, TAG_LABEL};

use super::words::Values;
use crate::apply::{self, Outcome, Writer, established, rolled_out, webhooks_served};
use crate::reporter::Reporter;

/// Requests at a time. Objects of one phase do not depend on one another.
const AT_A_TIME: usize = 8;

/// How long pruned objects may take to go.
const PRUNE_TIMEOUT: Duration = Duration::from_secs(60);

/// Phases before the programs, with what to say about them.
const BEFORE: [(Phase, &str); 4] = [
    (Phase::Definitions, "namespace and CRDs"),
    (Phase::Access, "access"),
    (Phase::Configuration, "configuration"),
    (Phase::Services, "services"),
];

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    pub created: usize,
    pub changed: usize,
    pub unchanged: usize,
    pub pruned: usize,
    /// Objects that belong to somebody else.
    pub kept: Vec<Identity>,
}

/// Installs a profile for the sandbox: the same plan and the same steps. The sandbox waits for pods itself, while the
/// samples start beside the mesh.
///
/// # Errors
/// When the values are wrong or an object cannot be applied.
pub async fn install_profile(
    client: &Client,
    profile: &str,
    sets: &[String],
    reporter: &Reporter,
) -> anyhow::Result<Plan> {
    let values = Values {
        profile: Some(profile.to_owned()),
        sets: sets.to_owned(),
        revision: None,
        files: Vec::new(),
    };
    let plan = values.plan("istio-system")?;
    install(client, &plan, None, reporter).await?;
    Ok(plan)
}

/// Installs a plan, waits until it runs (unless there is no limit to wait for), and takes out what an earlier installation had
/// beside it.
///
/// # Errors
/// When an object cannot be applied or does not become ready in time. Running it again goes on where it ended.
pub async fn install(
    client: &Client,
    plan: &Plan,
    readiness_timeout: Option<Duration>,
    reporter: &Reporter,
) -> anyhow::Result<Installed> {
    let writer = Writer {
        client: client.clone(),
        dry_run: false,
    };
    let mut installed = Installed::default();
    if !plan.objects.is_empty() {
        let step = reporter.step("applying namespace and CRDs");
        for (phase, what) in BEFORE {
            step.say(&format!("applying {what}"));
            installed.count(write_all(&writer, plan.phase(phase)).await?);
            if phase == Phase::Definitions {
                established(client, &definitions(plan)).await?;
            }
        }
        step.done(&format!("{} installed", Component::Base));
        installed.count(write_all(&writer, plan.phase(Phase::Workloads)).await?);
        if let Some(limit) = readiness_timeout {
            wait_for_programs(client, plan, limit, reporter).await?;
        }
        // Last: from now on the API server calls what runs.
        installed.count(write_all(&writer, plan.phase(Phase::Webhooks)).await?);
        if let Some(limit) = readiness_timeout {
            webhooks_served(client, plan, limit).await?;
        }
    }
    installed.pruned = prune(client, plan, reporter).await?;
    Ok(installed)
}

fn definitions(plan: &Plan) -> Vec<String> {
    let all = plan.phase(Phase::Definitions);
    all.filter(|object| object.resource.kind == "CustomResourceDefinition")
        .map(|object| object.name().to_owned())
        .collect()
}

async fn write_all<'a>(
    writer: &Writer,
    objects: impl Iterator<Item = &'a Object>,
) -> anyhow::Result<Vec<(Identity, Outcome)>> {
    let all = objects.map(|object| async move {
        let outcome = writer.write(object).await?;
        anyhow::Ok((object.identity(), outcome))
    });
    stream::iter(all.collect::<Vec<_>>())
        .buffered(AT_A_TIME)
        .try_collect()
        .await
}

/// Waits for all Deployments at the same time; each says by itself how it goes.
async fn wait_for_programs(
    client: &Client,
    plan: &Plan,
    timeout: Duration,
    reporter: &Reporter,
) -> anyhow::Result<()> {
    let deployments = plan
        .phase(Phase::Workloads)
        .filter(|object| object.resource.kind == "Deployment");
    let waits = deployments.map(|object| async move {
        let (namespace, name) = (object.namespace(), object.name());
        let step = reporter.step(&format!("waiting for Deployment {namespace}/{name}"));
        match rolled_out(client, namespace, name, timeout, &step).await {
            Ok(()) => step.done(&format!("{} installed", object.component)),
            Err(error) => {
                step.failed(&format!("{} is not ready", object.component));
                return Err(error);
            }
        }
        Ok(())
    });
    // All of them are told, and the first error is the command's.
    let outcomes: Vec<anyhow::Result<()>> = futures::future::join_all(waits).await;
    outcomes.into_iter().collect()
}

/// Takes out what carries the installation's label and is not in the plan. Namespace and CRDs stay: what others have put there
/// would go with them.
async fn prune(client: &Client, plan: &Plan, reporter: &Reporter) -> anyhow::Result<usize> {
    let old = superfluous(client, plan).await?;
    if old.is_empty() {
        return Ok(0);
    }
    let step = reporter.step("removing what is no longer wanted");
    for found in old.iter().rev() {
        step.say(&format!("removing {}", found.identity()));
        apply::delete(client, found).await?;
    }
    apply::wait_gone(client, &old, PRUNE_TIMEOUT, &step).await?;
    step.done(&format!(
        "{} objects of the earlier installation removed",
        old.len()
    ));
    Ok(old.len())
}

/// What an earlier installation had beside the plan.
pub(super) async fn superfluous(client: &Client, plan: &Plan) -> anyhow::Result<Vec<apply::Found>> {
    let wanted: BTreeSet<Identity> = plan.objects.iter().map(Object::identity).collect();
    let mut old = apply::owned(client, &plan.namespace, Some(&plan.revision)).await?;
    old.retain(|found| {
        // Tags are set by a command of their own.
        let labels = found.object.metadata.labels.as_ref();
        let is_tag = labels.is_some_and(|labels| labels.contains_key(TAG_LABEL));
        let stays = ["Namespace", "CustomResourceDefinition"].contains(&found.resource.kind);
        !stays && !is_tag && !wanted.contains(&found.identity())
    });
    Ok(old)
}

// === impl Installed ===

impl Installed {
    fn count(&mut self, outcomes: Vec<(Identity, Outcome)>) {
        for (identity, outcome) in outcomes {
            match outcome {
                Outcome::Created => self.created += 1,
                Outcome::Changed { .. } => self.changed += 1,
                Outcome::Unchanged => self.unchanged += 1,
                Outcome::Kept => self.kept.push(identity),
            }
        }
    }

    /// Tells what was done.
    pub fn tell(&self, reporter: &Reporter) {
        for identity in &self.kept {
            reporter.warn(&format!(
                "{identity} was there before and is not ours: it stays as it is"
            ));
        }
        let Self {
            created,
            changed,
            unchanged,
            pruned,
            ..
        } = self;
        let counts = [
            (*created, "created"),
            (*changed, "changed"),
            (*unchanged, "unchanged"),
            (*pruned, "removed"),
        ];
        let counts: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let counts = match counts.is_empty() {
            true => "nothing to install".to_owned(),
            false => counts.join(", "),
        };
        reporter.done(&format!("Installation complete: {counts}"));
    }
}
