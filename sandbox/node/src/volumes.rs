//! Volumes: laid out under the pod's directory, linked into each container's root.
//!
//! ```text
//! pods/UID/volumes/NAME/...          one directory per volume, shared by the pod's containers
//! pods/UID/CONTAINER/root/MOUNTPATH  a link to the volume (or to its subPath): what MESH_ROOT points at
//! ```
//!
//! What a volume holds is computed by a pure function and then written, file by file, each replaced at once by a
//! rename; a file that did not change is not touched, so programs can watch for changes.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, KeyToPath, Pod, Volume, VolumeProjection,
};

use super::environment::{self, ConfigError, Facts, Sources};
use super::runtime::VolumeMount;

/// The mode of whatever is secret.
const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// A token that a pod needs: its audience (empty: the API server's) and lifetime in seconds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenKey {
    pub audience: String,
    pub seconds: i64,
}

/// What a volume is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// An empty directory to write to, for the pod's life.
    Empty,
    /// A directory that outlives the pod, by the claim's name.
    Claim(String),
    /// A directory of this machine.
    Host(PathBuf),
    /// Files that the node keeps current.
    Files(Files),
}

/// Files by relative path.
pub type Files = BTreeMap<PathBuf, File>;

/// One file.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    pub data: Vec<u8>,
    pub mode: u32,
}

impl std::fmt::Debug for File {
    /// Never the data: it may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "File({} bytes, {:o})", self.data.len(), self.mode)
    }
}

/// All that volumes are computed from.
pub struct Context<'a> {
    pub pod: &'a Pod,
    pub facts: &'a Facts,
    pub sources: &'a dyn Sources,
    pub tokens: &'a BTreeMap<TokenKey, String>,
}

/// The tokens a pod's volumes need.
pub fn tokens(pod: &Pod) -> Vec<TokenKey> {
    let mut keys: Vec<TokenKey> = volumes(pod)
        .filter_map(|volume| volume.projected.as_ref()?.sources.as_ref())
        .flatten()
        .filter_map(|projection| projection.service_account_token.as_ref())
        .map(|token| TokenKey {
            audience: token.audience.clone().unwrap_or_default(),
            seconds: token.expiration_seconds.unwrap_or(3600),
        })
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

fn volumes(pod: &Pod) -> impl Iterator<Item = &Volume> {
    pod.spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten())
}

/// What each volume of a pod holds.
pub fn contents(context: &Context<'_>) -> Result<BTreeMap<String, Content>, ConfigError> {
    let mut contents = BTreeMap::new();
    for volume in volumes(context.pod) {
        let name = single(&volume.name)?.to_owned();
        contents.insert(name, content(context, volume)?);
    }
    Ok(contents)
}

fn content(context: &Context<'_>, volume: &Volume) -> Result<Content, ConfigError> {
    let mut files = Files::new();
    if let Some(source) = &volume.config_map {
        let mode = source.default_mode;
        config_map(
            context,
            &source.name,
            source.items.as_deref(),
            source.optional,
            mode,
            &mut files,
        )?;
    } else if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or_default();
        secret(
            context,
            name,
            source.items.as_deref(),
            source.optional,
            &mut files,
        )?;
    } else if let Some(source) = &volume.projected {
        for projection in source.sources.iter().flatten() {
            project(context, projection, source.default_mode, &mut files)?;
        }
    } else if let Some(source) = &volume.downward_api {
        downward(
            context,
            source.items.as_deref().unwrap_or_default(),
            source.default_mode,
            &mut files,
        )?;
    } else if let Some(source) = &volume.persistent_volume_claim {
        return Ok(Content::Claim(single(&source.claim_name)?.to_owned()));
    } else if let Some(source) = &volume.host_path {
        return Ok(Content::Host(PathBuf::from(&source.path)));
    } else if volume.empty_dir.is_some() || volume.ephemeral.is_some() {
        return Ok(Content::Empty);
    } else {
        let message = format!(
            "the kind of volume {:?} is not supported by the sandbox",
            volume.name
        );
        return Err(ConfigError::Unsupported(message));
    }
    Ok(Content::Files(files))
}

