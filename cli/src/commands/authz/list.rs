//! `meshctl authz list`: the policies that are for a workload, in the order in which they decide.

use anyhow::anyhow;
use mesh_core::authz::{Workload, is_dry_run};
use mesh_core::model::AuthorizationAction;
use mesh_core::resource::{Kind, Object};
use serde::Serialize;

use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::failure::Advice as _;
use crate::gather::{Sources, World};
use crate::{mesh, runtime};

/// List the policies that are for a workload, in the order in which they decide
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pod; with files the name of a pod or of the object that makes pods
    #[arg(value_name = "[TYPE/]NAME[.NAMESPACE]")]
    pod: String,
    #[command(flatten)]
    sources: Sources,
}

/// A policy.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// Actions decide in this order.
    #[serde(skip)]
    order: usize,
    action: String,
    namespace: String,
    name: String,
    kind: &'static str,
    rules: usize,
    dry_run: bool,
    location: String,
}

/// In the order in which they decide.
const ACTIONS: [&str; 5] = ["CUSTOM", "AUTHENTICATE", "DENY", "ALLOW", "AUDIT"];

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Table, Format::Json, Format::Yaml])?;
    let world = args.sources.read(context)?;
    let workload = find(args, &world)?;
    let rows = rows(&world, &workload);
    if format != Format::Table {
        context.printer.structured(format, &rows)?;
        return Ok(Exit::Success);
    }
    if rows.is_empty() {
        context.printer.done(&format!(
            "No policy is for {}.{}: everything is allowed.",
            workload.name, workload.namespace
        ));
        return Ok(Exit::Success);
    }
    let table: Vec<[String; 5]> = rows
        .into_iter()
        .map(|row| {
            let action = if row.dry_run {
                format!("{} (dry run)", row.action)
            } else {
                row.action
            };
            let name = format!("{}.{}", row.name, row.namespace);
            [
                action,
                name,
                row.kind.to_owned(),
                row.rules.to_string(),
                row.location,
            ]
        })
        .collect();
    let titles = ["ACTION", "POLICY", "KIND", "RULES", "WRITTEN AT"];
    context.printer.table(titles, &table)?;
    Ok(Exit::Success)
}

fn find(args: &Args, world: &World) -> anyhow::Result<Workload> {
    let (namespace, name) = match &world.cluster {
        Some(cluster) => {
            let pod = runtime::block_on(mesh::resolve(cluster, &args.pod))?;
            (pod.namespace, pod.name)
        }
        None => {
            let named = args.pod.rsplit('/').next().unwrap_or_default();
            let (name, namespace) = named.rsplit_once('.').unwrap_or((named, &world.namespace));
            (namespace.to_owned(), name.to_owned())
        }
    };
    let all = Workload::all(&world.snapshot);
    let mut found = all
        .into_iter()
        .filter(|workload| *workload.namespace == *namespace && *workload.name == *name);
    match found.next() {
        Some(workload) => Ok(workload),
        None => Err(anyhow!(
            "there is no workload {name} in namespace {namespace}"
        ))
        .hint("with -f the files must hold the pod, or the object that makes it"),
    }
}

fn rows(world: &World, workload: &Workload) -> Vec<Row> {
    let kinds = [Kind::AuthorizationPolicy, Kind::RequestAuthentication];
    let policies = kinds
        .into_iter()
        .flat_map(|kind| workload.policies(&world.snapshot, kind));
    let mut rows: Vec<Row> = policies
        .map(|resource| {
            let (action, rules) = match &resource.object {
                Object::AuthorizationPolicy(spec) => (action(spec.action), spec.rules.len()),
                Object::RequestAuthentication(spec) => ("AUTHENTICATE", spec.jwt_rules.len()),
                _ => ("", 0),
            };
            Row {
                order: ACTIONS
                    .iter()
                    .position(|known| *known == action)
                    .unwrap_or(0),
                action: action.to_owned(),
                namespace: resource.key.namespace.to_string(),
                name: resource.key.name.to_string(),
                kind: resource.key.kind.name(),
                rules,
                dry_run: is_dry_run(resource),
                location: world.place(resource, ""),
            }
        })
        .collect();
    rows.sort();
    rows
}

fn action(action: Option<AuthorizationAction>) -> &'static str {
    match action {
        None | Some(AuthorizationAction::Allow) => "ALLOW",
        Some(AuthorizationAction::Deny) => "DENY",
        Some(AuthorizationAction::Audit) => "AUDIT",
        Some(AuthorizationAction::Custom) => "CUSTOM",
    }
}
