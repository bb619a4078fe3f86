//! Host names that the control plane knows the addresses of.

use std::net::IpAddr;
use std::sync::Arc;

use mesh_ir::{NameTable, resolvable_names};
use rustc_hash::FxHashMap;

/// Addresses by name, made again only when the tables change that they come from.
#[derive(Debug, Default)]
pub struct Names {
    tables: Vec<Arc<NameTable>>,
    addresses: FxHashMap<Arc<str>, Arc<[IpAddr]>>,
    /// Whether some of the names are patterns.
    has_patterns: bool,
}

// === impl Names ===

impl Names {
    /// The names of these tables for a proxy of a namespace; those before if they are the same.
    pub fn after(before: &Arc<Self>, tables: &[Arc<NameTable>], namespace: &str) -> Arc<Self> {
        let same = |(a, b): (&Arc<NameTable>, &Arc<NameTable>)| Arc::ptr_eq(a, b);
        if before.tables.len() == tables.len() && before.tables.iter().zip(tables).all(same) {
            return before.clone();
        }
        let names = resolvable_names(tables.iter().map(|table| &**table), namespace);
        let has_patterns = names.keys().any(|name| name.starts_with('*'));
        let addresses = names.into_iter().map(|(name, found)| (name, found.into()));
        Arc::new(Self {
            tables: tables.to_vec(),
            addresses: addresses.collect(),
            has_patterns,
        })
    }

    /// Addresses of a lower-case name: its own, or else those of the longest pattern (`*.example.com`) that covers it.
    pub fn get(&self, name: &str) -> Option<&Arc<[IpAddr]>> {
        if let Some(found) = self.addresses.get(name) {
            return Some(found);
        }
        if !self.has_patterns {
            return None;
        }
        let mut rest = name;
        while let Some((_, shorter)) = rest.split_once('.') {
            if let Some(found) = self.addresses.get(&*["*.", shorter].concat()) {
                return Some(found);
            }
            rest = shorter;
        }
        None
    }
}
