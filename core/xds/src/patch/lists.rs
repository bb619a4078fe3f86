//! Insertions into lists and removals from them.

use mesh_ir::patch::PatchOperation;

/// Applies an operation to a list; merging is done elsewhere. `selected` tells items, and is none where the patch names none: then it is
/// put at the end or at the beginning, and nothing is replaced or removed.
pub(super) fn apply<T: Clone>(
    list: &mut Vec<T>,
    operation: PatchOperation,
    value: impl FnOnce() -> T,
    selected: Option<&dyn Fn(&T) -> bool>,
) {
    let find = |list: &[T]| selected.and_then(|selected| list.iter().position(selected));
    match operation {
        PatchOperation::Merge => {}
        PatchOperation::Add => list.push(value()),
        PatchOperation::InsertFirst => list.insert(0, value()),
        PatchOperation::InsertBefore if selected.is_none() => list.insert(0, value()),
        PatchOperation::InsertAfter if selected.is_none() => list.push(value()),
        PatchOperation::InsertBefore => {
            if let Some(at) = find(list) {
                list.insert(at, value());
            }
        }
        PatchOperation::InsertAfter => {
            if let Some(at) = find(list) {
                list.insert(at + 1, value());
            }
        }
        PatchOperation::Replace => {
            if let Some(found) = find(list).and_then(|at| list.get_mut(at)) {
                *found = value();
            }
        }
        PatchOperation::Remove => {
            if let Some(selected) = selected {
                list.retain(|item| !selected(item));
            }
        }
    }
}
