//! `meshctl sandbox apply`, and the same for what `up` starts with: samples and the user's files.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow, bail};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{self, ApiCapabilities, Scope};
use kube::{Api, Client};
use mesh_core::install::FIELD_MANAGER;
use mesh_core::source::{Document, Origin, parse};
use serde_json::Value;

use super::Name;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure;
use crate::input::{self, Input};
use crate::runtime;

/// Apply YAML to a sandbox, for those who have no kubectl
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  meshctl sandbox apply -f samples/bookinfo/networking/virtual-service-all-v1.yaml")]
pub struct Args {
    #[command(flatten)]
    name: Name,
    /// Files or directories of YAML, - for standard input
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    files: Vec<String>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let documents = read(&input::read_all(&args.files)?)?;
    let record = mesh_sandbox::find(&mesh_sandbox::root()?, &args.name.name)?;
    let namespace = context.namespace().unwrap_or("default");
    runtime::block_on(async {
        let client = mesh_sandbox::client(&std::fs::read_to_string(&record.kubeconfig)?).await?;
        for Applied {
            kind,
            namespace,
            name,
            ..
        } in apply(&client, &documents, namespace).await?
        {
            let place = if namespace.is_empty() {
                String::new()
            } else {
                format!(" in {namespace}")
            };
            context
                .printer
                .done(&format!("{kind} {name}{place} applied"));
        }
        Ok(Exit::Success)
    })
}

/// An object that was applied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Applied {
    pub api_version: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    /// Its resource version, where that is known.
    pub version: Option<String>,
}

/// Reads inputs; what cannot be read is told before anything is started.
pub fn read(inputs: &[Input]) -> anyhow::Result<Vec<Document>> {
    let mut documents = Vec::new();
    for Input { name, text } in inputs {
        let (found, broken) = parse(name, text);
        if let Some(first) = broken.first() {
            return Err(failure::data(format!("{name}: {}", first.message)));
        }
        documents.extend(
            found
                .into_iter()
                .filter(|document| !document.value.is_null()),
        );
    }
    for document in &documents {
        identity(document).map_err(|error| failure::data(format!("{error:#}")))?;
    }
    Ok(documents)
}

/// Applies documents in their order, namespaces first; objects without a namespace go to `namespace`.
pub async fn apply(
    client: &Client,
    documents: &[Document],
    namespace: &str,
) -> anyhow::Result<Vec<Applied>> {
    let mut kinds = BTreeMap::new();
    let (first, then): (Vec<_>, Vec<_>) = documents.iter().partition(|document| {
        matches!(
            document.value["kind"].as_str(),
            Some("Namespace" | "CustomResourceDefinition")
        )
    });
    let mut applied = Vec::new();
    for document in first.into_iter().chain(then) {
        let one = one(client, document, namespace, &mut kinds).await;
        applied.push(one.with_context(|| format!("failed to apply {}", place(document)))?);
    }
    Ok(applied)
}

async fn one(
    client: &Client,
    document: &Document,
    namespace: &str,
    kinds: &mut BTreeMap<(String, String), (ApiResource, ApiCapabilities)>,
) -> anyhow::Result<Applied> {
    let (version, kind, name) = identity(document)?;
    let key = (version.clone(), kind.clone());
    if !kinds.contains_key(&key) {
        kinds.insert(key.clone(), look_up(client, &version, &kind).await?);
    }
    let (resource, capabilities) = &kinds[&key];
    let own = document.value["metadata"]["namespace"].as_str();
    let (api, namespace): (Api<DynamicObject>, _) = match capabilities.scope {
        Scope::Cluster => (Api::all_with(client.clone(), resource), ""),
        Scope::Namespaced => {
            let namespace = own.unwrap_or(namespace);
            (
                Api::namespaced_with(client.clone(), namespace, resource),
                namespace,
            )
        }
    };
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let answer = api
        .patch(&name, &params, &Patch::Apply(&*document.value))
        .await;
    match answer {
        Ok(object) => Ok(Applied {
            api_version: version,
            kind,
            namespace: namespace.to_owned(),
            name,
            version: object.metadata.resource_version,
        }),
        Err(kube::Error::Api(status)) => bail!("{}", status.message),
        Err(error) => Err(error.into()),
    }
}

async fn look_up(
    client: &Client,
    version: &str,
    kind: &str,
) -> anyhow::Result<(ApiResource, ApiCapabilities)> {
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let known = discovery::pinned_kind(client, &GroupVersionKind::gvk(group, version, kind)).await;
    known.map_err(|error| match error {
        kube::Error::Api(status) if status.code != 404 => anyhow!("{}", status.message),
        kube::Error::Api(_) | kube::Error::Discovery(_) => {
            anyhow!("the sandbox does not know the kind {kind} of {group}/{version}; is its CRD installed?")
        }
        error => error.into(),
    })
}

/// API version, kind and name.
fn identity(document: &Document) -> anyhow::Result<(String, String, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let version = text(&document.value["apiVersion"]);
    let kind = text(&document.value["kind"]);
    let name = text(&document.value["metadata"]["name"]);
    match (version, kind, name) {
        (Some(version), Some(kind), Some(name)) => Ok((version, kind, name)),
        _ => bail!(
            "{} has no apiVersion, kind or metadata.name",
            place(document)
        ),
    }
}

/// What to call a document: its kind and name, and where it is.
fn place(document: &Document) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let file = match &document.origin {
        Origin::File { name, .. } => name.to_string(),
        Origin::Cluster { .. } | Origin::Derived(_) | Origin::Builtin => String::new(),
    };
    let line = document.source.span(document.range.clone()).line;
    format!(
        "{} {} ({file}, document at line {line})",
        text(&document.value["kind"]),
        text(&document.value["metadata"]["name"])
    )
}
