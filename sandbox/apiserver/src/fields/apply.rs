//! Server-side apply.

use serde_json::Value;

use super::compare::compare;
use super::entry::{Entries, Entry};
use super::merge::{merge, prune};
use super::set::Fields;
use super::{Owner, ownable};
use crate::shape::Shape;
use crate::status::{Cause, Status};

/// What came of an apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    pub object: Value,
    /// The value of `metadata.managedFields`.
    pub managed: Value,
}

/// Applies a configuration to the live object (null when there is none).
pub fn apply(
    shape: Shape<'_>,
    owner: &Owner<'_>,
    live: &Value,
    applied: &Value,
    force: bool,
) -> Result<Merged, Status> {
    let applied_part = part(owner, applied);
    let wanted = Fields::of(shape, &applied_part, false);
    let mut entries = Entries::parse(&live["metadata"]["managedFields"]);
    let mut object = merge(shape, live, &applied_part);
    if live.is_null() {
        // A new object needs its identity beside what is owned.
        object = merge(shape, applied, &object);
    }
    let changed = compare(shape, &ownable(live), &ownable(&object)).changed;
    settle_conflicts(owner, &mut entries, &changed, force)?;
    let position = entries.0.iter().position(|entry| entry.is(owner, true));
    if let Some(position) = position {
        let before = entries.0[position].clone();
        let others = entries.0.iter().enumerate();
        let others: Vec<&Fields> = others
            .filter(|(index, _)| *index != position)
            .map(|(_, entry)| &entry.fields)
            .collect();
        prune(shape, &mut object, &before.fields, Some(&wanted), &others);
        let same = before.fields == wanted && ownable(live) == ownable(&object);
        if !same {
            entries.0[position] = Entry::new(owner, true, wanted);
        }
    } else {
        entries.0.insert(0, Entry::new(owner, true, wanted));
    }
    entries.drop_empty();
    Ok(Merged {
        object,
        managed: entries.to_value(),
    })
}

/// The part of the applied configuration that this request is about.
fn part(owner: &Owner<'_>, applied: &Value) -> Value {
    let mut part = ownable(applied);
    if let Some(fields) = part.as_object_mut() {
        if owner.subresource.is_empty() {
            fields.shift_remove("status");
        } else {
            fields.retain(|name, _| name == owner.subresource);
        }
    }
    part
}

/// Others who own what changes: a conflict, or with force they lose it.
fn settle_conflicts(
    owner: &Owner<'_>,
    entries: &mut Entries,
    changed: &Fields,
    force: bool,
) -> Result<(), Status> {
    let mut conflicts: Vec<(String, Vec<String>)> = Vec::new();
    for entry in entries.0.iter_mut().filter(|entry| !entry.is(owner, true)) {
        let common = entry.fields.common(changed);
        let paths = common.paths();
        if paths.is_empty() {
            continue;
        }
        if force {
            entry.fields.subtract(&common);
            continue;
        }
        let manager = format!("{:?}", entry.manager);
        let told = match (entry.apply, entry.subresource.as_str()) {
            (true, _) => manager,
            (false, "") => format!("{manager} using {}", entry.api_version),
            (false, part) => format!(
                "{manager} with subresource {part:?} using {}",
                entry.api_version
            ),
        };
        conflicts.push((told, paths));
    }
    if conflicts.is_empty() {
        return Ok(());
    }
    Err(conflict(&conflicts))
}

fn conflict(conflicts: &[(String, Vec<String>)]) -> Status {
    let mut causes = Vec::new();
    let mut listed = Vec::new();
    let mut count = 0;
    for (manager, paths) in conflicts {
        count += paths.len();
        match paths.as_slice() {
            [path] => listed.push(format!("conflict with {manager}: {path}")),
            paths => listed.push(format!(
                "conflicts with {manager}:\n- {}",
                paths.join("\n- ")
            )),
        }
        causes.extend(paths.iter().map(|path| Cause {
            reason: "FieldManagerConflict",
            message: format!("conflict with {manager}"),
            field: path.clone(),
        }));
    }
    let noun = if count == 1 { "conflict" } else { "conflicts" };
    let message = format!("Apply failed with {count} {noun}: {}", listed.join("\n"));
    Status::apply_conflict(message, causes)
}
