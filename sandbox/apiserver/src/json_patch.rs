//! JSON patches (RFC 6902) within bounds: however small a patch is, what it makes is neither deep nor large.
//!
//! Values that come with a patch are bounded by its body. `copy` and `move` bring values of the object to other places, so each
//! of them is measured before it is done: `copy` can double an object with every operation, and both can put an object into
//! itself, which would be deeper than the stack of whoever walks it.

use json_patch::PatchOperation;
use serde_json::Value;

use super::body::{DEEPEST, depth};

/// Most operations of a patch; Kubernetes' own limit.
const MOST_OPERATIONS: usize = 10_000;

/// Bytes, about, that all copies of a patch may make; Kubernetes' own limit.
const MOST_COPIED: usize = 3 << 20;

/// Bytes, about, that all moves of a patch may bring along, so that measuring them does not take long.
const MOST_MOVED: usize = 64 << 20;

/// What a value costs beside its text, in bytes.
const OVERHEAD: usize = 16;

/// Why a patch cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    #[error("the JSON patch is not valid: {0}")]
    Form(#[from] serde_json::Error),
    #[error("the JSON patch has {0} operations; {MOST_OPERATIONS} are the most")]
    Operations(usize),
    #[error(
        "operation {0} of the JSON patch would nest the object more than {DEEPEST} levels deep"
    )]
    Depth(usize),
    #[error("operation {0} of the JSON patch copies more than {MOST_COPIED} bytes in all")]
    Copied(usize),
    #[error("operation {0} of the JSON patch moves more than {MOST_MOVED} bytes in all")]
    Moved(usize),
    #[error("{0}")]
    Operation(#[from] json_patch::PatchError),
}

/// Applies a patch to an object. After an error the object is worth nothing any more.
pub fn apply(object: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let operations = patch.as_array().map_or(0, Vec::len);
    if operations > MOST_OPERATIONS {
        return Err(PatchError::Operations(operations));
    }
    let patch: json_patch::Patch = serde_json::from_value(patch.clone())?;
    let (mut copied, mut moved) = (0, 0);
    for (index, operation) in patch.0.iter().enumerate() {
        let value = match operation {
            PatchOperation::Add(add) => Some(&add.value),
            PatchOperation::Replace(replace) => Some(&replace.value),
            PatchOperation::Copy(copy) => {
                let value = object.pointer(copy.from.as_str());
                copied += value.map_or(0, size);
                if copied > MOST_COPIED {
                    return Err(PatchError::Copied(index));
                }
                value
            }
            PatchOperation::Move(from) => {
                let value = object.pointer(from.from.as_str());
                moved += value.map_or(0, size);
                if moved > MOST_MOVED {
                    return Err(PatchError::Moved(index));
                }
                value
            }
            PatchOperation::Remove(_) | PatchOperation::Test(_) => None,
        };
        let above = operation.path().count();
        if value.is_some_and(|value| depth(value, above) > DEEPEST) {
            return Err(PatchError::Depth(index));
        }
        json_patch::patch_unsafe(object, std::slice::from_ref(operation))?;
    }
    Ok(())
}

/// About how many bytes a value takes.
fn size(value: &Value) -> usize {
    let inner = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(size).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| name.len() + size(value))
            .sum(),
    };
    inner + OVERHEAD
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_does_what_it_says() {
        let mut object = json!({"a": {"b": [1]}, "c": "x"});
        let patch = json!([
            {"op": "test", "path": "/c", "value": "x"},
            {"op": "add", "path": "/a/b/-", "value": 2},
            {"op": "copy", "from": "/a/b", "path": "/d"},
            {"op": "move", "from": "/c", "path": "/e"},
            {"op": "remove", "path": "/a"},
        ]);
        apply(&mut object, &patch).unwrap();
        assert_eq!(object, json!({"d": [1, 2], "e": "x"}));
    }

    #[test]
    fn copies_that_double_end_early() {
        let mut object = json!({"data": {"a": "x".repeat(1000)}});
        let double =
            |n: usize| json!({"op": "copy", "from": "/data", "path": format!("/data/b{n}")});
        let error = apply(&mut object, &(0..40).map(double).collect()).unwrap_err();
        assert!(matches!(error, PatchError::Copied(_)), "{error}");
        assert!(size(&object) <= 2 * MOST_COPIED, "{}", size(&object));
    }

    #[test]
    fn nothing_gets_deeper_than_the_limit() {
        let deep = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({"a": inner}));
        let path = |levels: usize| "/a".repeat(levels);
        let mut object = json!({"a": deep(100), "b": deep(99)});
        let over = json!([{"op": "move", "from": "/b", "path": path(102)}]);
        let error = apply(&mut object, &over).unwrap_err();
        assert!(matches!(error, PatchError::Depth(0)), "{error}");
        // Many small steps do not get further than a large one.
        let mut object = json!({"a": {}});
        let steps = (2..=300).map(|level| json!({"op": "add", "path": path(level), "value": {}}));
        let error = apply(&mut object, &steps.collect()).unwrap_err();
        assert!(matches!(error, PatchError::Depth(199)), "{error}");
    }

    #[test]
    fn long_patches_are_refused() {
        let patch = Value::Array(vec![
            json!({"op": "remove", "path": "/a"});
            MOST_OPERATIONS + 1
        ]);
        let error = apply(&mut json!({}), &patch).unwrap_err();
        assert!(matches!(error, PatchError::Operations(_)), "{error}");
    }
}
