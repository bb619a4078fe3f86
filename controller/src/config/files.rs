//! Watches a directory of YAML and JSON files, for a control plane without a cluster.
//!
//! Every change looks through the directory again and tells what is different then. A file that is moved into place is read at once:
//! it is complete. One that is written in place is read a little later, and if it cannot be parsed keeps the objects of its last good
//! version, so a half-written file takes nothing away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use mesh_core::diag::{Diagnostic, Level};
use mesh_core::resource::{self, Kind, ResourceKey};
use mesh_core::source::SourceMap;
use mesh_ir::version_of;
use notify::Watcher as _;
use notify::event::{EventKind, ModifyKind};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use super::{Event, Observed};

/// Time between a write and the reading of the file, in which more writes become one. Longer quiet is the event loop's business.
const QUIET: Duration = Duration::from_millis(10);
/// A file that was changed so long before it was read cannot have been changed afterwards without a later time of change.
const SETTLED: Duration = Duration::from_secs(2);
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
    let (touched, moved) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (on_touch, on_move) = (touched.clone(), moved.clone());
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // One waiting signal is enough: the whole directory is looked through again.
        match event.map(|event| event.kind) {
            // Reading is an event as well, ours among it.
            Ok(EventKind::Access(_)) => {}
            Ok(EventKind::Modify(ModifyKind::Name(_))) => on_move.notify_one(),
            _ => on_touch.notify_one(),
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
    events.send(directory.everything()).await.ok();
    let events = events.clone();
    tasks.spawn(async move {
        let _watcher = watcher;
        loop {
            tokio::select! {
                () = moved.notified() => {}
                () = touched.notified() => tokio::select! {
                    () = moved.notified() => {}
                    () = tokio::time::sleep(QUIET) => {}
                }
            }
            let changes = directory.read().unwrap_or_else(|error| {
                let error = format!("{error:#}");
                tracing::warn!(error, "the last configuration stays");
                Vec::new()
            });
            if !changes.is_empty() && events.send(Event::Several(changes)).await.is_err() {
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
#[derive(Clone, Default)]
struct File {
    /// What the file system said of it, if that was old enough to tell changes by.
    stamp: Option<Stamp>,
    /// Hash of its text.
    text: u64,
    objects: Arc<BTreeMap<ResourceKey, Observed>>,
}

/// What tells a file from another version of it: when it was changed, its length, and its number in the file system.
type Stamp = (SystemTime, u64, u64);

// === impl Directory ===

impl Directory {
    fn everything(&self) -> Event {
        let objects = self.files.values().flat_map(|file| file.objects.values());
        Event::ReplaceAll(objects.cloned().collect())
    }

    /// Reads the files that have changed; gives what became of the objects.
    fn read(&mut self) -> anyhow::Result<Vec<Event>> {
        let mut paths = Vec::new();
        collect(&self.path, &mut paths)?;
        let mut before = self.files.clone();
        let mut touched = BTreeSet::new();
        let mut files = BTreeMap::new();
        for path in paths {
            let known = before.get(&path).cloned().unwrap_or_default();
            let file = known.next(&path);
            if Arc::ptr_eq(&file.objects, &known.objects) {
                before.remove(&path);
            } else {
                touched.extend(file.objects.keys().cloned());
            }
            files.insert(path, file);
        }
        // What is left there is gone, or was another version.
        for file in before.values() {
            touched.extend(file.objects.keys().cloned());
        }
        let before = std::mem::replace(&mut self.files, files);
        let changes = touched.into_iter();
        Ok(changes
            .filter_map(|key| change(winner(&before, &key), winner(&self.files, &key)))
            .collect())
    }
}

/// The object of a key: of several files with one the last counts.
fn winner<'a>(files: &'a BTreeMap<PathBuf, File>, key: &ResourceKey) -> Option<&'a Observed> {
    let mut files = files.values().rev();
    files.find_map(|file| file.objects.get(key))
}

fn change(before: Option<&Observed>, after: Option<&Observed>) -> Option<Event> {
    match (before, after) {
        (_, Some(after)) => {
            let same = before.is_some_and(|before| before.meaning == after.meaning);
            (!same).then(|| Event::Apply(after.clone()))
        }
        (Some(before), None) => Some(Event::Delete(before.resource.key.clone(), None)),
        (None, None) => None,
    }
}

// === impl File ===

impl File {
    /// The file as it is now.
    fn next(&self, path: &Path) -> Self {
        let stamp = stamp(path);
        if stamp.is_some() && stamp == self.stamp {
            return self.clone();
        }
        let next = match read_file(path) {
            Ok(text) if version_of(&text) == self.text => self.clone(),
            Ok(text) => self.update(path, &text),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(error, "the last version of the file stays");
                self.clone()
            }
        };
        Self { stamp, ..next }
    }

    /// Takes a new text. Where something in it is broken, objects that it no longer holds stay: they may be the broken ones.
    fn update(&self, path: &Path, text: &str) -> Self {
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
            for (key, resource) in self.objects.iter() {
                let object = objects.entry(key.clone());
                object.or_insert_with(|| resource.clone());
            }
        }
        Self {
            stamp: None,
            text: version_of(&text),
            objects: Arc::new(objects),
        }
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

/// What the file system says of a file; nothing while it was changed so lately that the next change might look the same.
fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(path).ok()?;
    let changed = metadata.modified().ok()?;
    let age = SystemTime::now().duration_since(changed).ok()?;
    (age >= SETTLED).then(|| (changed, metadata.len(), metadata.ino()))
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
        assert_eq!(directory.read().unwrap().len(), 2);
        assert_eq!(names(&directory), ["a", "b"]);
        assert!(directory.read().unwrap().is_empty());
        std::fs::write(place.path().join("a.yaml"), "kind: [").unwrap();
        assert!(directory.read().unwrap().is_empty());
        assert_eq!(names(&directory), ["a", "b"]);
        std::fs::write(place.path().join("a.yaml"), "").unwrap();
        std::fs::remove_file(place.path().join("b.yml")).unwrap();
        assert_eq!(directory.read().unwrap().len(), 2);
        assert!(names(&directory).is_empty());
    }

    #[test]
    fn of_several_files_with_an_object_the_last_counts() {
        let with = |port: &str| SERVICE.replace("port: 80", port);
        let (place, mut directory) =
            directory(&[("a.yaml", SERVICE), ("b.yaml", &with("port: 81"))]);
        let write = |name: &str, text: &str| std::fs::write(place.path().join(name), text).unwrap();
        let is = |changes: &[Event], expected: &str| match changes {
            [Event::Apply(_)] => assert_eq!(expected, "applied"),
            [Event::Delete(..)] => assert_eq!(expected, "deleted"),
            [] => assert_eq!(expected, "nothing"),
            others => panic!("{others:?}"),
        };
        is(&directory.read().unwrap(), "applied");
        write("a.yaml", &with("port: 82"));
        is(&directory.read().unwrap(), "nothing");
        std::fs::remove_file(place.path().join("b.yaml")).unwrap();
        is(&directory.read().unwrap(), "applied");
        write("a.yaml", "");
        is(&directory.read().unwrap(), "deleted");
    }

    #[tokio::test]
    async fn changes_are_noticed() {
        let (place, _) = directory(&[("a.yaml", SERVICE)]);
        let (sender, mut events) = mpsc::channel(4);
        let mut tasks = JoinSet::new();
        watch(place.path(), &sender, &mut tasks).await.unwrap();
        let first = events.recv().await;
        assert!(matches!(first, Some(Event::ReplaceAll(objects)) if objects.len() == 1));
        std::fs::write(
            place.path().join("b.yaml"),
            SERVICE.replace("name: a", "name: b"),
        )
        .unwrap();
        let next = events.recv().await;
        assert!(matches!(next, Some(Event::Several(changes)) if changes.len() == 1));
    }
}
