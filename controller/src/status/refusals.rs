//! Which objects proxies refuse: a refused resource is looked up in the configuration of its proxy, which says what objects it comes
//! from.

mod origins;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh_core::diag::{Diagnostic, UNSUPPORTED};
use mesh_core::resource::ResourceKey;
use mesh_ir::ProxyKind;

use self::origins::Origins;
use crate::ads::{Connection, Connections};
use crate::publish::Published;

/// Proxies that are looked at in one round; the same resource is usually refused by all of its kind.
const MOST_PROXIES: usize = 16;
/// Sentences about one object.
const MOST_SENTENCES: usize = 4;

/// What proxies say about objects.
pub type Refusals = BTreeMap<ResourceKey, Vec<String>>;

/// What the connected proxies refuse now, by the object that it comes from.
pub fn refusals(published: &Published, connections: &Connections) -> Refusals {
    let mut refusals = Refusals::new();
    let proxies = connections.proxies();
    let refusing = proxies
        .iter()
        .filter(|(_, connection)| refuses(connection))
        .take(MOST_PROXIES);
    for (proxy, connection) in refusing {
        let config = published
            .translator
            .translate(&connection.node.scope())
            .config;
        let origins = Origins {
            config: &config,
            snapshot: published.translator.snapshot(),
            node: &connection.node,
        };
        for (kind, status) in &connection.progress().types {
            for (name, refusal) in &status.refused {
                let sentence = format!(
                    "proxy {proxy} refuses {} {name}: {}",
                    kind.short(),
                    refusal.reason
                );
                for key in origins.of(*kind, name) {
                    tell(&mut refusals, key, sentence.clone());
                }
            }
        }
    }
    for finding in left_out(published, &proxies) {
        if let Some(key) = finding.resource {
            let sentence = format!("{}: {}", finding.path, finding.message);
            tell(&mut refusals, key, sentence);
        }
    }
    refusals
}

fn tell(refusals: &mut Refusals, key: ResourceKey, sentence: String) {
    let about = refusals.entry(key).or_default();
    if about.len() < MOST_SENTENCES && !about.contains(&sentence) {
        about.push(sentence);
    }
}

/// What is left out of the configurations of gateways, since they lack something: the certificate of a server, for instance. Gateways that
/// apply the same lack the same.
fn left_out(published: &Published, proxies: &BTreeMap<String, Arc<Connection>>) -> Vec<Diagnostic> {
    let scopes = proxies.values().map(|connection| connection.node.scope());
    let gateways = scopes.filter(|scope| scope.kind == ProxyKind::Gateway);
    let mut labels = BTreeSet::new();
    let mut found = Vec::new();
    for scope in gateways {
        if labels.len() < MOST_PROXIES
            && labels.insert((scope.namespace.clone(), scope.labels.clone()))
        {
            found.extend(published.translator.own_diagnostics(&scope));
        }
    }
    found.retain(|finding| finding.code == UNSUPPORTED);
    found
}

fn refuses(connection: &Arc<Connection>) -> bool {
    let types = connection.progress().types;
    types.values().any(|status| !status.refused.is_empty())
}
