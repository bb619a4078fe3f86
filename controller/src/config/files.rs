//! Watches a directory of YAML and JSON files, for a control plane without a cluster.
//!
//! Every change reads the directory again. A file that cannot be parsed keeps the objects of its last good version, so a
//! half-written file takes nothing away.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use mesh_core::diag::{Diagnostic, Level};
use mesh_core::resource::{self, Resource, ResourceKey};
use mesh_core::source::SourceMap;
use notify::Watcher as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Event;

/// Quiet time before the directory is read again; editors write a file in several steps.
const QUIET: Duration = Duration::from_millis(50);
/// Largest file that is read.
const MAX_FILE: u64 = 64 << 20;

/// Reads the directory once and watches it until the set is dropped. Gives the number of sources, which is one.
///
/// # Errors
/// When the directory cannot be read or watched.
pub async fn watch(
    directory: &Path,
    events: &mpsc::Sender<Event>,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<usize> {
    let (touched_sender, mut touched) = mpsc::channel(1);
    let mut watcher = notify::recommended_watcher(move |_| {
        // One waiting signal is enough: the whole directory is read again.
        let _ = touched_sender.try_send(());
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
            if let Err(error) = directory.read() {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "keeping the last configuration"
                );
                continue;
            }
            if events.send(directory.event()).await.is_err() {
                return;
            }
        }
    });
    Ok(1)
}

/// The objects of each file, as last read.
struct Directory {
    path: PathBuf,
    files: BTreeMap<PathBuf, BTreeMap<ResourceKey, Resource>>,
}

// === impl Directory ===

impl Directory {
    fn event(&self) -> Event {
        Event::ReplaceAll(
            self.files
                .values()
                .flat_map(|file| file.values().cloned())
                .collect(),
        )
    }

    fn read(&mut self) -> anyhow::Result<()> {
        let mut paths = Vec::new();
        collect(&self.path, &mut paths)?;
        let mut files = BTreeMap::new();
        for path in paths {
            let last = self.files.remove(&path).unwrap_or_default();
            let objects = match read_file(&path) {
                Ok(text) => objects_of(&path, &text, last),
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "keeping the last version of the file"
                    );
                    last
                }
            };
            files.insert(path, objects);
        }
        self.files = files;
        Ok(())
    }
}

fn objects_of(
    path: &Path,
    text: &str,
    last: BTreeMap<ResourceKey, Resource>,
) -> BTreeMap<ResourceKey, Resource> {
    let mut sources = SourceMap::default();
    let (documents, mut diagnostics) = sources.parse(&path.display().to_string(), text);
    let mut objects = BTreeMap::new();
    for document in &documents {
        let (resource, more) = resource::decode(document, None);
        diagnostics.extend(more);
        objects.extend(resource.map(|resource| (resource.key.clone(), resource)));
    }
    let broken = diagnostics
        .iter()
        .any(|diagnostic| diagnostic.level == Level::Error);
    report(path, &sources, &diagnostics);
    if broken {
        for (key, resource) in last {
            objects.entry(key).or_insert(resource);
        }
    }
    objects
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
            Level::Error => tracing::error!(
                code,
                resource,
                field,
                "{place}: {message}; the last good version stays"
            ),
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
