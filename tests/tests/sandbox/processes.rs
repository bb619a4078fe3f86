//! The processes of a sandbox, told by the state directory in their environment.

use std::collections::BTreeSet;
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

/// All processes that know the state directory, and those that they have started, except this one.
pub fn of(state: &Path) -> Vec<Process> {
    let needle = state.display().to_string();
    let all = all();
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut ours: BTreeSet<i32> = all
        .iter()
        .filter(|(process, _)| {
            process.environment.contains(&needle) || process.words.contains(&needle)
        })
        .map(|(process, _)| process.id)
        .filter(|id| *id != own)
        .collect();
    loop {
        let children = all
            .iter()
            .filter(|(process, parent)| ours.contains(parent) && !ours.contains(&process.id));
        let children: Vec<i32> = children.map(|(process, _)| process.id).collect();
        if children.is_empty() {
            break;
        }
        ours.extend(children);
    }
    let found = all.into_iter().map(|(process, _)| process);
    let mut found: Vec<Process> = found.filter(|process| ours.contains(&process.id)).collect();
    found.sort();
    found
}

/// All processes with their parents.
fn all() -> Vec<(Process, i32)> {
    fs::read_dir("/proc")
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
            // The parent is the second field behind the program's name, which stands in parentheses.
            let stat = text("stat", " ")?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
            let process = Process {
                id,
                words,
                environment,
            };
            Some((process, parent.parse().ok()?))
        })
        .collect()
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
