//! `meshctl get`: the mesh's objects of a kind, or of all kinds.

use kube::api::DynamicObject;
use mesh_core::resource::{Kind, rows};
use serde_json::{Value, json};

use super::{is_served, kind, named, not_served};
use crate::context::{Cluster, Context, Format};
use crate::exit::Exit;
use crate::objects;
use crate::runtime::block_on;

/// Kinds by one word.
const ALL: &str = "all";

/// Show routing rules and other objects of the mesh
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl get routerules
  meshctl get virtualservice reviews -o yaml
  meshctl get all -A

Kinds are named as for kubectl: virtualservices, virtualservice, vs. `all` stands for all kinds
of the mesh. Output formats: table, json, yaml.")]
pub struct Args {
    /// Kind of the objects, or `all`
    #[arg(value_name = "KIND")]
    kind: String,
    /// Name of one object
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Objects of all namespaces
    #[arg(short = 'A', long, conflicts_with = "name")]
    all_namespaces: bool,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Table, Format::Json, Format::Yaml])?;
    let wanted = match args.kind.as_str() {
        ALL => None,
        text => Some(kind(text)?),
    };
    block_on(async {
        let cluster = context.cluster().await?;
        let kinds: Vec<Kind> = match wanted {
            Some(kind) => vec![kind],
            None => {
                let defined = rows().filter(|row| row.definition.is_some());
                defined.map(|row| row.kind).collect()
            }
        };
        let mut found = Vec::new();
        for kind in kinds {
            match objects::list(&cluster, kind).await {
                Ok(listed) => found.extend(listed.into_iter().map(|object| (kind, object))),
                Err(kube::Error::Api(status)) if status.code == 404 => {
                    // A kind that is not there has no objects; whoever names it wants to know.
                    if wanted.is_some() && !is_served(&cluster, kind).await {
                        return Err(not_served(kind));
                    }
                }
                Err(error) => return Err(cluster.explain(error)),
            }
        }
        found.retain(|(kind, object)| is_asked(*kind, object, &args, &cluster));
        if let (Some(name), Some(kind), true) = (&args.name, wanted, found.is_empty()) {
            let named = named(kind, &cluster.namespace, name);
            return Err(anyhow::anyhow!("{named} is not there"));
        }
        show(found, args.name.is_some(), format, context)?;
        Ok(Exit::Success)
    })
}

fn is_asked(kind: Kind, object: &DynamicObject, args: &Args, cluster: &Cluster) -> bool {
    let metadata = &object.metadata;
    let is_near = args.all_namespaces
        || !kind.is_namespaced()
        || metadata.namespace.as_ref() == Some(&cluster.namespace);
    let is_named = args.name.is_none() || metadata.name == args.name;
    is_near && is_named
}

fn show(
    found: Vec<(Kind, DynamicObject)>,
    alone: bool,
    format: Format,
    context: &Context,
) -> anyhow::Result<()> {
    let printer = &context.printer;
    if format == Format::Table {
        if found.is_empty() {
            printer.note("No resources found.");
            return Ok(());
        }
        let rows = found.iter().map(|(kind, object)| {
            let version = kind.api_version().rsplit('/').next().unwrap_or_default();
            [
                object.metadata.name.clone().unwrap_or_default(),
                format!("{}.{version}.{}", kind.name(), kind.row().group()),
                object.metadata.namespace.clone().unwrap_or_default(),
            ]
        });
        let rows: Vec<[String; 3]> = rows.collect();
        return printer.table(["NAME", "KIND", "NAMESPACE"], &rows);
    }
    let values = found.into_iter().map(|(_, mut object)| {
        object.metadata.managed_fields = None;
        serde_json::to_value(object)
    });
    let mut values: Vec<Value> = values.collect::<Result<_, _>>()?;
    match values.pop() {
        Some(value) if alone => printer.structured(format, &value),
        last => {
            values.extend(last);
            let list = json!({"apiVersion": "v1", "kind": "List", "items": values});
            printer.structured(format, &list)
        }
    }
}