fn project(
    context: &Context<'_>,
    projection: &VolumeProjection,
    mode: Option<i32>,
    files: &mut Files,
) -> Result<(), ConfigError> {
    if let Some(source) = &projection.config_map {
        config_map(
            context,
            &source.name,
            source.items.as_deref(),
            source.optional,
            mode,
            files,
        )
    } else if let Some(source) = &projection.secret {
        secret(
            context,
            &source.name,
            source.items.as_deref(),
            source.optional,
            files,
        )
    } else if let Some(source) = &projection.downward_api {
        downward(
            context,
            source.items.as_deref().unwrap_or_default(),
            mode,
            files,
        )
    } else if let Some(source) = &projection.service_account_token {
        let key = TokenKey {
            audience: source.audience.clone().unwrap_or_default(),
            seconds: source.expiration_seconds.unwrap_or(3600),
        };
        let token = context.tokens.get(&key).cloned().unwrap_or_default();
        insert(
            files,
            &source.path,
            File {
                data: token.into_bytes(),
                mode: PRIVATE,
            },
        )
    } else {
        Err(ConfigError::Unsupported(
            "a projected volume has a source that the sandbox does not support".to_owned(),
        ))
    }
}

fn config_map(
    context: &Context<'_>,
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: Option<i32>,
    files: &mut Files,
) -> Result<(), ConfigError> {
    let Some(map) = context.sources.config_map(name) else {
        return missing("configmap", name, optional);
    };
    let text = map
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.into_bytes()));
    let binary = map
        .binary_data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.0));
    let data = text.chain(binary).collect();
    keys(
        "configmap",
        name,
        data,
        items,
        optional,
        public(mode),
        files,
    )
}

fn secret(
    context: &Context<'_>,
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    files: &mut Files,
) -> Result<(), ConfigError> {
    let Some(secret) = context.sources.secret(name) else {
        return missing("secret", name, optional);
    };
    let data = secret
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.0))
        .collect();
    keys("secret", name, data, items, optional, PRIVATE, files)
}

fn missing(kind: &'static str, name: &str, optional: Option<bool>) -> Result<(), ConfigError> {
    if optional == Some(true) {
        Ok(())
    } else {
        Err(ConfigError::Missing {
            kind,
            name: name.to_owned(),
        })
    }
}

fn keys(
    kind: &'static str,
    name: &str,
    mut data: BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: u32,
    files: &mut Files,
) -> Result<(), ConfigError> {
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        return data
            .into_iter()
            .try_for_each(|(key, data)| insert(files, &key, File { data, mode }));
    };
    for item in items {
        match data.remove(&item.key) {
            Some(data) => insert(files, &item.path, File { data, mode })?,
            None if optional == Some(true) => {}
            None => {
                return Err(ConfigError::MissingKey {
                    kind,
                    name: name.to_owned(),
                    key: item.key.clone(),
                });
            }
        }
    }
    Ok(())
}

fn downward(
    context: &Context<'_>,
    items: &[DownwardAPIVolumeFile],
    mode: Option<i32>,
    files: &mut Files,
) -> Result<(), ConfigError> {
    for item in items {
        let text = if let Some(selector) = &item.field_ref {
            environment::field(context.pod, context.facts, &selector.field_path)?
        } else if let Some(selector) = &item.resource_field_ref {
            environment::resource(context.pod, None, context.facts, selector)?
        } else {
            continue;
        };
        insert(
            files,
            &item.path,
            File {
                data: text.into_bytes(),
                mode: public(item.mode.or(mode)),
            },
        )?;
    }
    Ok(())
}

fn public(mode: Option<i32>) -> u32 {
    // The owner can always read: programs run as the same user that writes.
    mode.and_then(|mode| u32::try_from(mode).ok())
        .unwrap_or(PUBLIC)
        & 0o777
        | 0o400
}

