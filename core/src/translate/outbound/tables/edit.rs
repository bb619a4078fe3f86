//! Edits of layers that lie over others.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::sync::Arc;

use mesh_ir::{Layer, LayerEdit};

/// An edit of a layer over another: only what differs from below is kept.
pub(super) struct Edit<'a, T> {
    edit: LayerEdit<T>,
    below: Option<&'a Arc<Layer<T>>>,
    /// Names that have nothing any more unless something is set.
    pub(super) stale: BTreeSet<Arc<str>>,
}

// === impl Edit ===

impl<'a, T: Hash + Eq> Edit<'a, T> {
    pub(super) fn new(layer: &Arc<Layer<T>>, below: Option<&'a Arc<Layer<T>>>) -> Self {
        Self {
            edit: LayerEdit::new(layer),
            below,
            stale: BTreeSet::new(),
        }
    }

    /// Says what the view has under a name.
    pub(super) fn set(&mut self, name: &Arc<str>, value: Option<Arc<T>>) {
        self.stale.remove(name);
        let below = self.below.and_then(|below| below.get(name));
        let below = below.and_then(|item| item.value.as_ref());
        match (value, below) {
            (None, None) => self.edit.remove(name),
            (None, Some(_)) => self.edit.hide(name.clone()),
            (Some(value), Some(below)) if Arc::ptr_eq(&value, below) || value == *below => {
                self.edit.remove(name);
            }
            (Some(value), _) => self.edit.put(name.clone(), value),
        }
    }

    pub(super) fn finish(mut self) -> Arc<Layer<T>> {
        for name in std::mem::take(&mut self.stale) {
            self.set(&name, None);
        }
        self.edit.finish()
    }
}
