//! Route tables whose virtual hosts are discovered one by one, put together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh_ir::RouteConfig;

use crate::resource::Resource;

/// The tables by name. One whose parts stay is the very same value in the next configuration.
#[derive(Debug, Default)]
pub(super) struct Tables {
    complete: BTreeMap<Arc<str>, Arc<RouteConfig>>,
    changed: BTreeSet<Arc<str>>,
}

// === impl Tables ===

impl Tables {
    /// Notes that a table or one of its virtual hosts has changed, come or gone.
    pub(super) fn note(&mut self, table: &str) {
        if !self.changed.contains(table) {
            self.changed.insert(table.into());
        }
    }

    /// Makes the tables again that have changed. `parts` gives what a table has itself, and its virtual hosts; nothing where there is
    /// no such table, or it has all of its virtual hosts itself.
    pub(super) fn update<'a, H: Iterator<Item = &'a Resource>>(
        &mut self,
        parts: impl Fn(&str) -> Option<(&'a RouteConfig, H)>,
    ) {
        for name in std::mem::take(&mut self.changed) {
            match parts(&name) {
                Some((config, hosts)) => {
                    let table = Arc::new(complete(config, hosts));
                    self.complete.insert(name, table);
                }
                None => {
                    self.complete.remove(&name);
                }
            }
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Arc<RouteConfig>> {
        self.complete.get(name)
    }
}

/// A table with its virtual hosts. Their order means nothing, as domains are unique.
fn complete<'a>(config: &RouteConfig, hosts: impl Iterator<Item = &'a Resource>) -> RouteConfig {
    let discovered = hosts.filter_map(|resource| match resource {
        Resource::VirtualHost(discovered) => Some(&discovered.host),
        _ => None,
    });
    config.with_all(config.virtual_hosts.iter().chain(discovered))
}
