//! The words that say what is installed: profile, files and `--set`, alike for `install` and `manifest generate`.

use std::path::{Path, PathBuf};

use mesh_core::install::{Plan, Request, ValuesError, ValuesFile, plan, values};
use serde_json::Value;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure;
use crate::input::{self, Input};

/// Longest file of values.
const LONGEST: usize = 4 << 20;

/// The namespace that the global flag has when nobody gave it.
const USUAL_NAMESPACE: &str = "istio-system";

/// What is installed.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Values {
    /// Values to start from: default, demo, minimal or empty
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Value of a key, such as values.pilot.replicaCount=2 or components.egressGateways[0].enabled=true
    #[arg(short, long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Name of the control plane among several, such as canary
    #[arg(short = 'r', long, value_name = "NAME")]
    pub revision: Option<String>,
    /// File of values: an IstioOperator or values of Istio's Helm charts; - for standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

// === impl Values ===

impl Values {
    /// The plan by these words, for a control plane in this namespace.
    pub fn plan(&self, namespace: &str) -> anyhow::Result<Plan> {
        self.request(namespace, plan)
    }

    /// All values by these words as one IstioOperator; warnings are told.
    pub fn merged(&self, context: &Context) -> anyhow::Result<Value> {
        let (merged, warnings) = self.request(context.istio_namespace(), values)?;
        for warning in &warnings {
            context.printer.warn(warning);
        }
        Ok(merged)
    }

    fn request<T>(
        &self,
        namespace: &str,
        read_values: fn(&Request<'_>) -> Result<T, Vec<ValuesError>>,
    ) -> anyhow::Result<T> {
        let files = self.files.iter().map(|path| read(path));
        let files = files.collect::<anyhow::Result<Vec<_>>>()?;
        let request = Request {
            profile: self.profile.as_deref(),
            files: &files,
            sets: &self.sets,
            namespace: Some(namespace).filter(|name| *name != USUAL_NAMESPACE),
            revision: self.revision.as_deref(),
        };
        read_values(&request).map_err(refused)
    }
}

fn refused(errors: Vec<ValuesError>) -> anyhow::Error {
    let of_words = errors.iter().all(|error| {
        ["--set", "profile", "revision"]
            .iter()
            .any(|origin| error.origin.starts_with(origin))
    });
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let error = anyhow::anyhow!("{}", lines.join("\n       "));
    let exit = if of_words { Exit::Usage } else { Exit::Data };
    failure::marked(exit, error)
}

fn read(path: &Path) -> anyhow::Result<ValuesFile> {
    let Input { name, text } = input::read(&path.display().to_string())?;
    if text.len() > LONGEST {
        return Err(failure::data(format!(
            "{name} is longer than values can be"
        )));
    }
    Ok(ValuesFile { name, text })
}
