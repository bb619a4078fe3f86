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
        let addresses = names.into_iter().map(|(name, found)| (name, found.into()));
        Arc::new(Self {
            tables: tables.to_vec(),
            addresses: addresses.collect(),
        })
    }

    /// Addresses of a lower-case name.
    pub fn get(&self, name: &str) -> Option<&[IpAddr]> {
        self.addresses.get(name).map(|found| &**found)
    }
}
