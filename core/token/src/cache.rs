//! Tokens that were verified lately, so that a client that sends its token with each request has its signature checked once.

use std::sync::Arc;

use mesh_ir::evaluate::VerifiedToken;
use rustc_hash::FxHashMap;

use crate::token::Times;

/// Most tokens of a generation; there are two of them.
const MOST: usize = 256;
/// Longer texts are not kept.
const LONGEST: usize = 4 << 10;

/// Tokens that were verified lately. What was not asked for again while as many others came is forgotten.
#[derive(Debug, Default)]
pub struct TokenCache {
    young: Generation,
    old: Generation,
}

type Generation = FxHashMap<Key, Known>;

/// Which verifier took it, found in which of its locations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) verifier: u64,
    pub(crate) location: usize,
    pub(crate) text: Box<str>,
}

/// A token with the rule that it is right by.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) rule: usize,
    pub(crate) token: Arc<VerifiedToken>,
    pub(crate) times: Times,
}

// === impl TokenCache ===

impl TokenCache {
    pub(crate) fn get(&mut self, key: &Key) -> Option<Known> {
        if let Some(known) = self.young.get(key) {
            return Some(known.clone());
        }
        let known = self.old.remove(key)?;
        self.insert(key.clone(), known.clone());
        Some(known)
    }

    pub(crate) fn insert(&mut self, key: Key, known: Known) {
        if key.text.len() > LONGEST {
            return;
        }
        if self.young.len() >= MOST {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, known);
    }

    /// How many tokens there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}
