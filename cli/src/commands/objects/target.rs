//! Objects of files that are to be written, read and checked.

use kube::Api;
use kube::api::DynamicObject;
use mesh_core::diag::{Diagnostic, Level};
use mesh_core::resource::{Kind, decode};
use mesh_core::source::{Document, Part, parse};
use serde_json::Value;

use super::named;
use crate::context::{Cluster, Context};
use crate::failure::{self, Advice as _};
use crate::input::{self, Input};

/// An object of a file.
pub(super) struct Target {
    pub(super) kind: Kind,
    pub(super) api_version: String,
    pub(super) name: String,
    /// The namespace that it names.
    namespace: Option<String>,
    value: Value,
}

/// Where the objects come from.
#[derive(Debug, clap::Args)]
pub(super) struct Files {
    /// Files, directories, or - for standard input (repeatable)
    #[arg(
        short = 'f',
        long = "file",
        alias = "filename",
        value_name = "FILE|DIR|-"
    )]
    files: Vec<String>,
}

// === impl Files ===

impl Files {
    /// All objects. A namespace that was asked for must be that of the objects that name one.
    pub(super) fn read(&self, context: &Context) -> anyhow::Result<Vec<Target>> {
        read(&self.files, context)
    }
}

fn read(files: &[String], context: &Context) -> anyhow::Result<Vec<Target>> {
    if files.is_empty() {
        return Err(failure::usage("there is nothing to work on"))
            .hint("name files or directories by -f, or - for standard input");
    }
    let mut targets = Vec::new();
    let mut wrong = Vec::new();
    for Input { name, text } in input::read_all(files)? {
        let (documents, unreadable) = parse(&name, &text);
        wrong.extend(
            unreadable
                .iter()
                .map(|found| format!("{name}: {}", found.message)),
        );
        for document in documents.iter().filter(|it| !it.value.is_null()) {
            match Target::of(document, &name) {
                Ok(target) => targets.push(target),
                Err(errors) => wrong.extend(errors),
            }
        }
    }
    if !wrong.is_empty() {
        let text = format!("nothing was written: {}", wrong.join("\n       "));
        return Err(failure::data(text));
    }
    if let Some(asked) = context.namespace() {
        for target in &targets {
            let own = target.namespace.as_deref().filter(|own| *own != asked);
            if let Some(own) = own.filter(|_| target.kind.is_namespaced()) {
                let (kind, name) = (target.kind.name(), &target.name);
                return Err(failure::usage(format!(
                    "{kind} {name} is for namespace {own}, and --namespace is {asked}"
                )));
            }
        }
    }
    Ok(targets)
}

// === impl Target ===

impl Target {
    /// The objects of its kind where it belongs.
    pub(super) fn api(&self, cluster: &Cluster) -> Api<DynamicObject> {
        let namespace = self.namespace(cluster);
        super::api(cluster, self.kind, &self.api_version, namespace)
    }

    fn of(document: &Document, file: &str) -> Result<Self, Vec<String>> {
        let value = &document.value;
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
        let at = |found: &Diagnostic| {
            let span = document.locate(&found.path, Part::Value);
            format!("{file}:{}:{}: {}", span.line, span.column, found.message)
        };
        let (resource, findings) = decode(document, None);
        let own = resource.iter().flat_map(|resource| &resource.findings);
        let errors: Vec<String> = findings
            .iter()
            .chain(own)
            .filter(|found| found.level == Level::Error)
            .map(at)
            .collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        let (api_version, name) = (text("/apiVersion"), text("/kind"));
        let known = resource.filter(|it| it.key.kind.row().definition.is_some());
        let Some(resource) = known else {
            let line = document.source.span(document.range.clone()).line;
            let (api_version, name) = (api_version.unwrap_or("?"), name.unwrap_or("?"));
            return Err(vec![format!(
                "{file}:{line}: {name} of {api_version} is no kind of the mesh's objects: use kubectl"
            )]);
        };
        let kind = resource.key.kind;
        // Old kinds are served in one group and version each.
        let api_version = api_version.filter(|_| !kind.row().is_legacy());
        let api_version = api_version.unwrap_or(kind.api_version()).to_owned();
        let mut value = Value::clone(value);
        value["apiVersion"] = api_version.as_str().into();
        Ok(Self {
            kind,
            api_version,
            name: resource.key.name.to_string(),
            namespace: text("/metadata/namespace").map(str::to_owned),
            value,
        })
    }

    /// The namespace that it is for.
    pub(super) fn namespace<'a>(&'a self, cluster: &'a Cluster) -> &'a str {
        self.namespace.as_deref().unwrap_or(&cluster.namespace)
    }

    /// `RouteRule default/reviews-default`.
    pub(super) fn named(&self, cluster: &Cluster) -> String {
        named(self.kind, self.namespace(cluster), &self.name)
    }

    /// The object as the API server takes it.
    pub(super) fn object(&self, cluster: &Cluster) -> anyhow::Result<DynamicObject> {
        let mut object: DynamicObject = serde_json::from_value(self.value.clone())?;
        if self.kind.is_namespaced() {
            object.metadata.namespace = Some(self.namespace(cluster).to_owned());
        }
        Ok(object)
    }
}
