//! Where the configuration of a cluster comes from: the first thing that names one counts.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use kube::config::Kubeconfig;

use crate::args::Globals;
use crate::exit::Exit;
use crate::failure::{self, Advice as _};

/// Variable that names the sandbox to talk to.
pub const SANDBOX_VARIABLE: &str = "MESHCTL_SANDBOX";

/// Where a cluster's configuration comes from.
pub enum Source {
    /// A kubeconfig with the name to tell, and the context that was asked for.
    Kubeconfig {
        name: String,
        kubeconfig: Box<Kubeconfig>,
        context: Option<String>,
    },
    /// The service account of the pod that this process runs in.
    Pod,
}

// === impl Source ===

impl Source {
    /// The cluster that is named; none when nothing names one.
    pub fn find(globals: &Globals) -> anyhow::Result<Option<Self>> {
        let context = globals.context.clone();
        if let Some(path) = &globals.kubeconfig {
            return from_file(path, context).map(Some);
        }
        if context.is_none()
            && let Ok(name) = std::env::var(SANDBOX_VARIABLE)
            && !name.is_empty()
        {
            let record = mesh_sandbox::find(&mesh_sandbox::root()?, &name).with_context(|| {
                format!("failed to use the sandbox that {SANDBOX_VARIABLE} names")
            })?;
            return from_sandbox(record).map(Some);
        }
        if let Some(value) = std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()) {
            return from_variable(&value.to_string_lossy(), context).map(Some);
        }
        if context.is_none()
            && let Some(record) = running_sandbox()?
        {
            return from_sandbox(record).map(Some);
        }
        if let Some(path) = usual_kubeconfig().filter(|path| path.exists()) {
            return from_file(&path, context).map(Some);
        }
        let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        match context {
            Some(context) => Err(anyhow!(
                "there is no kubeconfig in which context {context:?} could be"
            ))
            .hint("name one with --kubeconfig FILE or KUBECONFIG"),
            None => Ok(in_pod.then_some(Source::Pod)),
        }
    }
}

/// The sandbox that is meant when nobody names one: the default one, or the only one.
fn running_sandbox() -> anyhow::Result<Option<mesh_sandbox::Record>> {
    let Ok(root) = mesh_sandbox::root() else {
        return Ok(None);
    };
    let mut running = mesh_sandbox::list(&root);
    if let Some(position) = running
        .iter()
        .position(|record| record.name == mesh_sandbox::DEFAULT_NAME)
    {
        return Ok(Some(running.swap_remove(position)));
    }
    if running.len() > 1 {
        let names: Vec<&str> = running.iter().map(|record| record.name.as_str()).collect();
        return Err(failure::usage(format!(
            "several sandboxes are running: {}",
            names.join(", ")
        )))
        .hint(format!(
            "name one with the environment variable {SANDBOX_VARIABLE}"
        ));
    }
    Ok(running.pop())
}

fn from_sandbox(record: mesh_sandbox::Record) -> anyhow::Result<Source> {
    let kubeconfig = Kubeconfig::read_from(&record.kubeconfig)
        .with_context(|| format!("failed to read the kubeconfig of sandbox {:?}", record.name))
        .hint("the sandbox may have ended just now: see `meshctl sandbox status`")?;
    let name = format!("sandbox {:?}", record.name);
    Ok(Source::Kubeconfig {
        name,
        kubeconfig: Box::new(kubeconfig),
        context: None,
    })
}

fn from_file(path: &Path, context: Option<String>) -> anyhow::Result<Source> {
    let shown = path.display().to_string();
    let failed = || format!("failed to read the kubeconfig {shown}");
    std::fs::metadata(path).with_context(failed)?;
    let read = Kubeconfig::read_from(path).with_context(failed);
    let kubeconfig = read.map_err(|error| failure::marked(Exit::Data, error))?;
    from_kubeconfig(kubeconfig, context, &shown)
}

/// The files of `KUBECONFIG`, merged; those that are not there are left out, as kubectl does.
fn from_variable(value: &str, context: Option<String>) -> anyhow::Result<Source> {
    let mut existing = std::env::split_paths(value)
        .filter(|path| path.exists())
        .peekable();
    if existing.peek().is_none() {
        return Err(anyhow!("KUBECONFIG names no file that exists: {value}"))
            .hint("unset KUBECONFIG to use a running sandbox or ~/.kube/config");
    }
    let mut merged = Kubeconfig::default();
    for path in existing {
        let failed = || format!("failed to read {}, which KUBECONFIG names", path.display());
        let read = Kubeconfig::read_from(&path).with_context(failed);
        let read = read.map_err(|error| failure::marked(Exit::Data, error))?;
        merged = merged.merge(read).with_context(failed)?;
    }
    from_kubeconfig(merged, context, value)
}

fn from_kubeconfig(
    kubeconfig: Kubeconfig,
    context: Option<String>,
    from: &str,
) -> anyhow::Result<Source> {
    let chosen = context.as_ref().or(kubeconfig.current_context.as_ref());
    let name = chosen.map_or_else(
        || from.to_owned(),
        |context| format!("context {context:?} of {from}"),
    );
    Ok(Source::Kubeconfig {
        name,
        kubeconfig: Box::new(kubeconfig),
        context,
    })
}

/// `~/.kube/config`.
fn usual_kubeconfig() -> Option<PathBuf> {
    etcetera::home_dir()
        .ok()
        .map(|home| home.join(".kube/config"))
}
