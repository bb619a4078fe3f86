//! A field path that costs nothing until something is wrong there: it lives on the stack of the check that walks the object.

use crate::diag::{FieldPath, Segment};

/// A place in an object.
#[derive(Clone, Copy)]
pub(crate) enum At<'a> {
    Root,
    Key(&'a At<'a>, &'a str),
    Index(&'a At<'a>, usize),
}

impl<'a> At<'a> {
    pub(crate) fn key(&'a self, key: &'a str) -> At<'a> {
        At::Key(self, key)
    }

    pub(crate) fn index(&'a self, index: usize) -> At<'a> {
        At::Index(self, index)
    }

    /// The path as a value.
    pub(crate) fn path(&self) -> FieldPath {
        let mut segments = Vec::new();
        let mut at = *self;
        loop {
            at = match at {
                At::Root => break,
                At::Key(parent, key) => {
                    segments.push(Segment::Key(key.into()));
                    *parent
                }
                At::Index(parent, index) => {
                    segments.push(Segment::Index(index));
                    *parent
                }
            };
        }
        segments.reverse();
        FieldPath(segments)
    }
}
