//! What a proxy's configuration has otherwise.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use mesh_ir::ProxyConfig;
use serde::Serialize;

/// Names that are told of each list.
const LISTED: usize = 4;

/// What one proxy gets.
#[derive(Debug, Serialize)]
pub struct ProxyChange {
    proxy: String,
    listeners: Vec<String>,
    routes: Vec<String>,
    clusters: Vec<String>,
    /// Clusters with other endpoints.
    endpoints: Vec<String>,
}

// === impl ProxyChange ===

impl ProxyChange {
    /// The difference; none if there is none.
    pub fn between(proxy: &str, before: &ProxyConfig, after: &ProxyConfig) -> Option<Self> {
        if before == after {
            return None;
        }
        Some(Self {
            proxy: proxy.to_owned(),
            listeners: other(before.listeners.iter(), after.listeners.iter(), |it| {
                &it.name
            }),
            routes: other(before.routes.iter(), after.routes.iter(), |it| &it.name),
            clusters: other(before.clusters.iter(), after.clusters.iter(), |it| &it.name),
            endpoints: other(before.endpoints.iter(), after.endpoints.iter(), |it| {
                &it.cluster
            }),
        })
    }
}

impl fmt::Display for ProxyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.proxy)?;
        let lists = [
            ("listeners", &self.listeners),
            ("routes", &self.routes),
            ("clusters", &self.clusters),
            ("endpoints", &self.endpoints),
        ];
        let mut between = ": ";
        for (title, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
            let shown: Vec<&str> = names.iter().take(LISTED).map(String::as_str).collect();
            let more = match names.len().saturating_sub(LISTED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            write!(f, "{between}{title} {}{more}", shown.join(" "))?;
            between = "; ";
        }
        Ok(())
    }
}

/// Names of items that are new, other or gone.
fn other<'c, T: PartialEq + 'c>(
    before: impl Iterator<Item = &'c Arc<T>>,
    after: impl Iterator<Item = &'c Arc<T>>,
    name: impl Fn(&T) -> &Arc<str>,
) -> Vec<String> {
    let named = |item: &'c Arc<T>| (name(item).to_string(), item);
    let old: BTreeMap<String, &Arc<T>> = before.map(named).collect();
    let new: BTreeMap<String, &Arc<T>> = after.map(named).collect();
    let mut names: Vec<String> = new
        .iter()
        .filter(|(name, item)| old.get(*name).is_none_or(|old| old != *item))
        .map(|(name, _)| name.clone())
        .collect();
    names.extend(old.keys().filter(|name| !new.contains_key(*name)).cloned());
    names.sort();
    names
}
