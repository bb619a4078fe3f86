//! `meshctl shift status`: what is under way, what has which share now, and how many shifts can be taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh_core::resource::Kind;
use mesh_core::shift::{History, Target, shares_now, shifts_of};
use mesh_core::snapshot::Snapshot;
use serde::Serialize;

use super::lock::{self, Claim};
use super::{refused, report, world};
use crate::context::{Cluster, Context, Format};
use crate::exit::Exit;

/// One service.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    service: String,
    namespace: String,
    host: String,
    /// `running`, `stopped` (by Ctrl-C or a crash), or `done`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout: Option<Rollout>,
    /// What the rules that a shift changes send where.
    rules: Vec<Rule>,
    /// How many shifts can be taken back.
    undo: usize,
}

/// Steps that are under way, or were.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rollout {
    subset: String,
    start: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<u32>,
    steps: Vec<u32>,
    goal: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
}

#[derive(Debug, Serialize)]
struct Rule {
    object: String,
    section: &'static str,
    rule: usize,
    shares: BTreeMap<String, u32>,
}

/// Runs the command.
pub async fn run(service: Option<&str>, format: Format, context: &Context) -> anyhow::Result<Exit> {
    let cluster = context.cluster().await?;
    let snapshot = world::load(context, &cluster).await?;
    let claims = lock::claims(&cluster).await?;
    let rows = match service {
        Some(name) => {
            let target = Target::find(&snapshot, name, &cluster.namespace).map_err(refused)?;
            vec![row(&snapshot, &target, &claims)]
        }
        None => all(&snapshot, &cluster, &claims),
    };
    match format {
        Format::Json | Format::Yaml => context.printer.structured(format, &rows)?,
        _ if rows.is_empty() => context.printer.note("no service is or was shifted"),
        _ => {
            let cells: Vec<[String; 6]> = rows.iter().map(cells).collect();
            let titles = ["SERVICE", "STATE", "SHARES", "STEPS", "BY", "UNDO"];
            context.printer.table(titles, &cells)?;
        }
    }
    Ok(Exit::Success)
}

fn all(snapshot: &Snapshot, cluster: &Cluster, claims: &[Claim]) -> Vec<Row> {
    let kinds = [Kind::VirtualService, Kind::HttpRoute];
    let resources = kinds.iter().flat_map(|kind| snapshot.resources(*kind));
    let mut hosts: BTreeSet<Arc<str>> = resources
        .flat_map(|resource| History::read(&resource.meta).hosts())
        .collect();
    hosts.extend(claims.iter().map(|claim| claim.record.host.as_str().into()));
    let targets = hosts
        .iter()
        .filter_map(|host| Target::find(snapshot, host, &cluster.namespace).ok());
    targets
        .map(|target| row(snapshot, &target, claims))
        .collect()
}

fn row(snapshot: &Snapshot, target: &Target, claims: &[Claim]) -> Row {
    let service = &target.service;
    let claim = claims
        .iter()
        .find(|claim| *claim.record.host == *service.host);
    let steps = claim.filter(|claim| !claim.record.steps.is_empty());
    let state = match claim {
        Some(claim) if claim.left.is_some() => "running",
        Some(_) if steps.is_some() => "stopped",
        _ => "done",
    };
    let rules = shares_now(snapshot, target).unwrap_or_default();
    Row {
        service: service.name.to_string(),
        namespace: service.namespace.to_string(),
        host: service.host.to_string(),
        state,
        rollout: steps.map(|claim| Rollout {
            subset: claim.record.subset.clone(),
            start: claim.record.start,
            step: claim.record.step,
            steps: claim.record.steps.clone(),
            goal: claim.record.goal,
            by: claim.holder.clone(),
            since: claim.since.map(|since| since.to_string()),
        }),
        rules: rules
            .iter()
            .map(|rule| Rule {
                object: rule.key.to_string(),
                section: rule.section.name(),
                rule: rule.index,
                shares: report::by_subset(&rule.after),
            })
            .collect(),
        undo: shifts_of(snapshot, &service.host).len(),
    }
}

fn cells(row: &Row) -> [String; 6] {
    let shares = row.rules.first().map(|rule| {
        let shares = rule.shares.iter();
        let texts: Vec<String> = shares
            .map(|(name, share)| format!("{name}={share}"))
            .collect();
        texts.join(" ")
    });
    let none = || "-".to_owned();
    let steps = row.rollout.as_ref().map(|rollout| {
        let at = rollout.step.map_or(rollout.start, |step| step);
        let steps: Vec<String> = rollout
            .steps
            .iter()
            .map(|step| match *step == at {
                true => format!("[{step}]"),
                false => step.to_string(),
            })
            .collect();
        format!("{}: {}", rollout.subset, steps.join(","))
    });
    let by = row.rollout.as_ref().and_then(|rollout| rollout.by.clone());
    [
        format!("{}.{}", row.service, row.namespace),
        row.state.to_owned(),
        shares.filter(|text| !text.is_empty()).unwrap_or_else(none),
        steps.unwrap_or_else(none),
        by.unwrap_or_else(none),
        row.undo.to_string(),
    ]
}
