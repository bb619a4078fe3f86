//! Texts that the user names: files, directories, standard input, and pipes such as `/dev/fd/63`.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::failure::{self, Advice as _};

/// Extensions of files that are read when a directory is named.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// A text with the name that the user gave for it.
#[derive(Debug)]
pub struct Input {
    /// `-` for standard input.
    pub name: String,
    pub text: String,
}

/// The longest text that is read: enough for every cluster, and an end to `/dev/zero`.
const MOST_BYTES: u64 = 1 << 30;

/// Reads one file or pipe, or standard input for `-`.
pub fn read(name: &str) -> anyhow::Result<Input> {
    let mut bytes = Vec::new();
    if name == "-" {
        let read = std::io::stdin()
            .lock()
            .take(MOST_BYTES + 1)
            .read_to_end(&mut bytes);
        read.context("failed to read standard input")?;
    } else {
        let path = Path::new(name);
        if path.is_dir() {
            return Err(failure::usage(format!(
                "{name} is a directory, and a file is needed here"
            )));
        }
        let open = std::fs::File::open(path);
        let read = open.and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
        read.with_context(|| format!("failed to read {name}"))?;
    }
    if bytes.len() as u64 > MOST_BYTES {
        let limit = MOST_BYTES >> 20;
        return Err(failure::data(format!("{name} has more than {limit} MiB")));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..at]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        let shown = if name == "-" { "standard input" } else { name };
        failure::data(format!(
            "{shown} is not UTF-8 text: line {line} has a byte that does not belong there"
        ))
    });
    let text = text.hint("save the file in UTF-8")?;
    Ok(Input {
        name: name.to_owned(),
        text,
    })
}

/// Reads files, pipes, standard input, and all YAML and JSON files in directories and those below them.
pub fn read_all(names: &[String]) -> anyhow::Result<Vec<Input>> {
    self::names(names)?.iter().map(|name| read(name)).collect()
}

/// The names of all texts: directories stand for the YAML and JSON files in them and below.
pub fn names(names: &[String]) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    for name in names {
        let path = Path::new(name);
        if name == "-" || !path.is_dir() {
            all.push(name.clone());
            continue;
        }
        let mut files = Vec::new();
        walk(path, &mut files)?;
        let files = files.iter();
        all.extend(files.map(|file| file.to_string_lossy().into_owned()));
    }
    Ok(all)
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let failed = || format!("failed to read the directory {}", directory.display());
    let entries = std::fs::read_dir(directory).with_context(failed)?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.with_context(failed)?.path());
    }
    paths.sort();
    for path in paths {
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() {
            // Links to directories may lead in circles; .git and the like hold no configuration.
            if !hidden && !path.is_symlink() {
                walk(&path, files)?;
            }
        } else if path
            .extension()
            .is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known))
        {
            files.push(path);
        }
    }
    Ok(())
}
