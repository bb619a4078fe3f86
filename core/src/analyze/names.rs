//! Names of objects in messages: a few, so that a message about one of many objects stays short.

use std::collections::BTreeSet;

/// Most names in one message.
const MOST: usize = 5;

/// Names for a message, sorted; of more than a few the first ones are told, and that there are others. None if there are none.
/// No more of them are looked at than are told.
pub(super) fn some_of(names: impl Iterator<Item = String>) -> Option<String> {
    let mut told = BTreeSet::new();
    let mut others = false;
    for name in names {
        if told.contains(&name) {
            continue;
        }
        if told.len() == MOST {
            others = true;
            break;
        }
        told.insert(name);
    }
    let told: Vec<String> = told.into_iter().collect();
    match told.as_slice() {
        [] => None,
        all if others => Some(format!("{} and others", all.join(", "))),
        all => Some(all.join(", ")),
    }
}
