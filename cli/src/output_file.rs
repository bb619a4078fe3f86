//! Writing a file at once or not at all: whoever looks sees the old file or the whole new one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Replaces a file's content in one step. Devices and pipes are written directly.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let outcome = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {
            // Through a link, what it points to is replaced, not the link.
            fs::canonicalize(path)
                .and_then(|target| replace(&target, bytes, Some(metadata.permissions())))
        }
        Ok(metadata) if metadata.is_dir() => Err(io::Error::from(io::ErrorKind::IsADirectory)),
        Ok(_) => File::options()
            .write(true)
            .open(path)
            .and_then(|mut file| file.write_all(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => replace(path, bytes, None),
        Err(error) => Err(error),
    };
    outcome.with_context(|| format!("failed to write {}", path.display()))
}

fn replace(path: &Path, bytes: &[u8], permissions: Option<fs::Permissions>) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let partial: PathBuf = path.with_file_name(format!(
        ".{}.{}.partial",
        name.to_string_lossy(),
        std::process::id()
    ));
    let written = File::create_new(&partial).and_then(|mut file| {
        if let Some(permissions) = permissions {
            file.set_permissions(permissions)?;
        }
        file.write_all(bytes)?;
        file.sync_all()
    });
    let outcome = written.and_then(|()| fs::rename(&partial, path));
    if outcome.is_err() {
        // Nothing half-written stays.
        let _ = fs::remove_file(&partial);
    }
    outcome
}