/// A name that is one directory of its own, and leads nowhere else.
fn single(name: &str) -> Result<&str, ConfigError> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(part)), None) if part == name => Ok(name),
        _ => {
            let message = format!("{name:?} is no name of a volume or claim");
            Err(ConfigError::Unsupported(message))
        }
    }
}

fn insert(files: &mut Files, path: &str, file: File) -> Result<(), ConfigError> {
    files.insert(inside(path)?, file);
    Ok(())
}

/// A path as a relative one that stays inside its directory.
fn inside(path: &str) -> Result<PathBuf, ConfigError> {
    let mut relative = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => relative.push(part),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                let message = format!("path {path:?} leads out of its volume");
                return Err(ConfigError::Unsupported(message));
            }
        }
    }
    Ok(relative)
}

/// Where a volume is found in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Relative to the container's root.
    pub at: PathBuf,
    pub volume: String,
    /// Relative to the volume, empty for all of it.
    pub sub_path: PathBuf,
    pub is_read_only: bool,
}

/// The mounts of a container, outer ones first.
pub fn mounts(
    container: &Container,
    variables: &BTreeMap<String, String>,
) -> Result<Vec<Mount>, ConfigError> {
    let mut mounts = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let expression = mount
            .sub_path_expr
            .as_deref()
            .map(|text| environment::expand(text, variables));
        let sub_path = expression
            .or_else(|| mount.sub_path.clone())
            .unwrap_or_default();
        let at = inside(&mount.mount_path)?;
        if at.as_os_str().is_empty() {
            let message = "a volume cannot be mounted at /".to_owned();
            return Err(ConfigError::Unsupported(message));
        }
        mounts.push(Mount {
            at,
            volume: single(&mount.name)?.to_owned(),
            sub_path: inside(&sub_path)?,
            is_read_only: mount.read_only.unwrap_or(false),
        });
    }
    mounts.sort_by_key(|mount| mount.at.components().count());
    Ok(mounts)
}

// === writing ===

/// Writes the files of a volume and removes those that went.
pub fn write_files(directory: &Path, files: &Files) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    for (path, file) in files {
        write_file(&directory.join(path), file)?;
    }
    remove_others(directory, Path::new(""), files)
}

fn write_file(path: &Path, file: &File) -> io::Result<()> {
    let present = std::fs::read(path);
    if present.is_ok_and(|present| present == file.data) {
        return Ok(());
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = directory.join(format!("..{name}.new"));
    let mut options = std::fs::OpenOptions::new();
    let mut target = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(PRIVATE)
        .open(&fresh)?;
    target.write_all(&file.data)?;
    target.set_permissions(std::fs::Permissions::from_mode(file.mode))?;
    std::fs::rename(fresh, path)
}

/// Removes regular files that are not wanted any more; links are mounts inside this one and stay.
fn remove_others(root: &Path, below: &Path, files: &Files) -> io::Result<()> {
    for entry in std::fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            remove_others(root, &path, files)?;
        } else if kind.is_file() && !files.contains_key(&path) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Links all mounts into a directory that stands for a container's root, and makes what programs expect beside them.
pub fn lay_out(root: &Path, mounts: &[VolumeMount]) -> io::Result<()> {
    for mount in mounts {
        link(root, mount)?;
    }
    // A volume may be mounted there.
    std::fs::create_dir_all(root.join("tmp"))
}

fn link(root: &Path, mount: &VolumeMount) -> io::Result<()> {
    let VolumeMount {
        at,
        source,
        is_made,
        is_read_only: _,
    } = mount;
    if *is_made {
        std::fs::create_dir_all(source)?;
    }
    let at = root.join(at);
    if let Some(parent) = at.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::read_link(&at) {
        Ok(present) if present == *source => return Ok(()),
        Ok(_) => std::fs::remove_file(&at)?,
        Err(_) => {}
    }
    std::os::unix::fs::symlink(source, at)
}

#[cfg(test)]
mod tests;
