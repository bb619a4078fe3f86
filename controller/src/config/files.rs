//! Watches a directory of YAML and JSON files, for a control plane without a cluster.
//!
//! Every change reads the directory again. A file that cannot be parsed keeps the objects of its last good version, so a
//! half-written file takes nothing away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use mesh_core::diag::{Diagnostic, Level};
use mesh_core::resource::{self, Kind, ResourceKey};
use mesh_core::source::SourceMap;
use mesh_ir::version_of;
use notify::Watcher as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Event, Observed};

/// Time before the directory is read again, in which more events become one. Longer quiet is the event loop's business.
const QUIET: Duration = Duration::from_millis(10);
/// Largest file that is read.
const MAX_FILE: u64 = 64 << 20;

/// Reads the directory once and watches it until the set is dropped. Gives the kinds that may be in it, which all begin with one
/// [`Event::ReplaceAll`].
///
/// # Errors
/// When the directory cannot be read or watched.
pub async fn watch(
    directory: &Path,
    events: &mpsc::Sender<Event>,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<BTreeSet<Kind>> {
    let (touched_sender, mut touched) = mpsc::channel(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading is an event as well, ours among it.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            // One waiting signal is enough: the whole directory is looked through again.
            let _ = touched_sender.try_send(());
        }
    })?;
    watcher
        .watch(directory, notify::RecursiveMode::Recursive)
        .with_context(|| format!("failed to watch {}", directory.display()))?;
    let mut directory = Directory {
        path: directory.to_owned(),
        files: BTreeMap::new(),
    };
    directory.read()?;
    events.send(directory.event()).await.ok();
    let events = events.clone();
    tasks.spawn(async move {
        let _watcher = watcher;
        while touched.recv().await.is_some() {
            tokio::time::sleep(QUIET).await;
            let _ = touched.try_recv();
            match directory.read() {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "the last configuration stays");
                    continue;
                }
            }
            if events.send(directory.event()).await.is_err() {
                return;
            }
        }
    });
    Ok(Kind::all().collect())
}

/// The objects of each file, as last read.
struct Directory {
    path: PathBuf,
    files: BTreeMap<PathBuf, File>,
}

/// A file, as last read.
#[derive(Default)]
struct File {
    /// Hash of its text.
    text: u64,
    objects: BTreeMap<ResourceKey, Observed>,
}

// === impl Directory ===

impl Directory {
    fn event(&self) -> Event {
        let objects = self.files.values().flat_map(|file| file.objects.values());
        Event::ReplaceAll(objects.cloned().collect())
    }

    /// Reads what has changed. Whether anything has.
    fn read(&mut self) -> anyhow::Result<bool> {
        let mut paths = Vec::new();
        collect(&self.path, &mut paths)?;
        let mut changed = false;
        let mut files = BTreeMap::new();
        for path in paths {
            let mut file = self.files.remove(&path).unwrap_or_default();
            match read_file(&path) {
                Ok(text) if version_of(&text) == file.text => {}
                Ok(text) => {
                    file.update(&path, &text);
                    changed = true;
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "the last version of the file stays");
                }
            }
            files.insert(path, file);
        }
        changed |= !self.files.is_empty();
        self.files = files;
        Ok(changed)
    }
}

// === impl File ===

impl File {
    /// Takes a new text. Where something in it is broken, objects that it no longer holds stay: they may be the broken ones.
    fn update(&mut self, path: &Path, text: &str) {
        let mut sources = SourceMap::default();
        let (documents, mut diagnostics) = sources.parse(&path.display().to_string(), text);
        let is_error = |found: &[Diagnostic]| found.iter().any(|one| one.level == Level::Error);
        let mut unreadable = is_error(&diagnostics);
        let mut objects = BTreeMap::new();
        for document in &documents {
            let (resource, more) = resource::decode(document, None);
            unreadable |= is_error(&more);
            diagnostics.extend(more);
            let Some(resource) = resource else { continue };
            diagnostics.extend(resource.findings.iter().cloned());
            // The last good version stays, in this file or below.
            unreadable |= resource.malformed;
            if !resource.malformed {
                objects.insert(resource.key.clone(), resource.into());
            }
        }
        report(path, &sources, &diagnostics);
        if unreadable {
            for (key, resource) in std::mem::take(&mut self.objects) {
                objects.entry(key).or_insert(resource);
            }
        }
        *self = Self {
            text: version_of(&text),
            objects,
        };
    }
}

/// Says what is wrong, by file and line.
fn report(path: &Path, sources: &SourceMap, diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        let Diagnostic {
            code,
            level,
            resource,
            path: field,
            message,
            ..
        } = diagnostic;
        let place = match sources.locate_finding(diagnostic) {
            Some(span) => format!("{}:{}:{}", path.display(), span.line, span.column),
            None => path.display().to_string(),
        };
        let resource = resource
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let field = field.to_string();
        match level {
            Level::Error => tracing::error!(code, resource, field, "{place}: {message}"),
            Level::Warning => tracing::warn!(code, resource, field, "{place}: {message}"),
            Level::Info => tracing::debug!(code, resource, field, "{place}: {message}"),
        }
    }
}

fn read_file(path: &Path) -> anyhow::Result<String> {
    let size = std::fs::metadata(path)
        .with_context(|| format!("failed to read {}", path.display()))?
        .len();
    anyhow::ensure!(
        size <= MAX_FILE,
        "{} is larger than {} MiB",
        path.display(),
        MAX_FILE >> 20
    );
    std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(directory)
        .with_context(|| format!("failed to read the directory {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if path
            .extension()
            .is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str =
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}\n";

    fn directory(files: &[(&str, &str)]) -> (tempfile::TempDir, Directory) {
        let place = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(place.path().join(name), text).unwrap();
        }
        let path = place.path().to_owned();
        (
            place,
            Directory {
                path,
                files: BTreeMap::new(),
            },
        )
    }

    fn names(directory: &Directory) -> Vec<String> {
        let objects = directory
            .files
            .values()
            .flat_map(|file| file.objects.keys());
        objects.map(|key| key.name.to_string()).collect()
    }

    #[test]
    fn a_broken_file_takes_nothing_away() {
        let other = SERVICE.replace("name: a", "name: b");
        let (place, mut directory) =
            directory(&[("a.yaml", SERVICE), ("b.yml", &other), ("c.txt", "no")]);
        assert!(directory.read().unwrap());
        assert_eq!(names(&directory), ["a", "b"]);
        assert!(!directory.read().unwrap());
        std::fs::write(place.path().join("a.yaml"), "kind: [").unwrap();
        assert!(directory.read().unwrap());
        assert_eq!(names(&directory), ["a", "b"]);
        std::fs::write(place.path().join("a.yaml"), "").unwrap();
        std::fs::remove_file(place.path().join("b.yml")).unwrap();
        assert!(directory.read().unwrap());
        assert!(names(&directory).is_empty());
    }

    #[tokio::test]
    async fn changes_are_noticed() {
        let (place, _) = directory(&[("a.yaml", SERVICE)]);
        let (sender, mut events) = mpsc::channel(4);
        let mut tasks = JoinSet::new();
        watch(place.path(), &sender, &mut tasks).await.unwrap();
        let mut next = async || match events.recv().await {
            Some(Event::ReplaceAll(objects)) => objects.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!(next().await, 1);
        std::fs::write(
            place.path().join("b.yaml"),
            SERVICE.replace("name: a", "name: b"),
        )
        .unwrap();
        while next().await < 2 {}
    }
}
