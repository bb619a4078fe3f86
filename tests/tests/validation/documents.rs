//! The documents that are judged: our own, and those that the judge's modules carry as test data and samples.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mesh_core::resource::Kind;
use mesh_core::source;
use mesh_tests::root;
use serde_json::Value;

/// Where documents of our own lie, below the repository's root.
const OURS: [&str; 4] = [
    "core/tests/corpus",
    "core/tests/analyze",
    "core/tests/golden",
    "samples",
];

/// An object, and where it came from.
#[derive(Clone, Debug)]
pub struct Document {
    /// `FILE:NAME`, or that with what was changed.
    pub name: String,
    pub object: Value,
}

/// Objects of the kinds of Istio and the Gateway API, each different one once.
pub fn all(modules: &[PathBuf]) -> Vec<Document> {
    let ours = OURS.map(|directory| root().join(directory));
    let mut seen = BTreeSet::new();
    let mut documents = Vec::new();
    for directory in ours.iter().chain(modules) {
        for file in yaml_files(directory) {
            // What is no text of YAML is a template of some program.
            let Ok(text) = std::fs::read_to_string(&file) else {
                continue;
            };
            let name = short(&file, directory);
            let (found, _) = source::parse(&name, &text);
            for document in found {
                let object = Value::clone(&document.value);
                if let Some(object) = prepare(object)
                    && seen.insert(object.to_string())
                {
                    let own = object["metadata"]["name"].as_str().unwrap_or_default();
                    documents.push(Document {
                        name: format!("{name}:{own}"),
                        object,
                    });
                }
            }
        }
    }
    documents
}

/// An object of a kind that an installation defines, with what an API server would want of any object.
fn prepare(mut object: Value) -> Option<Value> {
    let kind = Kind::of(object["apiVersion"].as_str()?, object["kind"].as_str()?)?;
    kind.row().definition?;
    let fields = object.as_object_mut()?;
    fields.retain(|name, _| ["apiVersion", "kind", "metadata", "spec"].contains(&name.as_str()));
    let metadata = fields
        .entry("metadata")
        .or_insert_with(|| serde_json::json!({}));
    let metadata = metadata.as_object_mut()?;
    let name = metadata.get("name").cloned();
    let name = name.filter(Value::is_string).unwrap_or("unnamed".into());
    metadata.clear();
    metadata.insert("name".to_owned(), name);
    metadata.insert("namespace".to_owned(), "default".into());
    Some(object)
}

fn yaml_files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let is_yaml = path
            .extension()
            .is_some_and(|ending| ending == "yaml" || ending == "yml");
        if path.is_dir() {
            files.extend(yaml_files(&path));
        } else if is_yaml {
            files.push(path);
        }
    }
    files
}

/// A file's name below the parent of the directory it was found in.
fn short(file: &Path, directory: &Path) -> String {
    let base = directory.parent().unwrap_or(directory);
    let name = file.strip_prefix(base).unwrap_or(file);
    name.to_string_lossy().into_owned()
}
