//! Variables and files of the container, with the mistakes that were found while reading them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use mesh_ir::HostView;

/// Largest file of the pod's that is read.
const MAX_FILE: u64 = 1 << 20;

/// Variables, the root of container paths, and mistakes.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// What is different here from a pod of a cluster.
    view: HostView,
    mistakes: Vec<String>,
}

// === impl Environment ===

impl Environment {
    /// The variables of this process. Those that are not UTF-8 are none of ours.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// A variable that is set and not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    /// Every variable whose name begins with a prefix, without the prefix.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.variables
            .iter()
            .filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }

    /// A variable of some form; a mistake where it has another.
    pub(super) fn parse<T: FromStr>(&mut self, name: &str, expected: &str) -> Option<T> {
        let text = self.text(name)?.to_owned();
        let value = text.parse().ok();
        if value.is_none() {
            self.mistake(format!("{name} is {text:?}, expected {expected}"));
        }
        value
    }

    /// A variable that holds JSON; a mistake where it does not.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let text = self.text(name)?.to_owned();
        serde_json::from_str(&text)
            .map_err(|error| self.mistake(format!("{name} is no JSON of the right shape: {error}")))
            .ok()
    }

    /// Where a path of the container is found in this process's file system.
    pub fn path(&self, path: &str) -> PathBuf {
        self.view.path(path)
    }

    /// What is different here from a pod of a cluster.
    pub fn view(&self) -> &HostView {
        &self.view
    }

    /// A small file of the container, if it is there.
    pub fn file(&self, path: &str) -> Option<String> {
        let path = self.path(path);
        let small = std::fs::metadata(&path).is_ok_and(|file| file.len() <= MAX_FILE);
        small.then(|| std::fs::read_to_string(path).ok()).flatten()
    }

    /// Notes a mistake.
    pub(super) fn mistake(&mut self, mistake: impl Into<String>) {
        self.mistakes.push(mistake.into());
    }

    /// What was wrong.
    pub(super) fn into_mistakes(self) -> Vec<String> {
        self.mistakes
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let variables: BTreeMap<String, String> = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let (view, mistakes) = HostView::read(|name| variables.get(name).cloned());
        Self {
            variables,
            view,
            mistakes,
        }
    }
}
