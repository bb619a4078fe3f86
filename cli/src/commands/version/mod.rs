//! `meshctl version`: which versions work together here.

use std::collections::BTreeMap;

use clap::ArgAction;
use serde::Serialize;

use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::mesh::ControlPlane;
use crate::runtime;

/// Print the versions of the command line, the control plane and the proxies
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl version
  meshctl version --remote=false     # only this program
  meshctl version -o json")]
pub struct Args {
    /// Ask the control plane too
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    remote: bool,
    /// Only the number of this program
    #[arg(short, long)]
    short: bool,
}

/// All versions, with istioctl's keys.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    client_version: Info,
    #[serde(skip_serializing_if = "Option::is_none")]
    mesh_version: Option<Vec<Component>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_plane_version: Option<Vec<Proxy>>,
}

#[derive(Serialize)]
struct Info {
    version: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    component: &'static str,
    pod: String,
    info: Info,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Proxy {
    #[serde(rename = "ID")]
    id: String,
    istio_version: String,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Table, Format::Json, Format::Yaml])?;
    let client_version = Info {
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let mut versions = Versions {
        client_version,
        mesh_version: None,
        data_plane_version: None,
    };
    let asked = if !args.remote || args.short {
        Ok(())
    } else if context.names_cluster() {
        runtime::block_on(ask(context, &mut versions))
    } else {
        context
            .printer
            .note("cluster: none is named, so only this program's version is known");
        Ok(())
    };
    // What is known is said even when the rest cannot be learned.
    match format {
        Format::Table if args.short => context
            .printer
            .data(&format!("{}\n", versions.client_version.version))?,
        Format::Table => context.printer.data(&versions.text())?,
        format => context.printer.structured(format, &versions)?,
    }
    asked.map(|()| Exit::Success)
}

async fn ask(context: &Context, versions: &mut Versions) -> anyhow::Result<()> {
    let cluster = context.cluster().await?;
    let control_plane = ControlPlane::look(&cluster, context).await?;
    if !control_plane.is_running() {
        // No mesh is an answer too.
        context.printer.note(&control_plane.absence());
        return Ok(());
    }
    let pods = control_plane.versions().await?.into_iter();
    let component = |(pod, version)| Component {
        component: "pilot",
        pod,
        info: Info { version },
    };
    versions.mesh_version = Some(pods.map(component).collect());
    let proxies = control_plane.proxies().await?.into_iter();
    let proxy = |status: crate::mesh::SyncStatus| Proxy {
        id: status.proxy,
        istio_version: status.istio_version,
    };
    versions.data_plane_version = Some(proxies.map(proxy).collect());
    Ok(())
}

// === impl Versions ===

impl Versions {
    fn text(&self) -> String {
        let mut text = format!("client version: {}\n", self.client_version.version);
        if let Some(components) = &self.mesh_version {
            let versions = counted(
                components
                    .iter()
                    .map(|component| component.info.version.as_str()),
            );
            let versions: Vec<&str> = versions.into_keys().collect();
            text.push_str(&format!("control plane version: {}\n", versions.join(", ")));
        }
        if let Some(proxies) = &self.data_plane_version {
            let counts = counted(proxies.iter().map(|proxy| proxy.istio_version.as_str()));
            let count = |count| {
                if count == 1 {
                    "1 proxy".to_owned()
                } else {
                    format!("{count} proxies")
                }
            };
            let parts: Vec<String> = counts
                .into_iter()
                .map(|(version, n)| format!("{version} ({})", count(n)))
                .collect();
            let parts = if parts.is_empty() {
                "none".to_owned()
            } else {
                parts.join(", ")
            };
            text.push_str(&format!("data plane version: {parts}\n"));
        }
        text
    }
}

fn counted<'a>(versions: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for version in versions {
        *counts
            .entry(if version.is_empty() {
                "unknown"
            } else {
                version
            })
            .or_default() += 1;
    }
    counts
}
