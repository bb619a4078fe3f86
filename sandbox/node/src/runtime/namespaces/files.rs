//! A container's view of files: this machine's, with the pod's volumes and its own `/etc/hosts` at their paths.
//!
//! ```text
//! a new file system in memory
//!   every entry of /            bound to this machine's, with all below it
//!   a directory that must gain  made anew, its entries bound one by one: only so can something be put beside them
//!     something                 without the right to change the machine's own
//!   volumes, /etc/hosts ...     bound where they belong
//! ```
//!
//! What is written beside bound entries stays in the container and ends with it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{chdir, pivot_root};

/// What lies somewhere in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub path: PathBuf,
    pub is_read_only: bool,
}

/// What is different from this machine's files, as a tree of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    source: Option<Source>,
    /// A directory that new entries can be put in.
    is_open: bool,
    children: BTreeMap<OsString, View>,
}

// === impl View ===

impl View {
    /// This machine's files, with new entries in `/tmp` and `/run` unseen by others.
    pub fn new() -> Self {
        let mut view = Self::default();
        for directory in ["tmp", "run"] {
            view.at(Path::new(directory)).is_open = true;
        }
        view
    }

    /// Puts a file or directory at a path below the root, whose links on this machine are followed.
    pub fn put(&mut self, path: &Path, source: Source) {
        let path = followed(path);
        self.at(&path).source = Some(source);
    }

    fn at(&mut self, path: &Path) -> &mut Self {
        let names = path.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            _ => None,
        });
        names.fold(self, |view, name| view.children.entry(name).or_default())
    }

    /// True when a directory has to be made anew, since something must lie in it that has no place there yet.
    fn must_open(&self, directory: &Path) -> bool {
        self.is_open
            || self.children.iter().any(|(name, child)| {
                let Ok(present) = fs::symlink_metadata(directory.join(name)) else {
                    return true;
                };
                match &child.source {
                    Some(source) => {
                        present.is_dir() != source.path.is_dir() || present.is_symlink()
                    }
                    None => !present.is_dir() || child.must_open(&directory.join(name)),
                }
            })
    }
}

/// A path with the links of its existing part followed.
fn followed(path: &Path) -> PathBuf {
    let whole = Path::new("/").join(path);
    let existing = whole
        .ancestors()
        .find_map(|part| Some((part.canonicalize().ok()?, part)));
    match existing {
        // The last part may be a link that something is put in the place of.
        Some((_, part)) if part == whole => match (whole.parent(), whole.file_name()) {
            (Some(parent), Some(name)) => parent
                .canonicalize()
                .unwrap_or_else(|_| parent.to_owned())
                .join(name),
            _ => whole,
        },
        Some((real, part)) => real.join(whole.strip_prefix(part).unwrap_or(Path::new(""))),
        None => whole,
    }
}

/// Makes a view the root of this thread, which has mounts of its own. `directory` is empty, and where the root is put together.
///
/// # Errors
/// Where something cannot be mounted that the view asks for.
pub fn make_root(directory: &Path, view: &View) -> io::Result<()> {
    let none = None::<&str>;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("tmpfs"),
        directory,
        Some("tmpfs"),
        flags,
        Some("mode=0755"),
    )?;
    // Or it would be bound into itself with the directory that it lies in.
    mount(none, directory, none, MsFlags::MS_UNBINDABLE, none)?;
    open(Some(Path::new("/")), directory, view)?;
    chdir(directory)?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    Ok(chdir("/")?)
}

/// Fills a directory with this machine's entries, and with what the view puts there.
fn open(machine: Option<&Path>, at: &Path, view: &View) -> io::Result<()> {
    if let Some(machine) = machine {
        for entry in fs::read_dir(machine).into_iter().flatten().flatten() {
            if !view.children.contains_key(&entry.file_name()) {
                show(&entry, at);
            }
        }
    }
    for (name, child) in &view.children {
        let target = at.join(name);
        let below = machine.map(|machine| machine.join(name));
        let below =
            below.filter(|below| fs::symlink_metadata(below).is_ok_and(|present| present.is_dir()));
        match (&child.source, below) {
            (Some(source), _) => {
                make_target(&target, source.path.is_dir())?;
                put(source, &target)?;
                cover(&target, child)?;
            }
            (None, Some(below)) if !child.must_open(&below) => {
                fs::create_dir(&target)?;
                bind(&below, &target)?;
                cover(&target, child)?;
            }
            (None, below) => {
                fs::create_dir(&target)?;
                if let Some(below) = &below
                    && let Ok(present) = fs::metadata(below)
                {
                    // `/tmp` may be written by everybody.
                    fs::set_permissions(&target, present.permissions())?;
                }
                open(below.as_deref(), &target, child)?;
            }
        }
    }
    Ok(())
}

/// Shows an entry of this machine as it is. What cannot be shown, such as a file system whose server has gone, is not there.
fn show(entry: &fs::DirEntry, at: &Path) {
    let target = at.join(entry.file_name());
    let path = entry.path();
    let shown = entry.file_type().and_then(|kind| {
        if kind.is_symlink() {
            return std::os::unix::fs::symlink(fs::read_link(&path)?, &target);
        }
        make_target(&target, kind.is_dir())?;
        bind(&path, &target)
    });
    if let Err(error) = shown {
        tracing::debug!(path = %path.display(), %error, "failed to show a file in a container");
    }
}

/// Puts what the view says over what is there already.
fn cover(at: &Path, view: &View) -> io::Result<()> {
    for (name, child) in &view.children {
        let target = at.join(name);
        let is_directory = child
            .source
            .as_ref()
            .is_none_or(|source| source.path.is_dir());
        if fs::symlink_metadata(&target).is_err() {
            make_target(&target, is_directory)?;
        }
        if let Some(source) = &child.source {
            put(source, &target)?;
        }
        cover(&target, child)?;
    }
    Ok(())
}

fn make_target(target: &Path, is_directory: bool) -> io::Result<()> {
    if is_directory {
        fs::create_dir_all(target)
    } else {
        File::create(target).map(drop)
    }
}

fn put(source: &Source, target: &Path) -> io::Result<()> {
    bind(&source.path, target).map_err(|error| {
        let message = format!("mounting at {}: {error}", target.display());
        io::Error::new(error.kind(), message)
    })?;
    if source.is_read_only {
        // Flags that were set by others must be kept, or the kernel refuses.
        let present = statvfs(target)?.flags();
        let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        for (is, flag) in [
            (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
            (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
            (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
            (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
            (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
            (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
        ] {
            if present.contains(is) {
                flags |= flag;
            }
        }
        let none = None::<&str>;
        mount(none, target, none, flags, none)?;
    }
    Ok(())
}

fn bind(source: &Path, target: &Path) -> io::Result<()> {
    let none = None::<&OsStr>;
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    Ok(mount(Some(source), target, none, flags, none)?)
}
