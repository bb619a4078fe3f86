//! How many stars each reviewer gives, for each product.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Products whose ratings are kept, and reviewers of each: bounds for what callers can store.
const MAX_PRODUCTS: usize = 1000;
const MAX_REVIEWERS: usize = 100;

/// Most stars.
const MOST: u8 = 5;

/// The stars of one product by reviewer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stars(BTreeMap<String, u8>);

/// The stars of all products.
#[derive(Default)]
pub(crate) struct Shelf(BTreeMap<u64, Stars>);

// === impl Stars ===

impl Stars {
    /// Reads a JSON object of reviewers and numbers up to 5. None when it is anything else.
    pub(crate) fn parse(json: &[u8]) -> Option<Stars> {
        let stars = serde_json::from_slice::<Stars>(json).ok()?;
        let fits = stars.0.len() <= MAX_REVIEWERS && stars.0.values().all(|count| *count <= MOST);
        fits.then_some(stars)
    }

    pub(crate) fn json(&self) -> String {
        serde_json::json!(self.0).to_string()
    }
}

// === impl Shelf ===

impl Shelf {
    /// The stars of a product; those of the one book unless somebody has changed them.
    pub(crate) fn get(&self, id: u64) -> Stars {
        let first = || Stars([("Reviewer1".into(), 5), ("Reviewer2".into(), 4)].into());
        self.0.get(&id).cloned().unwrap_or_else(first)
    }

    /// Changes the stars of a product.
    ///
    /// # Errors
    /// So many products have stars that there is no room.
    pub(crate) fn put(&mut self, id: u64, stars: Stars) -> Result<Stars, &'static str> {
        if self.0.len() >= MAX_PRODUCTS && !self.0.contains_key(&id) {
            return Err("too many products have ratings already");
        }
        self.0.insert(id, stars.clone());
        Ok(stars)
    }
}
