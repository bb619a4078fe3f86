//! Route tables whose targets are resolved to clusters.

use std::sync::Arc;

use mesh_ir::evaluate::Forwarding;
use mesh_ir::matching::{InvalidRoute, Matched, RouteTable};
use mesh_ir::{RouteAction, RouteConfig, Target};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::ClusterId;
use crate::telemetry::substitution::Substitution;

/// A route table of one runtime.
#[derive(Debug)]
pub struct Routes {
    /// The table.
    pub table: Arc<RouteTable>,
    /// By virtual host, route and position among the targets; none for clusters that do not exist.
    targets: Vec<Vec<SmallVec<[Option<ClusterId>; 1]>>>,
    /// Values of header changes that have command operators or escaped percent signs.
    substitutions: FxHashMap<Arc<str>, Substitution>,
}

// === impl Routes ===

impl Routes {
    pub(super) fn new(table: Arc<RouteTable>, find: impl Fn(&str) -> Option<ClusterId>) -> Self {
        let targets = table
            .config()
            .virtual_hosts
            .iter()
            .map(|host| {
                let routes = host.routes.iter();
                routes.map(|route| resolve(&route.action, &find)).collect()
            })
            .collect();
        // What cannot be compiled was refused when it came.
        let compile = |value: &Arc<str>| Some((value.clone(), Substitution::compile(value).ok()?));
        let substitutions = formats(table.config()).map(|(_, value)| value);
        Self {
            targets,
            substitutions: substitutions.filter_map(compile).collect(),
            table,
        }
    }

    /// Whether some header changes have values that are not literal.
    pub fn substitutes(&self) -> bool {
        !self.substitutions.is_empty()
    }

    /// The compiled form of a value of a header change; none for literal ones.
    pub fn substitution(&self, value: &str) -> Option<&Substitution> {
        self.substitutions.get(value)
    }

    /// The cluster that a request is forwarded to; none if it does not exist.
    pub fn cluster(&self, forwarding: &Forwarding<'_>) -> Option<ClusterId> {
        let Forwarding {
            matched, picked, ..
        } = forwarding;
        *self.targets(matched).get(picked.index)?
    }

    /// The clusters among which a route picks, in the order of its targets; none for those that do not exist.
    pub fn targets(&self, matched: &Matched<'_>) -> &[Option<ClusterId>] {
        let host = self.targets.get(matched.virtual_host_index);
        host.and_then(|routes| routes.get(matched.route_index))
            .map_or(&[], |targets| targets.as_slice())
    }
}

/// Whether this proxy knows all command operators in header changes.
///
/// # Errors
/// Names the header and the operator that it does not know.
pub fn check_substitutions(config: &RouteConfig) -> Result<(), String> {
    formats(config).try_for_each(|(name, value)| {
        Substitution::compile(value)
            .map(drop)
            .map_err(|reason| format!("the value {value:?} of header {name}: {reason}"))
    })
}

/// Names and values of header changes that are not literal.
fn formats(config: &RouteConfig) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
    let routes = config.virtual_hosts.iter().flat_map(|host| &host.routes);
    let ops = routes.flat_map(|route| {
        let weighted = match &route.action {
            RouteAction::Forward(forward) => match &forward.target {
                Target::Weighted(clusters) => clusters.as_slice(),
                Target::Cluster(_) => &[],
            },
            RouteAction::Redirect(_) | RouteAction::Direct(_) => &[],
        };
        let weighted = weighted
            .iter()
            .flat_map(|one| [&one.request_headers, &one.response_headers]);
        [&route.request_headers, &route.response_headers]
            .into_iter()
            .chain(weighted)
    });
    ops.flat_map(|ops| &ops.set)
        .filter(|set| set.value.contains('%'))
        .map(|set| (&set.name, &set.value))
}

fn resolve(
    action: &RouteAction,
    find: &impl Fn(&str) -> Option<ClusterId>,
) -> SmallVec<[Option<ClusterId>; 1]> {
    match action {
        RouteAction::Forward(forward) => match &forward.target {
            Target::Cluster(name) => std::iter::once(find(name)).collect(),
            Target::Weighted(clusters) => clusters
                .iter()
                .map(|weighted| find(&weighted.cluster))
                .collect(),
        },
        RouteAction::Redirect(_) | RouteAction::Direct(_) => SmallVec::new(),
    }
}

/// The table of a configuration; the one before if it is of the same one. Of a table that has changed, only the virtual hosts that have
/// are compiled.
pub(super) fn table(
    config: &Arc<RouteConfig>,
    before: Option<&Arc<Routes>>,
    invalid: &mut Vec<InvalidRoute>,
) -> Arc<RouteTable> {
    if let Some(before) = before
        && (Arc::ptr_eq(before.table.config(), config) || before.table.config() == config)
    {
        return before.table.clone();
    }
    let before = before.map(|before| &*before.table);
    let (table, found) = RouteTable::compile_after(config.clone(), before);
    invalid.extend(found);
    Arc::new(table)
}
