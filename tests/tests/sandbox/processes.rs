//! The processes of a sandbox, told by the state directory in their environment.

use std::fs;
use std::path::Path;

/// A process that belongs to a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pub id: i32,
    /// Its words, with blanks between.
    pub words: String,
    /// Its environment, a variable per line.
    pub environment: String,
}

/// All processes that know the state directory, except this one.
pub fn of(state: &Path) -> Vec<Process> {
    let needle = state.display().to_string();
    let mut found: Vec<Process> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let text = |name: &str, blank: &str| {
                let bytes = fs::read(entry.path().join(name)).ok()?;
                Some(String::from_utf8_lossy(&bytes).replace('\0', blank))
            };
            // What has ended and is not collected yet has no words.
            let words = text("cmdline", " ").filter(|words| !words.is_empty())?;
            let environment = text("environ", "\n")?;
            (environment.contains(&needle) || words.contains(&needle)).then_some(Process {
                id,
                words,
                environment,
            })
        })
        .filter(|process| process.id != i32::try_from(std::process::id()).unwrap_or(0))
        .collect();
    found.sort();
    found
}

/// The one process among them whose words hold `words` and whose environment holds `variable`.
#[track_caller]
pub fn one(state: &Path, words: &str, variable: &str) -> Process {
    let mut found = of(state);
    found.retain(|process| process.words.contains(words) && process.environment.contains(variable));
    assert_eq!(found.len(), 1, "{words} {variable}: {found:#?}");
    found.remove(0)
}

/// Sends a signal by the shell's name for it.
pub fn signal(id: i32, name: &str) {
    let status = std::process::Command::new("kill")
        .args([format!("-{name}"), id.to_string()])
        .status()
        .expect("kill can be run");
    assert!(status.success(), "kill -{name} {id}");
}
